"""Which images are right: what is kept of a network's answers, to compare it with others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwnas.errors import DataError
from hwnas.statistics.differences import Difference
from hwnas.statistics.intervals import clopper_pearson
from hwnas.tasks.base import Outcome


class Counted:
    """What follows from which images are taken for what they are, alone."""

    @property
    def right(self) -> NDArray[np.bool_]:
        """Which images are taken for what they are, shape (n,)."""
        raise NotImplementedError

    @property
    def images(self) -> int:
        """How many images."""
        return len(self.right)

    @property
    def value(self) -> float:
        """Accuracy."""
        return float(self.right.mean())

    @property
    def interval(self) -> tuple[float, float]:
        """95 % interval of the accuracy."""
        return clopper_pearson(int(self.right.sum()), len(self.right))

    def kept(self) -> dict[str, Any]:
        """One bit an image."""
        return {"images": len(self.right), "right": np.packbits(self.right).tobytes().hex()}


@dataclass(frozen=True, eq=False)
class Right(Counted):
    """Which images are taken for what they are.

    Attributes:
        rows: Shape (n,).
    """

    rows: NDArray[np.bool_]

    @property
    def right(self) -> NDArray[np.bool_]:
        """Shape (n,)."""
        return self.rows

    @classmethod
    def of_kept(cls, kept: Mapping[str, Any]) -> Right:
        """What ``kept`` wrote."""
        try:
            bits = np.frombuffer(bytes.fromhex(kept["right"]), np.uint8)
            if kept["images"] > 8 * len(bits):
                raise ValueError(f"{len(bits)} bytes for {kept['images']} images")
            return cls(np.unpackbits(bits, count=kept["images"]).astype(bool))
        except (LookupError, TypeError, ValueError) as error:
            raise DataError(f"kept answers must be one bit an image, but are not: {error}") from error


def difference(first: Sequence[Outcome], second: Sequence[Outcome]) -> Difference:
    """Of accuracies, by the images that only one has right; one outcome a training."""
    return Difference.of([_right(each) for each in first], [_right(each) for each in second])


def _right(outcome: Outcome) -> NDArray[np.bool_]:
    if not isinstance(outcome, Counted):
        raise TypeError(f"classes must be compared with classes, but got {type(outcome).__name__}")
    return outcome.right
