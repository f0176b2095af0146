from dataclasses import fields

import pytest
import torch
from torch import nn

from hwnas import blocks, spaces
from hwnas.errors import SpaceError
from hwnas.evaluators.supernet.network import Branch, Supernet, proxy_space


@pytest.fixture(scope="module")
def space():
    return proxy_space(spaces.load("macro"), width=0.25, resolution=8)


@pytest.fixture
def supernet(space):
    return Supernet(space, seed=0)


@pytest.fixture
def images():
    generator = torch.Generator().manual_seed(0)
    return torch.randn(6, 3, 8, 8, generator=generator).to(memory_format=torch.channels_last)


PATH = (1, 0, 2, 0, 1, 2, 0, 1)


def one_hot(index, size=3):
    return torch.nn.functional.one_hot(torch.tensor(index), size).float()


def test_a_single_path_computes_what_the_network_alone_computes(space, supernet, images):
    alone = blocks.build(space.architecture(PATH).blocks)
    parts = [p for p in supernet.path(PATH) if not isinstance(p, nn.Identity)]
    # the architecture's network is one flat sequence: stem, blocks, head
    shared = [*parts[0], *parts[1:-1], *parts[-1]]
    for own, theirs in zip(alone, shared, strict=True):
        own.load_state_dict(theirs.state_dict())
    torch.testing.assert_close(supernet.train()(images, PATH), alone.train()(images))


def test_one_hot_mixtures_and_branches_equal_the_single_path(supernet, images):
    expected = supernet(images, PATH)
    soft = supernet(images, [one_hot(i) for i in PATH])
    sparse = supernet(images, [(Branch(i, torch.tensor(1.0)),) for i in PATH])
    torch.testing.assert_close(soft, expected)
    torch.testing.assert_close(sparse, expected)


def test_candidates_that_are_not_gated_get_no_gradient_at_all(supernet, images):
    supernet(images, PATH).sum().backward()
    for choice, index in zip(supernet.choices, PATH, strict=True):
        for number, candidate in enumerate(choice.candidates):
            for parameter in candidate.parameters():
                assert (parameter.grad is not None) == (number == index)


def test_an_inert_branch_gives_the_gradient_of_its_weight_and_none_else(supernet, images):
    """The gradient equals that of a full mixture at the same point."""
    weights = [torch.tensor([1.0, 0.0, 0.0], requires_grad=True) for _ in PATH]
    supernet(images, weights).square().sum().backward()
    expected = [w.grad[1].clone() for w in weights]
    inert = [torch.tensor(0.0, requires_grad=True) for _ in PATH]
    supernet.zero_grad(set_to_none=True)
    gates = [(Branch(0, torch.tensor(1.0)), Branch(1, w, inert=True)) for w in inert]
    supernet(images, gates).square().sum().backward()
    for found, wanted in zip(inert, expected, strict=True):
        torch.testing.assert_close(found.grad, wanted, rtol=1e-3, atol=1e-3)
    for choice in supernet.choices:
        assert all(p.grad is None for p in choice.candidates[1].parameters())


def test_recalibration_makes_evaluation_equal_to_batch_statistics(supernet):
    with torch.no_grad():
        for norm in (m for m in supernet.modules() if isinstance(m, nn.BatchNorm2d)):
            norm.running_mean.fill_(7.0)  # what training on other paths may leave behind
    many = torch.randn(512, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    supernet.recalibrate(PATH, [many])
    recalibrated = supernet.eval()(many, PATH)
    expected = supernet.train()(many, PATH)
    # running variances are unbiased, batch statistics are not: 512/511 apart
    torch.testing.assert_close(recalibrated, expected, rtol=0.02, atol=0.02)


def test_recalibration_averages_over_all_batches_and_leaves_other_paths_alone(supernet, images):
    supernet.recalibrate(PATH, [images, 3 * images])
    stem = next(m for m in supernet.stem.modules() if isinstance(m, nn.BatchNorm2d))
    conv = next(m for m in supernet.stem.modules() if isinstance(m, nn.Conv2d))
    means = [conv(batch).mean((0, 2, 3)) for batch in (images, 3 * images)]
    torch.testing.assert_close(stem.running_mean, sum(means) / 2, rtol=1e-4, atol=1e-5)
    assert stem.momentum == 0.1
    for choice, index in zip(supernet.choices, PATH, strict=True):
        for number, candidate in enumerate(choice.candidates):
            for norm in (m for m in candidate.modules() if isinstance(m, nn.BatchNorm2d)):
                assert int(norm.num_batches_tracked) == (2 if number == index else 0)


def test_the_seed_decides_the_weights_and_global_random_state_is_kept(space):
    torch.manual_seed(1)
    before = torch.random.get_rng_state()
    one, two, other = Supernet(space, 0), Supernet(space, 0), Supernet(space, 1)
    assert torch.equal(before, torch.random.get_rng_state())
    weights = [s.stem[0][0].weight for s in (one, two, other)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_it_lives_in_channels_last(supernet, images):
    assert supernet.stem[0][0].weight.is_contiguous(memory_format=torch.channels_last)
    features = supernet.stem(images)
    assert features.is_contiguous(memory_format=torch.channels_last)


def test_gates_that_do_not_fit_are_refused(supernet, images):
    with pytest.raises(SpaceError, match="one a choice"):
        supernet(images, PATH[:-1])
    with pytest.raises(SpaceError, match="must have shape"):
        supernet(images, [torch.ones(2)] * 8)


def test_a_proxy_keeps_the_choices_and_is_cheaper():
    space = spaces.load("fbnet", resolution=32, num_classes=10, strides="cifar")
    proxy = proxy_space(space, width=0.5, resolution=16)
    assert proxy.sizes == space.sizes
    assert proxy.num_classes == 10
    assert proxy.input_shape == (3, 16, 16)
    full = space.architecture([3] * 22).macs
    assert proxy.architecture([3] * 22).macs < full / 12
    assert proxy_space(space) is space


@pytest.mark.parametrize("name", [name for name in spaces.SPACES if not spaces.is_begun(name)])
def test_a_proxy_is_narrower_in_every_layer(name):
    space = spaces.load(name)
    narrow = proxy_space(space, width=0.5)
    for block, thinner in zip((*space.stem, *space.head), (*narrow.stem, *narrow.head), strict=True):
        for field in fields(block):
            if field.name.endswith("_channels") and (field.name, block) != ("in_channels", space.stem[0]):
                assert getattr(thinner, field.name) <= max(8, 0.6 * getattr(block, field.name)), field.name


@pytest.mark.parametrize("width", [0, -1, 2])
def test_a_width_without_sense_is_refused(width):
    with pytest.raises(SpaceError, match="width of a proxy"):
        proxy_space(spaces.load("macro"), width=width)
