"""Which places of a detector are to answer for which objects: task-aligned assignment (arXiv:2108.07755).

The places within an object compete for it by ``score * IoU ** 6`` of what they answer now; the best 13 learn
it. The best of them shall score its class by the IoU that it reaches, the others in proportion.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from hwnas.data.contents import CLASS, CROWD, NO_OBJECT
from hwnas.tasks.levels import Places

_POWER = 6  # of the IoU
_MOST = 13  # places an object


@dataclass(frozen=True, eq=False)
class Assigned:
    """What places shall answer.

    Attributes:
        scores: Shape (n, places, classes); 0 of what is not there.
        counts: Where scores count, the same shape: not in a crowd of the class.
        weights: The score of the place's own object, shape (n, places); 0 of a place that has none.
        boxes: Of that object, x1, y1, x2, y2, shape (n, places, 4); of a place that has none any numbers.
    """

    scores: torch.Tensor
    counts: torch.Tensor
    weights: torch.Tensor
    boxes: torch.Tensor


@torch.no_grad()
def assigned(found: Places, targets: torch.Tensor) -> Assigned:
    """Assign places to objects.

    Args:
        found: What is answered.
        targets: Objects, shape (n, most objects, 6); see ``hwnas.data.Split``.
    """
    kinds = targets[..., CLASS].long()
    used = (kinds != NO_OBJECT).any(0)
    used[0] = True  # one row at least
    targets, kinds = targets[:, used], kinds[:, used]
    boxes = targets[..., :CLASS]
    is_crowd = (targets[..., CROWD] > 0) & (kinds != NO_OBJECT)
    asked = (kinds != NO_OBJECT) & ~is_crowd
    rows = torch.arange(len(targets), device=targets.device)[:, None]
    chances = found.scores.sigmoid().transpose(1, 2)[rows, kinds.clamp(min=0)]  # n, objects, places
    overlaps = pairwise_iou(boxes, found.boxes)
    fitness = chances * overlaps**_POWER * (within(boxes, found) & asked[..., None])
    best = fitness.topk(min(_MOST, fitness.shape[2])).indices
    chosen = torch.zeros_like(fitness, dtype=torch.bool).scatter_(2, best, True) & (fitness > 0)
    overlap, owner = torch.where(chosen, overlaps, -1.0).max(1)  # of a place that several want, the nearest
    places = torch.arange(owner.shape[1], device=owner.device)
    mine = torch.zeros_like(chosen)
    mine[rows, owner, places] = overlap >= 0
    fitness, overlaps = fitness * mine, overlaps * mine
    scale = overlaps.amax(2, keepdim=True) / fitness.amax(2, keepdim=True).clamp(min=1e-30)
    weights = (fitness * scale)[rows, owner, places]
    scores = torch.zeros_like(found.scores)
    scores[rows, places, kinds.gather(1, owner).clamp(min=0)] = weights
    counts = torch.ones_like(scores, dtype=torch.bool)
    image, crowd, place = (within(boxes, found) & is_crowd[..., None] & (overlap < 0)[:, None]).nonzero(
        as_tuple=True
    )
    counts[image, place, kinds[image, crowd]] = False
    return Assigned(scores, counts, weights, boxes[rows, owner])


def within(boxes: torch.Tensor, found: Places) -> torch.Tensor:
    """Which places are in which boxes (n, m, 4), shape (n, m, places).

    A box that is smaller than a pixel of a level counts as large as that, so that it has a place.
    """
    half = (boxes[..., 2:] - boxes[..., :2]) / 2
    middle = boxes[..., :2] + half
    far = (found.centres - middle[..., None, :]).abs()
    return (far <= torch.maximum(half[..., None, :], found.strides[:, None] / 2)).all(-1)


def pairwise_iou(these: torch.Tensor, others: torch.Tensor) -> torch.Tensor:
    """Intersection over union of boxes (n, m, 4) and (n, k, 4), shape (n, m, k)."""
    low = torch.maximum(these[:, :, None, :2], others[:, None, :, :2])
    high = torch.minimum(these[:, :, None, 2:], others[:, None, :, 2:])
    both = (high - low).clamp(min=0).prod(-1)
    areas = ((boxes[..., 2:] - boxes[..., :2]).prod(-1) for boxes in (these, others))
    mine, theirs = areas
    return both / (mine[:, :, None] + theirs[:, None] - both).clamp(min=1e-9)
