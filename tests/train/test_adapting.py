"""A network that knows pictures already is adapted: its last layer first, then all, gently."""

import dataclasses

import pytest
import torch
from torch import nn
from training_helpers import StopAfter, same, small_network, state

from hwnas import data, train
from hwnas.errors import TrainingError
from hwnas.tasks.recipes import FROM_NOTHING, PRETRAINED
from hwnas.train import optim

CONFIG = train.TrainConfig(epochs=3, batch_size=128)


@pytest.fixture(scope="module")
def digits():
    return data.load("digits", resolution=8)


@pytest.fixture(scope="module")
def learnt(digits):
    model = small_network()
    train.fit(model, digits, dataclasses.replace(CONFIG, epochs=6, batch_size=32, learning_rate=0.1))
    return state(model)


def pretrained(learnt):
    """The network with a last layer that knows nothing, and the names of that layer."""
    model, last = small_network(seed=1), small_network(seed=2)[-1][-1]
    model.load_state_dict(learnt)
    model[-1][-1].load_state_dict(last.state_dict())
    return model, ["2.5.weight", "2.5.bias"]


def test_what_is_fresh_learns_alone_at_first(digits, learnt):
    model, fresh = pretrained(learnt)
    assert set(fresh) <= set(dict(model.named_parameters()))
    seen = []
    config = dataclasses.replace(CONFIG, head_epochs=2)
    train.fit(model, digits, config, fresh=fresh, on_epoch=lambda _: seen.append(state(model)))
    for name, value in seen[1].items():
        assert torch.equal(value, learnt[name]) == (name not in fresh), name
    changed = {name for name, value in seen[2].items() if not torch.equal(value, learnt[name])}
    assert changed > {"0.0.weight", "0.1.running_mean", *fresh}


@pytest.mark.slow
def test_an_adapted_network_knows_more_than_one_from_nothing_after_as_many_steps(digits, learnt):
    model, fresh = pretrained(learnt)
    config = dataclasses.replace(CONFIG, epochs=3, batch_size=32)
    adapted = train.fit(model, digits, config, fresh=fresh)
    other = train.fit(small_network(seed=3), digits, dataclasses.replace(config, learning_rate=0.02))
    assert adapted.val.value > other.val.value + 0.1
    assert adapted.config.learning_rate == PRETRAINED.learning_rate
    assert FROM_NOTHING.learning_rate == train.TrainConfig().resolved(100).learning_rate
    assert (other.config.head_epochs, other.config.layer_decay, other.config.freeze_share) == (0, 1.0, 0.0)


@pytest.mark.parametrize(("stride", "kept"), [(0, ()), (1, ("0.",)), (64, ("0.", "1."))])
def test_what_sees_the_image_closely_stays_as_it_is(digits, learnt, stride, kept):
    model, fresh = pretrained(learnt)
    config = dataclasses.replace(CONFIG, epochs=2, head_epochs=1, frozen_stride=stride)
    train.fit(model, digits, config, fresh=fresh)
    for name, value in state(model).items():
        is_count = name.endswith("num_batches_tracked")
        assert torch.equal(value, learnt[name]) == name.startswith(kept) or is_count, name
    assert all(p.requires_grad for p in model.parameters())


def test_nothing_stays_as_it_is_where_all_of_it_knows_the_images(digits, learnt):
    model = small_network()
    model.load_state_dict(learnt)
    train.fit(model, digits, dataclasses.replace(CONFIG, epochs=1, frozen_stride=64), fresh=())
    assert not torch.equal(model[0][0].weight, learnt["0.0.weight"])


def test_statistics_stay_at_the_end(digits, learnt):
    model, fresh = pretrained(learnt)
    seen = []
    config = dataclasses.replace(CONFIG, epochs=4, head_epochs=0, freeze_share=0.5)
    train.fit(model, digits, config, fresh=fresh, on_epoch=lambda _: seen.append(state(model)))
    names = [name for name in learnt if "running" in name]
    assert not any(torch.equal(seen[1][name], learnt[name]) for name in names)
    for later in seen[2:]:
        assert all(torch.equal(later[name], seen[1][name]) for name in names)
    assert not torch.equal(seen[3]["0.0.weight"], seen[1]["0.0.weight"])


def test_blocks_near_the_image_learn_more_slowly():
    model = small_network()
    groups = optim.by_depth([part.parameters() for part in model], 0.5, 0.01)
    optimizer = optim.of_kind("sgd", groups, 0.1, 0.9)
    optim.set_learning_rate(optimizer, 0.2)
    rates = {p: group["lr"] for group in optimizer.param_groups for p in group["params"]}
    assert set(rates) == set(model.parameters())
    for part, rate in zip(model, (0.05, 0.1, 0.2), strict=True):
        assert all(rates[p] == pytest.approx(rate) for p in part.parameters())
    decayed = {p for group in optimizer.param_groups if group["weight_decay"] for p in group["params"]}
    assert decayed == {p for p in model.parameters() if p.ndim > 1}


@pytest.mark.parametrize("stopped", [1, 2])
def test_it_goes_on_as_if_it_had_not_been_stopped(digits, learnt, tmp_path, stopped):
    config = dataclasses.replace(CONFIG, head_epochs=1, layer_decay=0.8, freeze_share=0.3, frozen_stride=1)
    whole, fresh = pretrained(learnt)
    train.fit(whole, digits, config, fresh=fresh)
    path, resumed = tmp_path / "checkpoint", pretrained(learnt)[0]
    with pytest.raises(KeyboardInterrupt):
        train.fit(resumed, digits, config, fresh=fresh, checkpoint=path, on_epoch=StopAfter(stopped))
    other = small_network(seed=9)
    train.fit(other, digits, config, fresh=fresh, checkpoint=path)
    assert same(state(whole), state(other))
    assert all(p.requires_grad for p in other.parameters())


def test_nothing_learns_alone_where_nothing_is_fresh(digits, learnt):
    model = small_network()
    model.load_state_dict(learnt)
    result = train.fit(model, digits, dataclasses.replace(CONFIG, epochs=1), fresh=())
    assert result.config.head_epochs == 0
    assert result.config.learning_rate == PRETRAINED.rate(128)
    assert not torch.equal(model[0][0].weight, learnt["0.0.weight"])


def test_small_data_get_more_passes_and_large_ones_fewer():
    epochs = [train.TrainConfig().resolved(n, PRETRAINED).epochs for n in (100, 1000, 3000, 50_000)]
    assert epochs == sorted(epochs, reverse=True)
    assert epochs[0] == PRETRAINED.most_epochs
    assert epochs[-1] == PRETRAINED.fewest_epochs


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        ({"head_epochs": 3}, "head_epochs must leave some of the 3 epochs for the whole network, but got 3"),
        ({"head_epochs": -1}, "head_epochs must not be negative, but got -1"),
        ({"layer_decay": 0.0}, r"layer_decay must be in \(0, 1\], but got 0.0"),
        ({"freeze_share": 1.0}, r"freeze_share must be in \[0, 1\), but got 1.0"),
    ],
)
def test_settings_that_cannot_be(digits, bad, said):
    with pytest.raises(TrainingError, match=said):
        train.fit(small_network(), digits, dataclasses.replace(CONFIG, **bad), fresh=["2.5.weight"])


def test_the_last_layer_is_where_the_test_says():
    assert isinstance(small_network()[2][5], nn.Linear)
