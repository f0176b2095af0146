"""How well the boundaries of areas are met, beside how far the areas overlap.

Precision is the share of predicted boundary pixels of a class that have a true one of that class near,
recall the other way round; their F measure is averaged over the classes of an image (Csurka et al., BMVC
2013; as used in arXiv:1907.05740). Near is within a square of 0.75 % of the image's diagonal to each side.

People leave the rims of objects void, where the boundaries are: what is void and near a class is given to the
nearest one, so that a boundary is in the middle of its rim.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from hwnas.tasks.pixelwise import VOID, counted

if TYPE_CHECKING:
    import torch

_NEAR = 0.0075  # of the diagonal
_BITS = 62  # of a whole number


def tolerance(height: int, width: int) -> int:
    """How many pixels away a boundary is still met; at least one."""
    return max(1, round(_NEAR * math.hypot(height, width)))


def f_measures(predicted: torch.Tensor, truth: torch.Tensor, classes: int) -> torch.Tensor:
    """Of each image, shape (n,), float64; 1 where there is no boundary and none is predicted.

    Args:
        predicted: Classes, shape (n, h, w).
        truth: The same; what is void and near no class is left out.
        classes: How many there are.
    """
    import torch

    near = tolerance(*truth.shape[1:])
    truth = filled(truth, near)
    predicted = predicted.masked_fill(truth == VOID, VOID)
    ours, theirs = (edges(predicted), predicted), (edges(truth), truth)
    precision, mine = _met(ours, theirs, near, classes)
    recall, true = _met(theirs, ours, near, classes)
    found = 2 * precision * recall / (precision + recall).clamp(min=1e-12)
    there = (mine + true > 0).sum(1)
    return torch.where(there > 0, found.sum(1) / there.clamp(min=1), 1.0)


def edges(areas: torch.Tensor) -> torch.Tensor:
    """Which pixels have one of another class above, below, left or right; void counts for none."""
    import torch

    found = torch.zeros_like(areas, dtype=torch.bool)
    known = areas != VOID
    for axis in (1, 2):
        length = areas.shape[axis] - 1
        differs = areas.narrow(axis, 0, length) != areas.narrow(axis, 1, length)
        differs &= known.narrow(axis, 0, length) & known.narrow(axis, 1, length)
        found.narrow(axis, 0, length).logical_or_(differs)
        found.narrow(axis, 1, length).logical_or_(differs)
    return found


def filled(areas: torch.Tensor, steps: int) -> torch.Tensor:
    """Areas (n, h, w) that have grown into what is void, from all sides by so many pixels."""
    for _ in range(steps):
        if not (areas == VOID).any():
            break
        before, areas = areas, areas.clone()
        for axis in (1, 2):
            length = areas.shape[axis] - 1
            for to, of in ((0, 1), (1, 0)):
                grown = areas.narrow(axis, to, length)
                grown.copy_(grown.where(grown != VOID, before.narrow(axis, of, length)))
    return areas


Rims = tuple["torch.Tensor", "torch.Tensor"]
"""Which pixels are a boundary, and the class of every pixel, shape (n, h, w) both."""


def _met(these: Rims, others: Rims, near: int, classes: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Of each class in each image, shape (n, classes), float64.

    Returns:
        Share of the boundary pixels that have one of the same class near in the other image, 0 of none; and
        how many boundary pixels there are.
    """
    import torch

    (rim, areas), (other_rim, other_areas) = these, others
    hit = torch.zeros_like(rim)
    for first in range(0, classes, _BITS):  # a bit for each class: all of them spread at once
        bits = torch.where(other_rim, _bits(other_areas, first), 0)
        hit |= (_spread(bits, near) & _bits(areas, first)) != 0
    total, met = counted(areas, rim, classes).double(), counted(areas, rim & hit, classes).double()
    return met / total.clamp(min=1), total


def _bits(areas: torch.Tensor, first: int) -> torch.Tensor:
    """The bit of each pixel's class where it is one of those from the first on that have one, or else 0."""
    import torch

    place = areas - first
    is_one = (place >= 0) & (place < _BITS)
    return torch.where(is_one, torch.ones_like(areas) << place.clamp(0, _BITS - 1), 0)


def _spread(bits: torch.Tensor, near: int) -> torch.Tensor:
    """All bits within a square of so many pixels to each side."""
    for axis in (1, 2):
        around = bits.clone()
        for far in range(1, min(near, bits.shape[axis] - 1) + 1):
            length = bits.shape[axis] - far
            around.narrow(axis, 0, length).bitwise_or_(bits.narrow(axis, far, length))
            around.narrow(axis, far, length).bitwise_or_(bits.narrow(axis, 0, length))
        bits = around
    return bits
