"""What a training of detectors minimises: scores, boxes and, where there are bins, their distributions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch.nn import functional

from hwnas.tasks.assigning import Assigned, assigned
from hwnas.tasks.levels import Places, places

if TYPE_CHECKING:
    import numpy as np

_BOXES, _BINS = 2.0, 0.25  # weights as in arXiv:2006.04388

Answers = tuple[torch.Tensor, ...]
"""Scores and boxes of each level in turn; see ``levels.places``."""


@dataclass(frozen=True)
class ObjectLoss:
    """Quality focal loss of scores (arXiv:2006.04388), GIoU of boxes, distribution focal loss of bins.

    Each place counts by the score that it shall have; all is divided by the sum of those.
    """

    def mixed(
        self, images: torch.Tensor, targets: torch.Tensor, rng: np.random.Generator
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """As they are."""
        return images, targets

    def loss(self, outputs: Answers, targets: torch.Tensor) -> torch.Tensor:
        """Over all objects of the batch."""
        return object_loss(places(outputs), targets)

    def distance(self, outputs: Answers, taught: Answers) -> torch.Tensor:
        """KL of the teacher's probabilities to the student's, and GIoU of boxes where the teacher is sure.

        All by the teacher's best score of each place, and divided by the sum of those. Both have as many
        levels and classes; bins may differ.
        """
        mine, theirs = places(outputs), places(taught)
        chances = theirs.scores.sigmoid()
        sure = chances.amax(-1)
        apart = functional.binary_cross_entropy_with_logits(mine.scores, chances, reduction="none")
        apart = apart - functional.binary_cross_entropy_with_logits(theirs.scores, chances, reduction="none")
        boxes = 1 - giou(mine.boxes, theirs.boxes)
        return (apart.sum() + _BOXES * (sure * boxes).sum()) / sure.sum().clamp(min=1)

    def total(self, outputs: Answers, targets: torch.Tensor) -> torch.Tensor:
        """Mean APs of each image alone, summed."""
        from hwnas.tasks import detected

        found = detected.predicted([(outputs, targets)], losses=False).by_image.sum()
        return torch.tensor(float(found), device=outputs[0].device)


def object_loss(found: Places, targets: torch.Tensor) -> torch.Tensor:
    """The loss of some images together, a scalar.

    Args:
        found: What is answered.
        targets: Shape (n, most objects, 6); see ``hwnas.data.Split``.
    """
    wanted = assigned(found, targets)
    total = quality_focal(found.scores, wanted.scores)[wanted.counts].sum()
    there = wanted.weights > 0
    weights = wanted.weights[there]
    boxes = (1 - giou(found.boxes[there], wanted.boxes[there])) * weights
    total = total + _BOXES * boxes.sum()
    if found.bins > 1:
        total = total + _BINS * (_distributions(found, wanted, there) * weights).sum()
    return total / weights.sum().clamp(min=1)


def quality_focal(logits: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    """Cross-entropy with a score from 0 to 1, by the squared distance from it; the shape of both."""
    each = functional.binary_cross_entropy_with_logits(logits, wanted, reduction="none")
    return each * (logits.sigmoid() - wanted).square()


def giou(these: torch.Tensor, others: torch.Tensor) -> torch.Tensor:
    """IoU less the share of the hull that is in neither box (arXiv:1902.09630), in [-1, 1], shape (...).

    Args:
        these: Boxes, shape (..., 4).
        others: As many.
    """
    mine, theirs = ((boxes[..., 2:] - boxes[..., :2]).prod(-1) for boxes in (these, others))
    low = torch.maximum(these[..., :2], others[..., :2])
    high = torch.minimum(these[..., 2:], others[..., 2:])
    both = (high - low).clamp(min=0).prod(-1)
    either = mine + theirs - both
    outer_low = torch.minimum(these[..., :2], others[..., :2])
    outer_high = torch.maximum(these[..., 2:], others[..., 2:])
    hull = (outer_high - outer_low).prod(-1).clamp(min=1e-9)
    return both / either.clamp(min=1e-9) - (hull - either) / hull


def _distributions(found: Places, wanted: Assigned, there: torch.Tensor) -> torch.Tensor:
    """Cross-entropy with the two bins around each distance, the mean of four sides: shape (places there,)."""
    centres = found.centres.expand(len(there), -1, -1)[there]
    strides = found.strides.expand(len(there), -1)[there]
    boxes = wanted.boxes[there]
    far = torch.cat([centres - boxes[:, :2], boxes[:, 2:] - centres], dim=1) / strides[:, None]
    far = far.clamp(0, found.bins - 1 - 1e-3)
    low = far.floor().long()
    logs = functional.log_softmax(found.sides[there], -1)
    near = logs.gather(2, torch.stack([low, low + 1], dim=2))
    share = far - low
    return -(near[..., 0] * (1 - share) + near[..., 1] * share).mean(1)
