"""Candidates learn from a teacher, block by block; what is put together of them is searched exactly."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from oneshot_helpers import CONFIG, digits, macs_costs, space, task_of
from task_helpers import searched

from hwnas import blocks, known, spaces
from hwnas.blocks import FusedMBConv, MBConv, Skip, UniversalInvertedBottleneck, statistics
from hwnas.errors import SpaceError
from hwnas.evaluators.blockwise import Blockwise
from hwnas.evaluators.supernet.distillation import channel_weights, error
from hwnas.evaluators.supernet.network import proxy_space
from hwnas.search.problem import Constraint
from hwnas.search.sampling.exact import Exact
from hwnas.spaces.adapted import candidates, teacher
from hwnas.train.teacher import Teacher

BLOCKWISE = dataclasses.replace(CONFIG, training="blockwise", teacher_share=0.6, recalibration_images=128)
STEPS = 50


def prepared(tmp_path, steps=STEPS, **changed):
    evaluator = Blockwise(space(), digits(), dataclasses.replace(BLOCKWISE, **changed))
    seen = []
    evaluator.prepare(steps, on_step=seen.append, checkpoint=tmp_path / "checkpoint")
    return evaluator, seen


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    return prepared(tmp_path_factory.mktemp("blockwise"))


def test_the_teacher_is_trained_first_and_then_taught_from(trained):
    evaluator, seen = trained
    assert [record["phase"] for record in seen] == ["teacher"] * 30 + ["distillation"] * 20
    assert evaluator.steps == STEPS
    assert seen[-1]["loss"] < seen[30]["loss"]


def test_the_teacher_loses_nothing_and_a_larger_candidate_less_than_none(trained):
    evaluator, _ = trained
    anchor = evaluator.paths.anchor
    for part, best in zip(evaluator.block_errors(), anchor, strict=True):
        assert part[best] == 0
        assert (np.delete(part, best) > 0).all()
        assert part[1] < part[0]  # k3e3 against the identity or the bare 1x1 convolution


def test_only_pupils_change_in_distillation(tmp_path):
    evaluator, before = Blockwise(space(), digits(), BLOCKWISE), {}

    def keep(record):
        if record["step"] == 6:  # the last of the teacher
            before.update((name, value.detach().clone()) for name, value in parameters().items())

    def parameters():
        return dict(evaluator.supernet.named_parameters())

    evaluator.prepare(10, on_step=keep, checkpoint=tmp_path / "checkpoint")
    changed = {name for name, value in parameters().items() if not torch.equal(value, before[name])}
    for number, best in enumerate(evaluator.paths.anchor):
        own = {name for name in before if name.startswith(f"choices.{number}.candidates.")}
        assert {name for name in own if name.split(".")[3] != str(best)} == own & changed
    assert all(name.startswith("choices.") for name in changed)


@pytest.mark.slow
def test_it_goes_on_as_if_it_had_not_been_stopped(tmp_path, monkeypatch):
    monkeypatch.setattr("hwnas.evaluators.supernet.warm_up.CHECKPOINT_EVERY", 1)
    whole, _ = prepared(tmp_path / "a", steps=12)
    for stopped in (4, 9):

        def stop(record, stopped=stopped):
            if record["step"] == stopped:
                raise KeyboardInterrupt

        folder = tmp_path / str(stopped)
        first = Blockwise(space(), digits(), BLOCKWISE)
        with pytest.raises(KeyboardInterrupt):
            first.prepare(12, on_step=stop, checkpoint=folder / "checkpoint")
        second, _ = prepared(folder, steps=12)
        for name, value in whole.supernet.state_dict().items():
            assert torch.equal(value, second.supernet.state_dict()[name]), name


def test_an_exact_search_of_it_keeps_the_budget(trained):
    evaluator, _ = trained
    task = dataclasses.replace(task_of(0.5), evaluate=evaluator)
    result = searched(Exact(queries=6), task, np.random.default_rng(0))
    assert task.feasible(np.array([result.best.indices]))[0]
    assert len(result.trials) == 6
    assert -1 <= result.extra["spearman"] <= 1


def by_whole_networks(evaluator, number, index):
    """What replacing one block costs, by whole forward passes: batch norms of that block are made anew."""
    supernet, indices = evaluator.supernet, list(evaluator.paths.anchor)
    indices[number] = index
    supernet.eval()
    candidate = supernet.choices[number].candidates[index].train()
    norms = [module for module in candidate.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    with torch.no_grad():
        with statistics.cumulative(norms):
            for images, _ in evaluator.some("train", evaluator.config.recalibration_images):
                supernet(images, indices)
        supernet.eval()
        batches = list(evaluator.some("val", 512))
        images, labels = (torch.cat(parts) for parts in zip(*batches, strict=True))
        whole, taught = (
            supernet(images, gates).log_softmax(1) for gates in (indices, evaluator.paths.anchor)
        )
    truth = torch.arange(len(labels)), labels
    kl = (taught.exp() * (taught - whole)).sum(1).mean()
    rise = (taught[truth] - whole[truth]).mean()
    return np.log1p(max(0.0, float(kl + rise) / 2))


def test_a_replaced_block_loses_what_the_whole_network_loses_by_it(trained):
    evaluator, _ = trained
    found = evaluator.errors_by("loss")
    assert [len(part) for part in found] == list(evaluator.space.sizes)
    for number, best in enumerate(evaluator.paths.anchor):
        assert found[number][best] == 0
        for index in set(range(len(found[number]))) - {best}:
            wanted = by_whole_networks(evaluator, number, index)
            assert found[number][index] == pytest.approx(wanted, rel=1e-3, abs=1e-5)
    assert sum(part.sum() for part in found) > 0.1
    assert all((part >= 0).all() for part in found)


def test_the_block_score_decides_what_errors_are_and_is_recorded(trained):
    evaluator, _ = trained
    by_loss = Blockwise(space(), digits(), dataclasses.replace(BLOCKWISE, block_score="loss"))
    by_loss.restore(evaluator.tensors(), evaluator.steps, Path("none"))
    by_features = [part.copy() for part in evaluator.block_errors()]
    for one, other in zip(by_loss.block_errors(), evaluator.errors_by("loss"), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)
    assert any(abs(a - b).max() > 1e-3 for a, b in zip(by_loss.block_errors(), by_features, strict=True))
    assert by_loss.describe()["block_score"] == "loss"
    assert "block_score" not in evaluator.describe()  # as earlier versions wrote it
    assert "block_score" not in dataclasses.replace(CONFIG, block_score="loss").recorded()


def test_what_is_saved_scores_the_same(trained, tmp_path):
    from hwnas.runs.folder import RunFolder

    evaluator, _ = trained
    run = RunFolder(tmp_path)
    evaluator.save_into(run)
    again = Blockwise.load(run.supernet, space(), digits())
    arch = space().architecture([1] * 8)
    assert again(arch) == evaluator(arch)
    for one, other in zip(again.block_errors(), evaluator.block_errors(), strict=True):
        np.testing.assert_allclose(one, other)


def test_dead_channels_are_left_out_of_the_error():
    wanted = torch.randn(4, 3, 5, 5)
    wanted[:, 1] = 2.0
    made = wanted.clone()
    made[:, 1] += 100
    weights = channel_weights(wanted)
    assert (weights[0] > 0).tolist() == [True, False, True]
    assert error(made, wanted, weights) == 0
    assert error(torch.zeros_like(wanted) + wanted.mean((0, 2, 3), keepdim=True), wanted, weights) == (
        pytest.approx(1.0, abs=1e-4)
    )


@pytest.mark.parametrize(
    "block",
    [
        MBConv(16, 16, 5, 1, 6.0, activation="relu6"),
        MBConv(16, 24, 5, 2, 6.0, se_ratio=0.25, padding="same"),
        MBConv(16, 24, 5, 2, 6.0, padding="same"),
        UniversalInvertedBottleneck(16, 16, 5, 5, 1, 6.0),
        UniversalInvertedBottleneck(16, 24, 3, 5, 2, 6.0, padding="same"),
        UniversalInvertedBottleneck(16, 16, 3, 0, 1, 4.0),
        UniversalInvertedBottleneck(16, 16, 0, 0, 1, 4.0),
    ],
)
def test_candidates_inherit_more_the_more_they_keep(block):
    torch.manual_seed(0)
    learned = block.build().train()
    for _ in range(5):
        learned(torch.randn(8, 16, 10, 10))
    images = torch.randn(4, 16, 10, 10)
    wanted = learned.eval()(images)
    lost = {}
    for candidate in candidates(block):
        module = candidate.build()
        assert candidate.inherit(module, block, learned) == (not isinstance(candidate, Skip))
        lost[candidate] = float((module.eval()(images) - wanted).detach().pow(2).mean())
    assert lost[block] == 0
    for candidate, value in lost.items():
        if getattr(candidate, "start_kernel", 0) != getattr(block, "start_kernel", 0):
            continue  # on noise, what replaces a first kernel is off by more than what is narrowed
        if isinstance(candidate, FusedMBConv):
            continue  # its statistics are not those of the block
        if not isinstance(candidate, Skip) and candidate.hidden_channels < block.hidden_channels:
            wider = dataclasses.replace(candidate, expansion_ratio=block.expansion_ratio)
            assert lost.get(wider, 0.0) < value


def test_a_missing_first_kernel_goes_into_the_expansion():
    """On even features, what the kernel did to each channel is its sum times the scale of the norm."""
    torch.manual_seed(1)
    block = UniversalInvertedBottleneck(6, 6, 3, 0, 1, 2.0)
    learned = block.build().train()
    for _ in range(5):
        learned(torch.randn(8, 6, 9, 9) + 1)
    without = dataclasses.replace(block, start_kernel=0)
    module = without.build()
    assert without.inherit(module, block, learned)
    depthwise, norm, expand, after = learned.eval().body[:4]
    even = torch.randn(1, 6, 1, 1).expand(1, 6, 9, 9)
    shift = norm.bias - norm.weight * norm.running_mean / (norm.running_var + norm.eps).sqrt()
    wanted = after(expand(norm(depthwise(even)) - shift.reshape(1, -1, 1, 1)))[..., 4, 4]
    own = module.eval().body[:2]  # the convolution and its norm, which may share the scale otherwise
    torch.testing.assert_close(own(even)[..., 4, 4], wanted, rtol=1e-4, atol=1e-5)


def test_a_network_that_nothing_cheaper_can_replace_has_no_space():
    for name in ("mobilenetv1", "shufflenetv2"):
        with pytest.raises(SpaceError, match=f"inverted bottlenecks .* but {name}.* has none: adapt it"):
            spaces.load(f"from:{name}", resolution=96)


def test_nothing_is_inherited_of_a_smaller_block():
    small, large = MBConv(8, 8, 3, 1, 2.0), MBConv(8, 8, 5, 1, 6.0)
    module, learned = large.build(), small.build()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    assert not large.inherit(module, small, learned)
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())


@pytest.mark.parametrize(
    "name", ["mobilenetv2", "efficientnet-lite0", "mobilenetv3-large", "mnasnet-a1", "mobilenetv4-conv-small"]
)
def test_the_space_of_a_known_network_begins_with_it(name):
    found = spaces.load(f"from:{name}", resolution=96, num_classes=7)
    network = known.load(name, resolution=96, num_classes=7, strides="imagenet")
    assert teacher(found).blocks == network.blocks
    assert spaces.load(found.name) == found
    assert found.reference == teacher(found).indices
    low, high = found.macs_range()
    assert high <= network.macs * 1.05  # some fused candidates have more than what they replace
    assert low < 0.6 * network.macs
    assert found.num_architectures > 1000


@pytest.mark.parametrize(
    ("block", "fused", "grouped"),
    [
        (MBConv(16, 24, 3, 2, 6.0, activation="relu6", padding="same"), (64, 48, 32), False),
        (MBConv(64, 96, 5, 2, 3.0), (128, 96, 64), False),
        (MBConv(96, 160, 3, 2, 6.0), (), False),
        (MBConv(24, 24, 3, 1, 6.0), (), False),
        (MBConv(160, 160, 3, 1, 6.0, se_ratio=0.25), (), True),
        (MBConv(160, 320, 5, 2, 6.0), (), True),
        (MBConv(160, 321, 5, 1, 6.0), (), False),
        (MBConv(16, 24, 3, 2, 6.0, se_ratio=0.25), (), False),
        (MBConv(16, 24, 3, 2, 6.0, groups=2), (), False),
        (MBConv(32, 16, 3, 2, 1.0, has_expansion=False), (), False),
        (MBConv(3, 8, 3, 2, 1.0), (2, 1), False),
    ],
    ids=lambda value: value.key() if isinstance(value, MBConv) else None,
)
def test_which_blocks_have_fused_and_grouped_candidates(block, fused, grouped):
    found = list(candidates(block))
    assert found[0] == block
    assert len(set(found)) == len(found)
    assert tuple(c.hidden_channels for c in found if isinstance(c, FusedMBConv)) == fused
    for other in found:
        if isinstance(other, FusedMBConv):
            assert (other.kernel_size, other.activation) == (3, block.activation)
            assert other.padding == block.padding
    own = [c for c in found if isinstance(c, MBConv) and c.groups != block.groups]
    assert own == ([dataclasses.replace(block, groups=2)] if grouped else [])
    assert isinstance(found[-1], Skip) == block.has_residual


def test_few_candidates_are_fused_or_grouped():
    """All are trained in each step of a distillation, whose multiply-adds grow by less than a quarter."""
    found = spaces.load("from:efficientnet-lite0", resolution=96, num_classes=10)
    fixed, macs = found.macs_table()
    whole = fixed + sum(int(table[0]) for table in macs)
    added = learnt = count = 0
    for _, index, workload in found.candidates():
        block = workload.block
        is_new = isinstance(block, FusedMBConv) or getattr(block, "groups", 1) > 1
        learnt += workload.macs if index else 0
        added += workload.macs if is_new else 0
        count += is_new
        assert not is_new or index
    assert count == 13
    assert added * 3 < 0.25 * (whole + 3 * (learnt - added))  # the pupils' backward costs two forward


@pytest.mark.parametrize("width", [0.25, 0.5, 0.75])
def test_narrower_proxies_of_the_space_can_be_made(width):
    for name in ("efficientnet-lite0", "mobilenetv3-large", "fbnet-c"):
        found = spaces.load(f"from:{name}", resolution=96, num_classes=7)
        assert proxy_space(found, width=width, resolution=64).reference == found.reference


def test_a_space_of_nothing_known_is_refused():
    with pytest.raises(SpaceError, match=r"must be a known one, .* but .nothing. is neither"):
        spaces.load("from:nothing")


def test_a_trained_network_teaches_only_its_own_space():
    small = spaces.load("from:mobilenetv2-0.1", resolution=32, num_classes=10)
    arch = teacher(small)
    evaluator = Blockwise(
        small,
        dataclasses.replace(digits()) if digits().image_shape[1] == 32 else _at_32(),
        dataclasses.replace(BLOCKWISE, width=1.0, resolution=32, teacher_share=0.0),
    )
    network = blocks.network(arch)
    evaluator.teach(Teacher(network, {}, arch))
    own = evaluator.subnetwork(arch.indices)
    assert torch.equal(own[0][0].weight, network[0][0].weight)
    with pytest.raises(SpaceError, match="a teacher must be the largest network of"):
        evaluator.teach(Teacher(network, {}, known.load("mobilenetv2-0.2", resolution=32, num_classes=10)))
    with pytest.raises(SpaceError, match="nothing known"):
        evaluator.teach(Teacher(network))


def _at_32():
    from hwnas import data

    return data.load("digits", resolution=32)


def test_settings_that_cannot_be():
    with pytest.raises(Exception, match="training must be one of"):
        dataclasses.replace(CONFIG, training="other")
    with pytest.raises(Exception, match=r"block_score must be one of \('features', 'loss'\), but got"):
        dataclasses.replace(CONFIG, block_score="tau")
    with pytest.raises(Exception, match="teacher_share must be in"):
        dataclasses.replace(CONFIG, teacher_share=1.0)
    assert Constraint  # the helpers' budgets are constraints on MACs
    assert macs_costs().fixed > 0
