"""A second task that lives in the tests: one number an image, mean squared error."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch.nn import functional

from hwnas.statistics.differences import Difference
from hwnas.statistics.verdict import FAIL, PASS, Verdict
from hwnas.tasks.base import Metric, Score
from hwnas.tasks.common import OnImages

SPLITS = ("train", "val", "test")


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
    def value(self):
        return float(self.errors.mean())

    @property
    def score(self):
        return Score(self.value, self.value)

    @property
    def details(self):
        return {"largest": float(self.errors.max())}

    def kept(self):
        return {"errors": self.errors.tolist()}

    @property
    def interval(self):
        return mean_interval(self.errors)[1]

    @property
    def learning(self):
        blind = float(self.targets.var())
        is_better = self.interval[1] < blind
        return Verdict(PASS) if is_better else Verdict(FAIL, (f"no better than the mean, {blind:.3g}",))

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


@dataclass(frozen=True, eq=False)
class Errors:
    errors: np.ndarray

    @property
    def images(self):
        return len(self.errors)

    @property
    def value(self):
        return float(self.errors.mean())

    @property
    def interval(self):
        return mean_interval(self.errors)[1]

    def kept(self):
        return {"errors": self.errors.tolist()}


class Brightness(OnImages):
    name = "brightness"
    metric = Metric("mean squared error", is_higher_better=False, is_share=False)

    def load(self, source, **options):
        """A file of ``write``; it brings its splits, so that seed and shares do nothing."""
        known = {name: options[name] for name in ("seed", "val_share", "test_share") if name in options}
        with np.load(source) as found:
            parts = {name: (found[f"{name}_images"], found[f"{name}_levels"]) for name in SPLITS}
        return dataset(str(Path(source).resolve()), parts, **known)

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

    def merit(self, score, class_weights, counts=None):
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

    def outcome(self, kept):
        return Errors(np.array(kept["errors"]))

    def difference(self, first, second):
        gains = np.mean([s.errors - f.errors for f, s in zip(first, second, strict=True)], axis=0)
        mean, interval = mean_interval(gains)
        noise = 0.02 * float(np.mean([each.value for each in second]))
        return Difference(mean, interval, None, len(gains), len(first), noise=noise)


def dataset(name, parts, *, seed=0, val_share=0.2, test_share=0.2):
    """The images of each split, and how bright they are meant to be."""
    from hwnas.data import Dataset, Split

    return Dataset(
        name, ("brightness",), **{split: Split(*part) for split, part in parts.items()}, mean=(0.5,) * 3,
        std=(0.2,) * 3, flip=True, seed=seed, val_share=val_share, test_share=test_share, task="brightness",
    )  # fmt: skip


def images(seed=0):
    """Grey squares of noise around a brightness that is to be found, standardised."""
    rng = np.random.default_rng(seed)

    def split(count):
        level = rng.uniform(40, 215, count)
        noise = rng.normal(0, 20, (count, 3, 8, 8))
        pixels = np.clip(level[:, None, None, None] + noise, 0, 255).astype(np.uint8)
        return pixels, ((level - 127.5) / 50).astype(np.float32)

    counts = (("train", 256), ("val", 128), ("test", 128))
    return dataset("brightness", {name: split(count) for name, count in counts}, seed=seed)


def write(path, data):
    """Images as a file that the task reads."""
    arrays = {}
    for name in SPLITS:
        split = data.split(name)
        arrays |= {f"{name}_images": split.images, f"{name}_levels": split.labels}
    np.savez(path, **arrays)
    return path
