"""What a detector answers on its levels, as boxes in pixels of the picture: a row for every place.

The finest level is 8 times as coarse as the picture and each further one twice as coarse as the one before.
A place is the middle of a pixel of a level, ``(x + 0.5) * stride``. The sides of its box are as far away as
the head says, in pixels of the level: the softplus of the numbers of a head without bins, which is never
negative and has no dead end as ReLU has; or the mean of a distribution over 0, 1, … (arXiv:2006.04388).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch.nn import functional

from hwnas.known.decoders import FINEST_OF_OBJECTS


@dataclass(frozen=True, eq=False)
class Places:
    """Answers about all places of all levels, the finest level first.

    Attributes:
        scores: Logits, shape (n, places, classes).
        sides: What is said of the left, upper, right and lower side, shape (n, places, 4, bins).
        boxes: x1, y1, x2, y2 in pixels of the picture, shape (n, places, 4).
        centres: x and y in pixels of the picture, shape (places, 2).
        strides: Side of a pixel of the place's level, shape (places,).
    """

    scores: torch.Tensor
    sides: torch.Tensor
    boxes: torch.Tensor
    centres: torch.Tensor
    strides: torch.Tensor

    @property
    def bins(self) -> int:
        """Numbers that say one side; 1 for the distance itself."""
        return self.sides.shape[-1]

    def __getitem__(self, image: int) -> Places:
        """Of one image, as a batch of one."""
        rows = slice(image, image + 1)
        return Places(self.scores[rows], self.sides[rows], self.boxes[rows], self.centres, self.strides)


def places(outputs: Sequence[torch.Tensor]) -> Places:
    """Put levels together.

    Args:
        outputs: Scores (n, classes, h, w) and boxes (n, 4 * bins, h, w) of each level in turn.
    """
    scores, sides, centres, strides = [], [], [], []
    for number, (score, side) in enumerate(zip(outputs[::2], outputs[1::2], strict=True)):
        stride = FINEST_OF_OBJECTS * 2**number
        height, width = score.shape[2:]
        scores.append(score.flatten(2).transpose(1, 2))
        sides.append(side.flatten(2).transpose(1, 2).reshape(len(side), height * width, 4, -1))
        y, x = (
            (torch.arange(count, dtype=score.dtype, device=score.device) + 0.5) * stride
            for count in (height, width)
        )
        centres.append(torch.stack([x.repeat(height), y.repeat_interleave(width)], dim=1))
        strides.append(score.new_full((height * width,), stride))
    said, middles, steps = torch.cat(sides, 1), torch.cat(centres), torch.cat(strides)
    far = _distances(said) * steps[:, None]
    boxes = torch.cat([middles - far[..., :2], middles + far[..., 2:]], dim=-1)
    return Places(torch.cat(scores, 1), said, boxes, middles, steps)


def _distances(sides: torch.Tensor) -> torch.Tensor:
    """In pixels of the level, shape (n, places, 4)."""
    bins = sides.shape[-1]
    if bins == 1:
        return functional.softplus(sides[..., 0])
    return sides.softmax(-1) @ torch.arange(bins, dtype=sides.dtype, device=sides.device)
