"""Which weights and statistics stay after a training, and what few or uneven images do to it."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from torch import nn
from training_helpers import StopAfter, same, small_network, state

from hwnas import data, tasks, train
from hwnas.blocks import statistics
from hwnas.data.batches import steps_per_epoch
from hwnas.errors import TrainingError
from hwnas.evaluators.supernet.config import OneShotConfig
from hwnas.settings import requests, usual
from hwnas.tasks import recipes
from hwnas.tasks.base import LossSettings
from hwnas.tasks.classification import CrossEntropy, weights_of
from hwnas.train import config as settings

CONFIG = train.TrainConfig(epochs=3, batch_size=64)


@pytest.fixture(scope="module")
def digits():
    return data.load("digits", resolution=8)


def few(digits, per_class):
    """Two classes, 0 and 1, with so many images each in every split."""

    def cut(split):
        rows = np.concatenate(
            [np.flatnonzero(split.labels == n)[:count] for n, count in enumerate(per_class)]
        )
        return data.Split(split.images[rows], split.labels[rows])

    parts = {name: cut(digits.split(name)) for name in ("train", "val", "test")}
    return dataclasses.replace(digits, class_names=("0", "1"), **parts)


class Scripted(nn.Module):
    """A network whose answers get right by a script: so many images after so many steps."""

    def __init__(self, shares):
        super().__init__()
        self.shares = shares
        self.weight = nn.Parameter(torch.zeros(1))
        self.register_buffer("epoch", torch.zeros(()))

    def forward(self, images):
        if self.training:
            self.epoch += 1
            return self.weight * torch.ones(len(images), 10)
        share = self.shares[min(int(self.epoch), len(self.shares)) - 1]
        right = torch.arange(len(images)) < share * len(images)
        logits = torch.zeros(len(images), 10)
        logits[:, 3] = torch.where(right, 5.0, -5.0)
        return logits + 0 * self.weight


def test_the_epoch_that_is_best_on_validation_stays(digits):
    threes = data.Split(digits.train.images[:64], np.full(64, 3))
    only = dataclasses.replace(digits, train=threes, val=threes)
    model = Scripted([0.25, 0.75, 0.5])
    result = train.fit(model, only, CONFIG)
    assert [r.val_value for r in result.history] == [0.25, 0.75, 0.5]
    assert result.kept.epoch == 2
    assert result.val.value == 0.75
    assert int(model.epoch) == 2
    assert train.evaluate(model, only) == result.val


def test_of_equally_accurate_epochs_the_one_of_the_lower_loss_stays(digits):
    threes = data.Split(digits.train.images[:64], np.full(64, 3))
    result = train.fit(
        Scripted([0.5, 0.5, 0.5]), dataclasses.replace(digits, train=threes, val=threes), CONFIG
    )
    assert result.kept.epoch == 1
    assert not result.kept.recalibrated


@pytest.mark.slow
def test_the_best_epoch_survives_an_interruption(digits, tmp_path):
    """A rate that is far too high at its peak: validation goes up and down."""
    config = dataclasses.replace(CONFIG, epochs=5, learning_rate=6.0, warmup_share=0.9)
    whole, path = small_network(), tmp_path / "checkpoint.safetensors"
    expected = train.fit(whole, digits, config)
    best = max(expected.history, key=lambda r: (r.val_value, -r.val_loss)).epoch
    assert best < config.epochs - 1, "the case must be one"
    for seed, stop in ((0, best), (9, config.epochs - 1)):  # just then, and when it is long ago
        with pytest.raises(KeyboardInterrupt):
            train.fit(small_network(seed), digits, config, checkpoint=path, on_epoch=StopAfter(stop))
    resumed = small_network(seed=7)
    result = train.fit(resumed, digits, config, checkpoint=path)
    assert result.kept == expected.kept
    assert result.val == expected.val
    assert same(state(whole), state(resumed))


def test_statistics_that_few_steps_left_wrong_are_estimated_anew(digits):
    """Three steps move running statistics by a quarter of the way; the weights know more."""
    pairs = few(digits, (48, 48))
    model = small_network()
    result = train.fit(model, pairs, dataclasses.replace(CONFIG, batch_size=32, epochs=1))
    assert result.history[-1].val_value < 0.7
    assert result.val.value > result.history[-1].val_value + 0.1
    assert result.kept.recalibrated
    assert train.evaluate(model, pairs) == result.val


def test_statistics_of_frozen_parts_are_not_estimated_anew():
    model = nn.Sequential(nn.Sequential(nn.BatchNorm2d(3)), nn.BatchNorm2d(3))
    images = torch.randn(96, 3, 8, 8) * 2 + 3
    statistics.recalibrate(model, images.split(32), frozen=(model[0],))
    assert torch.equal(model[0][0].running_mean, torch.zeros(3))
    assert torch.equal(model[0][0].running_var, torch.ones(3))
    torch.testing.assert_close(model[1].running_mean, images.mean((0, 2, 3)), atol=1e-2, rtol=1e-3)
    assert all(module.training for module in model.modules())


def test_statistics_stay_where_they_are_better(digits, monkeypatch):
    def spoil(model, images, *, frozen):
        for norm in model.modules():
            if isinstance(norm, nn.BatchNorm2d):
                norm.running_mean.fill_(100.0)

    monkeypatch.setattr(statistics, "recalibrate", spoil)
    model = small_network()
    result = train.fit(model, digits, CONFIG)
    assert not result.kept.recalibrated
    assert result.val.value == max(r.val_value for r in result.history)
    assert train.evaluate(model, digits) == result.val


def test_estimated_statistics_are_those_of_the_images(digits):
    norm, images = nn.BatchNorm2d(3), torch.randn(96, 3, 8, 8)
    model = nn.Sequential(norm).eval()
    statistics.recalibrate(model, [*torch.split(images, 32), images[:1]])
    torch.testing.assert_close(norm.running_mean, images.mean((0, 2, 3)), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(norm.running_var, images.var((0, 2, 3)), atol=2e-2, rtol=0)
    assert norm.momentum == 0.1
    assert not model.training


@pytest.mark.parametrize("images", [2, 3, 5, 31, 33, 65])
@pytest.mark.parametrize("batch_size", [2, 3, 32])
def test_no_batch_has_a_single_image(images, batch_size):
    whole, rest = divmod(images, batch_size)
    steps = steps_per_epoch(images, batch_size)
    assert steps in {max(1, whole), whole + 1}
    if steps > whole >= 1:
        assert rest > 1


def test_a_last_batch_of_one_image_ends_no_training(digits):
    odd = few(digits, (9, 10))
    result = train.fit(small_network(), odd, dataclasses.replace(CONFIG, batch_size=2, epochs=1))
    assert np.isfinite(result.val.loss)


def test_a_batch_over_the_data_is_refused_and_what_is_left_open_is_not(digits):
    tiny = few(digits, (5, 5))
    with pytest.raises(TrainingError, match="batch_size must be at most the 10 training images, but got 11"):
        train.fit(small_network(), tiny, dataclasses.replace(CONFIG, batch_size=11))
    with pytest.raises(TrainingError, match="at most the 10 training images"):
        OneShotConfig(batch_size=64).resolved(10)
    assert OneShotConfig().resolved(10).batch_size == 10
    assert OneShotConfig().resolved(1000).batch_size == 64
    taught = requests.blockwise(usual("search.supernet"), "macro-r32-c10", 0, is_taught=True)
    assert [taught.resolved(images).batch_size for images in (10, 1000)] == [10, 32]
    assert taught.resolved(1000, tasks.get("detection").usual(pretrained=True).batch_size).batch_size == 8
    assert dataclasses.replace(taught, batch_size=32).resolved(1000, 8).batch_size == 32, "it was asked for"
    with pytest.raises(TrainingError, match="must be at most the 10 training images, but got 11"):
        dataclasses.replace(taught, batch_size=11).resolved(10)
    result = train.fit(small_network(), tiny, dataclasses.replace(CONFIG, batch_size=None, epochs=1))
    assert result.config.batch_size == 10


@pytest.mark.parametrize(("images", "epochs"), [(10, 60), (480, 60), (1150, 56), (3000, 22), (45_000, 8)])
def test_what_is_left_open_is_a_budget_of_steps_within_bounds(images, epochs):
    found = train.TrainConfig().resolved(images)
    assert found.epochs == epochs
    assert recipes.FROM_NOTHING.fewest_epochs <= epochs <= recipes.FROM_NOTHING.most_epochs
    assert train.TrainConfig(epochs=3).resolved(images).epochs == 3


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (name, value)
        for name in ("learning_rate", "weight_decay", "clip_norm", "momentum", "ema", "temperature")
        for value in (float("nan"), float("inf"), -1.0, 1e30)
        if (name, value) != ("clip_norm", 1e30)  # that only means not to clip
    ],
)
def test_numbers_that_are_none_or_absurd_are_refused(name, value):
    with pytest.raises(TrainingError, match=name):
        train.TrainConfig(**{name: value})
    if hasattr(OneShotConfig, name):
        with pytest.raises(TrainingError, match=name):
            OneShotConfig(**{name: value})


def test_class_weights_make_classes_count_the_same(digits):
    uneven = few(digits, (60, 12))
    weights = weights_of(uneven, torch.device("cpu"))
    counts = torch.tensor([60.0, 12.0])
    assert (weights[:2] * counts).tolist() == pytest.approx([36, 36])
    criterion = CrossEntropy(LossSettings(label_smoothing=0.1), 2, weights[:2])
    logits = torch.tensor([[2.0, 0.0], [0.0, 1.0], [1.0, 0.0]])
    labels = torch.tensor([0, 1, 1])
    plain = nn.functional.cross_entropy(logits, labels, reduction="none", label_smoothing=0.1)
    expected = (plain * weights[labels]).mean()
    torch.testing.assert_close(criterion.loss(logits, labels), expected)
    mixed = nn.functional.one_hot(labels, 2).float()
    torch.testing.assert_close(criterion.loss(logits, mixed), expected)


def test_class_weights_find_the_rare_class(digits):
    """Six images against sixty-odd for few steps: plain accuracy is content with the common class."""
    uneven = few(digits, (100, 6))
    scores = {}
    for name in settings.CLASS_WEIGHTS:
        config = dataclasses.replace(CONFIG, epochs=2, batch_size=32, class_weights=name)
        model = small_network()
        result = train.fit(model, uneven, config)
        assert result.config.class_weights == name
        scores[name] = result.val
    assert scores["balanced"].balanced >= scores["none"].balanced
    with pytest.raises(TrainingError, match=r"class_weights must be one of .*but got 'more'"):
        train.TrainConfig(class_weights="more")


def test_old_records_are_read_and_unknown_settings_named():
    old = {"epochs": 8, "batch_size": 32, "learning_rate": 0.1}
    assert train.TrainConfig.of_record(old) == train.TrainConfig(epochs=8, batch_size=32).resolved(1000)
    with pytest.raises(TrainingError, match="magic is not"):
        train.TrainConfig.of_record({**old, "magic": 1})
