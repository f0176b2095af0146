"""What a network's answers to labelled images come to: accuracies, each with its interval.

Everything follows from how often each class was answered for each class, so that a few counts are
all that is ever kept.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hwnas.errors import DataError
from hwnas.statistics.intervals import clopper_pearson, wilson

_SHUFFLES = 1000
_UNEVEN = 1.5  # the commonest class is more frequent than this times an even share: say balanced accuracy


def balanced_images(labels: ArrayLike) -> int:
    """How many evenly divided images a balanced accuracy is as certain as: by the rarest class, cautiously.

    Args:
        labels: Shape (n,).
    """
    counts = np.unique(np.asarray(labels), return_counts=True)[1]
    return int(len(counts) * counts.min())


@dataclass(frozen=True, eq=False)
class Answers:
    """How often each class was answered for each class.

    Attributes:
        counts: Shape (classes, classes): row the label, column the answer.
    """

    counts: NDArray[np.int64]

    @classmethod
    def of(cls, labels: ArrayLike, answered: ArrayLike, classes: int) -> Answers:
        """Count answers.

        Args:
            labels: Shape (n,), in 0..classes-1.
            answered: Shape (n,), the same.
            classes: How many there are.
        """
        pairs = np.asarray(labels, np.int64) * classes + np.asarray(answered, np.int64)
        return cls(np.bincount(pairs, minlength=classes * classes).reshape(classes, classes))

    def __post_init__(self) -> None:
        if self.counts.ndim != 2 or self.counts.shape[0] != self.counts.shape[1] or self.counts.sum() < 1:
            raise DataError(f"answers must be counts of classes by classes, but got {self.counts.shape}")

    @cached_property
    def images(self) -> int:
        """How many were answered."""
        return int(self.counts.sum())

    @cached_property
    def right(self) -> int:
        """How many of them rightly."""
        return int(np.trace(self.counts))

    @property
    def accuracy(self) -> float:
        """Share of right answers."""
        return self.right / self.images

    @cached_property
    def interval(self) -> tuple[float, float]:
        """95 % interval of the accuracy (Clopper and Pearson's, exact)."""
        return clopper_pearson(self.right, self.images)

    @cached_property
    def seen(self) -> NDArray[np.int64]:
        """Images of each class that has any."""
        of_class = self.counts.sum(axis=1)
        seen: NDArray[np.int64] = of_class[of_class > 0]
        return seen

    @cached_property
    def blind(self) -> float:
        """Accuracy of always giving the best constant answer."""
        return float(self.seen.max()) / self.images

    @cached_property
    def recalls(self) -> tuple[float | None, ...]:
        """Share of right answers by class; None of a class that has no image."""
        of_class, right = self.counts.sum(axis=1), np.diag(self.counts)
        return tuple(float(r) / int(n) if n else None for r, n in zip(right, of_class, strict=True))

    @property
    def balanced(self) -> float:
        """Balanced accuracy: mean of the recalls. Guessing gets one over the number of classes seen."""
        known = [recall for recall in self.recalls if recall is not None]
        return sum(known) / len(known)

    @cached_property
    def balanced_interval(self) -> tuple[float, float]:
        """95 % interval of the balanced accuracy.

        The squared arms of the recalls' own intervals (Wilson's) add up, as in Zou and Donner
        (Statistics in Medicine 27, 2008).
        """
        known = [recall for recall in self.recalls if recall is not None]
        ends = [wilson(recall, int(count)) for recall, count in zip(known, self.seen, strict=True)]
        below = math.hypot(*(recall - low for recall, (low, _) in zip(known, ends, strict=True)))
        above = math.hypot(*(high - recall for recall, (_, high) in zip(known, ends, strict=True)))
        return max(0.0, self.balanced - below / len(known)), min(1.0, self.balanced + above / len(known))

    @property
    def is_uneven(self) -> bool:
        """Whether the classes are so unevenly frequent that the plain accuracy misleads."""
        return self.blind > _UNEVEN / len(self.seen)

    @property
    def is_constant(self) -> bool:
        """Whether all images got the same answer."""
        return int((self.counts.sum(axis=0) > 0).sum()) == 1

    @cached_property
    def chance_of_balance(self) -> float:
        """One-sided p-value of "the answers have nothing to do with the labels".

        A permutation test of the balanced accuracy, with a fixed seed.
        """
        rng = np.random.default_rng(0)
        of_class = self.counts.sum(axis=1)
        labels = np.repeat(np.arange(len(of_class)), of_class)
        answered = np.concatenate([np.repeat(np.arange(len(row)), row) for row in self.counts])
        worth = np.array([1 / n if n else 0.0 for n in of_class])[labels]
        least = float(worth[labels == answered].sum()) - 1e-9
        hits = sum(float(worth[labels == rng.permutation(answered)].sum()) >= least for _ in range(_SHUFFLES))
        return (1 + hits) / (1 + _SHUFFLES)
