"""What int8 costs in accuracy: part of the verdict on an export, on validation images.

Answers may agree with PyTorch's to many decibels and still be worth less where classes are close,
so the accuracies themselves are compared, image by image.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hwnas import runtimes
from hwnas.errors import ExportError
from hwnas.export import parity
from hwnas.statistics.intervals import SIGNIFICANT, chance_of_swaps, paired_difference

if TYPE_CHECKING:
    from torch import nn

    from hwnas.data import Dataset

WORTH_SAYING = 0.01
"""A larger drop of accuracy is said."""

MOST = 0.05
"""A larger one is an error, unless more is allowed."""

_IMAGES = 2000
_BATCH = 64  # what the caches of a CPU hold


@dataclass(frozen=True)
class Int8Cost:
    """By how much an int8 model is less accurate than the network in PyTorch, on the same images.

    Attributes:
        runtime: What ran the model.
        images: Validation images that both answered.
        fp32: Accuracy of PyTorch, in [0, 1].
        int8: Accuracy of the model.
        gained: Images that only the model has right.
        lost: Images that only PyTorch has right.
    """

    runtime: str
    images: int
    fp32: float
    int8: float
    gained: int
    lost: int

    @property
    def drop(self) -> float:
        """Accuracy that is lost, in [-1, 1]."""
        return (self.lost - self.gained) / self.images

    @property
    def interval(self) -> tuple[float, float]:
        """95 % interval of the drop."""
        return paired_difference(self.lost, self.gained, self.images)

    @property
    def is_real(self) -> bool:
        """Whether chance does not explain that the two differ (McNemar's exact test)."""
        return chance_of_swaps(self.lost, self.gained) < SIGNIFICANT

    @property
    def is_harmful(self) -> bool:
        """Whether more is lost than need not be said."""
        return self.drop > WORTH_SAYING and self.is_real

    @property
    def said(self) -> str:
        """One sentence: what is lost, what the images can tell of it, and what to do."""
        low, high = self.interval
        text = (
            f"int8 through {self.runtime}: {self.int8:.1%} of {self.images:,} validation images are right, "
            f"{self.fp32:.1%} in fp32: a drop of {_points(self.drop)} points (95 %: {_points(low)} to "
            f"{_points(high)})"
        )
        if self.is_harmful:
            return f"{text}: fine-tune it with --qat-if-worse 0.01, or give more --calibration-images"
        if high > WORTH_SAYING:
            least = WORTH_SAYING * 100
            return f"{text}; {self.images:,} images cannot tell whether {least:g} point is lost"
        return text

    def to_json(self) -> dict[str, Any]:
        """A JSON object."""
        return {**asdict(self), "drop": self.drop, "interval": list(self.interval), "said": self.said}


def of_models(
    module: nn.Module, dataset: Dataset, models: Mapping[str, bytes], most: float = MOST
) -> list[Int8Cost]:
    """Compare int8 models with the network in fp32.

    Args:
        module: The network as it was trained.
        dataset: Its validation split is looked at, at most 2,000 images of it.
        models: int8 models by the runtime that runs them.
        most: Largest drop that is accepted, in [0, 1].

    Raises:
        ExportError: Some model loses more, and that is no chance.
    """
    split = dataset.sample("val", _IMAGES)
    images = [dataset.normalize(split.images[at : at + _BATCH]) for at in range(0, len(split), _BATCH)]
    exact = np.concatenate([parity.answers(module, part).argmax(axis=1) for part in images]) == split.labels
    found = []
    for name, model in models.items():
        logits = runtimes.run(model, name, np.concatenate(images))
        right = logits.argmax(axis=1) == split.labels
        gained, lost = int((right & ~exact).sum()), int((exact & ~right).sum())
        found.append(Int8Cost(name, len(split), float(exact.mean()), float(right.mean()), gained, lost))
    for cost in found:
        if cost.drop > most and cost.is_real:
            raise ExportError(
                f"int8 must lose at most {most * 100:g} points of accuracy, but {cost.said}; "
                f"--int8-drop {_up(cost.drop)} accepts it"
            )
    return found


def _points(share: float) -> str:
    return f"{share * 100:.1f}"


def _up(share: float) -> str:
    """A bound that is not below the share when it is typed."""
    return f"{np.ceil(share * 100) / 100:.2f}"
