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

from hwnas.tasks.pixelwise import VOID

if TYPE_CHECKING:
    import torch

_NEAR = 0.0075  # of the diagonal


def tolerance(height: int, width: int) -> int:
    """How many pixels away a boundary is still met; at least one."""
    return max(1, round(_NEAR * math.hypot(height, width)))


def f_measures(predicted: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """Of each image, shape (n,), float64; 1 where there is no boundary and none is predicted.

    Args:
        predicted: Classes, shape (n, h, w).
        truth: The same; what is void and near no class is left out.
    """
    import torch

    near = tolerance(*truth.shape[1:])
    truth = filled(truth, near)
    predicted = predicted.masked_fill(truth == VOID, VOID)
    ours, theirs = map(edges, (predicted, truth))
    total, classes = torch.zeros(2, len(truth), dtype=torch.float64, device=truth.device)
    for number in torch.unique(torch.cat([predicted[ours], truth[theirs]])).tolist():
        mine, true = ours & (predicted == number), theirs & (truth == number)
        precision, recall = _met(mine, true, near), _met(true, mine, near)
        total += 2 * precision * recall / (precision + recall).clamp(min=1e-12)
        classes += mine.any(2).any(1) | true.any(2).any(1)
    return torch.where(classes > 0, total / classes.clamp(min=1), 1.0)


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


def _met(these: torch.Tensor, others: torch.Tensor, near: int) -> torch.Tensor:
    """Share of pixels that have one of the others near, image by image, float64; 0 of none."""
    from torch.nn import functional

    around = others[:, None].float()
    for size, padding in (((2 * near + 1, 1), (near, 0)), ((1, 2 * near + 1), (0, near))):
        around = functional.max_pool2d(around, size, 1, padding)
    hits = (these & (around[:, 0] > 0)).sum((1, 2)).double()
    return hits / these.sum((1, 2)).clamp(min=1)
