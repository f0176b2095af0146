import dataclasses

import numpy as np
import pytest
import torch
from torch import nn
from training_helpers import StopAfter, same, small_network, state

from hwnas import data, spaces, train
from hwnas.data.batches import steps_per_epoch
from hwnas.errors import TrainingError
from hwnas.train import optim
from hwnas.train.checkpoint import optimizer_tensors, restore_optimizer

CONFIG = train.TrainConfig(epochs=4, batch_size=64, learning_rate=0.1)


@pytest.fixture(scope="module")
def digits():
    return data.load("digits", resolution=8)


def test_digits_are_learnt_and_history_tells_how(digits):
    model = small_network()
    before = train.evaluate(model, digits)
    result = train.fit(model, digits, CONFIG)
    after = train.evaluate(model, digits)
    assert before.value < 0.3
    assert after.value > 0.7
    assert result.val == after
    assert [r.epoch for r in result.history] == [1, 2, 3, 4]
    assert result.history[-1].loss < result.history[0].loss
    assert result.history[-1].learning_rate < 0.01


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(digits):
    short = dataclasses.replace(CONFIG, epochs=1)
    runs = []
    for seed in (0, 0, 1):
        model = small_network()
        train.fit(model, digits, dataclasses.replace(short, seed=seed))
        runs.append(state(model))
    assert same(runs[0], runs[1])
    assert not same(runs[0], runs[2])


def test_global_random_state_is_neither_used_nor_changed(digits):
    short = dataclasses.replace(CONFIG, epochs=1)
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    architecture = spaces.load("macro", resolution=8).architecture([0] * 8)
    first = train.new_network(architecture, 0)
    train.fit(small_network(), digits, short)
    assert torch.equal(before, torch.random.get_rng_state())
    torch.manual_seed(6)
    assert same(state(first), state(train.new_network(architecture, 0)))
    assert not same(state(first), state(train.new_network(architecture, 1)))


def test_a_resumed_training_equals_an_uninterrupted_one_bit_for_bit(digits, tmp_path):
    whole = small_network()
    expected = train.fit(whole, digits, CONFIG)
    path = tmp_path / "checkpoint.safetensors"
    with pytest.raises(KeyboardInterrupt):
        train.fit(small_network(), digits, CONFIG, checkpoint=path, on_epoch=StopAfter(2))
    resumed = small_network(seed=9)  # its own weights must not matter
    seen, steps = [], []
    result = train.fit(
        resumed,
        digits,
        CONFIG,
        checkpoint=path,
        on_epoch=seen.append,
        on_step=lambda *said: steps.append(said),
    )
    assert [r.epoch for r in seen] == [3, 4]
    every = steps_per_epoch(len(digits.train), CONFIG.batch_size)
    assert steps == [(done, 4 * every) for done in range(2 * every + 1, 4 * every + 1)]
    assert same(state(whole), state(resumed))
    for one, two in zip(expected.history, result.history, strict=True):
        assert dataclasses.replace(one, seconds=0) == dataclasses.replace(two, seconds=0)


def test_a_checkpoint_of_another_training_is_refused(digits, tmp_path):
    path = tmp_path / "checkpoint.safetensors"
    short = dataclasses.replace(CONFIG, epochs=1)
    train.fit(small_network(), digits, short, checkpoint=path)
    with pytest.raises(TrainingError, match="differs in its config"):
        train.fit(small_network(), digits, CONFIG, checkpoint=path)
    other = data.load("digits", resolution=8, seed=1)
    with pytest.raises(TrainingError, match="differs in its data"):
        train.fit(small_network(), other, short, checkpoint=path)


def test_nan_stops_training_and_says_where(digits):
    model = small_network()
    with torch.no_grad():
        next(model.parameters()).fill_(float("nan"))
    with pytest.raises(TrainingError, match="finite, but got nan in step 1 of"):
        train.fit(model, digits, CONFIG)


def test_the_test_split_plays_no_part(digits):
    spoilt = dataclasses.replace(digits, test=data.Split(digits.test.images[:0], digits.test.labels[:0]))
    short = dataclasses.replace(CONFIG, epochs=1)
    one, two = small_network(), small_network()
    train.fit(one, digits, short)
    train.fit(two, spoilt, short)
    assert same(state(one), state(two))


def test_evaluate_leaves_the_model_as_it_was(digits):
    model = small_network().train()
    before = state(model)
    train.evaluate(model, digits, "test")
    assert model.training
    assert same(before, state(model))


def test_evaluate_knows_the_answer(digits):
    class Oracle(nn.Module):
        """Says the digit 3 with certainty."""

        def __init__(self):
            super().__init__()
            self.logits = nn.Parameter(torch.tensor([0.0] * 3 + [50.0] + [0.0] * 6))

        def forward(self, images):
            return self.logits.expand(len(images), 10)

    score = train.evaluate(Oracle(), digits)
    share = (digits.val.labels == 3).mean()
    assert score.value == pytest.approx(share)
    assert score.loss == pytest.approx(50 * (1 - share), rel=1e-6)


def test_weights_survive_the_file(digits, tmp_path):
    model, other = small_network(0), small_network(1)
    train.save_weights(model, tmp_path / "w.safetensors", {"architecture": "x"})
    metadata = train.load_weights(other, tmp_path / "w.safetensors")
    assert metadata["architecture"] == "x"
    assert same(state(model), state(other))


def test_weights_of_another_network_are_refused(tmp_path):
    path = tmp_path / "w.safetensors"
    train.save_weights(small_network(), path)
    other = nn.Sequential(nn.Linear(3, 2))
    with pytest.raises(TrainingError, match="same network"):
        train.load_weights(other, path)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(TrainingError, match="readable safetensors"):
        train.load_weights(small_network(), path)
    with pytest.raises(TrainingError, match=r"been trained, but .*none\.safetensors does not exist"):
        train.load_weights(small_network(), tmp_path / "none.safetensors")


def test_weight_decay_spares_batch_norm_and_biases():
    model = small_network()
    groups = optim.sgd(model.parameters(), learning_rate=0.1, momentum=0.9, weight_decay=0.01).param_groups
    decayed = {id(p) for g in groups if g["weight_decay"] > 0 for p in g["params"]}
    for module in model.modules():
        for name, parameter in module.named_parameters(recurse=False):
            is_weight = isinstance(module, nn.Conv2d | nn.Linear) and name == "weight"
            assert (id(parameter) in decayed) == is_weight


def test_the_learning_rate_rises_then_falls_to_zero():
    factors = [optim.cosine(step, 100, 10) for step in range(100)]
    assert factors[0] == pytest.approx(1 / 11)
    assert factors[10] == 1.0
    assert np.all(np.diff(factors[:11]) > 0)
    assert np.all(np.diff(factors[10:]) < 0)
    assert factors[-1] < 0.001


def test_optimiser_state_survives_in_the_parameters_layout():
    torch.manual_seed(0)
    conv = nn.Conv2d(3, 4, 3).to(memory_format=torch.channels_last)
    one = torch.optim.Adam(conv.parameters())
    conv(torch.randn(2, 3, 8, 8)).sum().backward()
    one.step()
    saved = {k: v.clone() for k, v in optimizer_tensors(one, conv.named_parameters()).items()}
    two = torch.optim.Adam(conv.parameters())
    restore_optimizer(two, conv.named_parameters(), saved)
    for parameter in conv.parameters():
        for entry, value in one.state[parameter].items():
            assert torch.equal(two.state[parameter][entry], value)
    moment = two.state[conv.weight]["exp_avg"]
    assert moment.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("bad", [{"epochs": 0}, {"learning_rate": 0}, {"momentum": 1}, {"clip_norm": 0}])
def test_settings_without_sense_are_refused(bad):
    with pytest.raises(TrainingError, match=next(iter(bad))):
        train.TrainConfig(**bad)


def test_a_device_that_is_not_there_is_refused():
    with pytest.raises(TrainingError, match="device must be cpu"):
        optim.pick_device("tpu")
