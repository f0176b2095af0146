"""How far areas of a class and what a network takes for them overlap: what is kept, and compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwnas.errors import DataError
from hwnas.statistics import resampled
from hwnas.statistics.differences import Difference
from hwnas.statistics.intervals import NORMAL_95, wilson
from hwnas.tasks.base import Outcome

Counts = NDArray[np.int64]


def ious(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """Intersection over union of every class; NaN of one that is neither there nor predicted.

    Args:
        sums: Over images, shape (..., 2 * classes): intersections, then unions.
    """
    both, either = np.split(sums, 2, axis=-1)
    found: NDArray[np.float64] = np.divide(both, either, out=np.full_like(both, np.nan), where=either > 0)
    return found


def mean_iou(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean over the classes that are there or predicted; 0 where there is none. Shapes as of ``ious``."""
    each = ious(sums)
    known: NDArray[np.float64] = np.nansum(each, axis=-1) / np.maximum(1, np.isfinite(each).sum(axis=-1))
    return known


def guessed(pixels: Counts) -> dict[str, NDArray[np.float64]]:
    """What answers come to that do not look at the images, rows as of ``Overlaps.rows``.

    The commonest class everywhere, and the classes at random, each as often as it is there, which overlaps
    more where they are evenly frequent.

    Args:
        pixels: Of each class in each image, shape (images, classes).
    """
    total, whole = pixels.sum(axis=0), pixels.sum(axis=1, keepdims=True)
    often = total / max(1, int(total.sum()))
    found = {}
    for name, taken in (("constant", np.eye(len(total))[total.argmax()]), ("random", often)):
        both = pixels * taken
        found[name] = np.concatenate([both, pixels + whole * taken - both], axis=1)
    return found


@dataclass(frozen=True, eq=False)
class Overlaps:
    """Pixels of each class in each image, void ones left out.

    Attributes:
        intersections: That are of it and taken for it, shape (images, classes).
        unions: That are of it or taken for it, the same shape.
    """

    intersections: Counts
    unions: Counts

    @property
    def images(self) -> int:
        """How many images."""
        return len(self.unions)

    @cached_property
    def rows(self) -> NDArray[np.float64]:
        """What is summed over images: shape (images, 2 * classes)."""
        return np.concatenate([self.intersections, self.unions], axis=1).astype(np.float64)

    @cached_property
    def value(self) -> float:
        """Mean IoU, of the intersections and unions of all images."""
        return float(mean_iou(self.rows.sum(axis=0)))

    @cached_property
    def interval(self) -> tuple[float, float]:
        """95 % interval of it, by images that are drawn again.

        Images that are all alike do not say that others are too: there it is as wide as that of a share.
        """
        found = resampled.interval(self.rows, mean_iou)
        if found[0] < found[1] or self.images < 2:
            return found
        low, high = wilson(self.value, self.images)
        return min(low, self.value), max(high, self.value)

    @cached_property
    def certainty(self) -> int:
        """How many right or wrong answers a share of this value would be as certain on."""
        low, high = self.interval
        error = (high - low) / 2 / NORMAL_95
        return max(1, int(self.value * (1 - self.value) / error**2)) if error > 0 else self.images

    @cached_property
    def ious(self) -> tuple[float | None, ...]:
        """IoU by class; None of one that is neither there nor predicted."""
        found = ious(self.rows.sum(axis=0)).tolist()
        return tuple(None if np.isnan(value) else float(value) for value in found)

    @cached_property
    def iou_intervals(self) -> tuple[tuple[float, float], ...]:
        """95 % interval of each."""
        return tuple(resampled.intervals(self.rows, ious))

    @property
    def by_image(self) -> NDArray[np.float64]:
        """Mean IoU of each image alone, shape (images,)."""
        return mean_iou(self.rows)

    def kept(self) -> dict[str, Any]:
        """Both counts of every image."""
        return {"intersections": self.intersections.tolist(), "unions": self.unions.tolist()}

    @classmethod
    def of_kept(cls, kept: Mapping[str, Any]) -> Overlaps:
        """What ``kept`` wrote.

        Raises:
            DataError: It is damaged.
        """
        try:
            both, either = (np.array(kept[name]) for name in ("intersections", "unions"))
            is_whole = both.dtype.kind == either.dtype.kind == "i" and both.ndim == 2 and both.size > 0
            if not is_whole or both.shape != either.shape or (both < 0).any() or (both > either).any():
                raise ValueError(f"arrays of {both.shape} and {either.shape}")
            return Overlaps(both.astype(np.int64), either.astype(np.int64))
        except (LookupError, TypeError, ValueError) as error:
            raise DataError(
                f"kept answers must be intersections and unions of every image, but are not: {error}"
            ) from error


def difference(first: Sequence[Outcome], second: Sequence[Outcome]) -> Difference:
    """Of mean IoUs on the same images; one outcome a training."""
    return resampled.difference([_rows(each) for each in first], [_rows(each) for each in second], mean_iou)


def _rows(outcome: Outcome) -> NDArray[np.float64]:
    if not isinstance(outcome, Overlaps):
        raise TypeError(f"overlaps must be compared with overlaps, but got {type(outcome).__name__}")
    return outcome.rows
