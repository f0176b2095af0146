"""A second task that lives in the tests: one number an image, mean squared error."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from torch.nn import functional

from hwnas.statistics.differences import Difference
from hwnas.statistics.verdict import FAIL, PASS, Verdict
from hwnas.tasks.base import Metric, Score


def mean_interval(values):
    """Mean and 95 % interval of it."""
    half = 1.96 * float(values.std(ddof=1)) / math.sqrt(len(values))
    mean = float(values.mean())
    return mean, (mean - half, mean + half)


@dataclass(frozen=True, eq=False)
class Numbers:
    outputs: np.ndarray
    targets: np.ndarray

    @property
    def errors(self):
        return (self.outputs.astype(np.float64) - self.targets) ** 2

    @property
    def images(self):
        return len(self.targets)

    @property
    def score(self):
        value = float(self.errors.mean())
        return Score(value, value)

    @property
    def interval(self):
        return mean_interval(self.errors)[1]

    @property
    def learning(self):
        blind = float(self.targets.var())
        is_better = self.interval[1] < blind
        return Verdict(PASS) if is_better else Verdict(FAIL, (f"no better than the mean, {blind:.3g}",))

    def gain(self, other):
        mean, interval = mean_interval(other.errors - self.errors)
        return Difference(mean, interval, None, self.images, 1)

    def to_json(self):
        found = self.score.to_json(Brightness.metric)
        return {**found, "images": self.images, "interval": list(self.interval)}


@dataclass(frozen=True)
class SquaredError:
    def mixed(self, images, targets, rng):
        return images, targets

    def loss(self, outputs, targets):
        return functional.mse_loss(outputs[:, 0], targets)

    def distance(self, outputs, taught):
        return functional.mse_loss(outputs, taught)

    def total(self, outputs, targets):
        return functional.mse_loss(outputs[:, 0], targets, reduction="sum")


class Brightness:
    name = "brightness"
    metric = Metric("mean squared error", is_higher_better=False, is_share=False)

    def load(self, source, **options):
        raise NotImplementedError("the tests make the images themselves")

    def outputs(self, data):
        return 1

    def criterion(self, data, settings, device):
        return SquaredError()

    def blindness(self, data):
        blind = float(data.train.labels.var())
        return blind, 100 * (blind + 1)

    def loss_sum(self, outputs, targets):
        return functional.mse_loss(outputs[:, 0], targets, reduction="sum")

    def predictions(self, batches):
        found = [(outputs[:, 0].cpu().numpy(), targets.cpu().numpy()) for outputs, targets in batches]
        return Numbers(*map(np.concatenate, zip(*found, strict=True)))

    def least_gain(self, value, images):
        return 0.05 * value

    def merit(self, score, class_weights, few=None):
        return 1 / (1 + score.value)

    def merit_name(self, class_weights):
        return "closeness"

    def effective_images(self, targets, class_weights):
        return len(targets)

    def blind_search(self, merits, targets, images, class_weights):
        blind = 1 / (1 + float(targets.var()))
        return None if max(merits) > blind else "scored blindly"

    def is_clearly_worse(self, one, other, images):
        return False

    def mistakes(self, predictions, data, split):
        return None


def images(seed=0):
    """Grey squares of noise around a brightness that is to be found, standardised."""
    from hwnas.data import Dataset, Split

    rng = np.random.default_rng(seed)

    def split(count):
        level = rng.uniform(40, 215, count)
        noise = rng.normal(0, 20, (count, 3, 8, 8))
        pixels = np.clip(level[:, None, None, None] + noise, 0, 255).astype(np.uint8)
        return Split(pixels, ((level - 127.5) / 50).astype(np.float32))

    parts = {name: split(count) for name, count in (("train", 256), ("val", 128), ("test", 128))}
    return Dataset(
        "brightness", ("brightness",), **parts, mean=(0.5,) * 3, std=(0.2,) * 3, flip=True, seed=seed,
        val_share=0.2, test_share=0.2, task="brightness",
    )  # fmt: skip
