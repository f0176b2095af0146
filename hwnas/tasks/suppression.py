"""From scores and boxes of all places to the objects that are found."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Boxes = NDArray[np.float64]
"""x1, y1, x2, y2 in pixels; further columns may follow."""

LEAST = 0.05
"""Score under which nothing is looked at."""
OVERLAP = 0.6
"""IoU over which the less sure one of two boxes of a class is left out."""
MOST = 100
"""Objects an image."""
_CANDIDATES = 400
SCORE, KIND = 4, 5
"""Columns of found objects behind x1, y1, x2, y2."""


def objects(scores: NDArray[np.float64], boxes: Boxes, height: int, width: int) -> Boxes:
    """The objects of an image, the surest first: shape (objects, 6), corners, score, class.

    Class by class a box is left out that overlaps a surer one. Boxes are clipped to the image.

    Args:
        scores: From 0 to 1, shape (places, classes).
        boxes: Shape (places, 4).
        height: Of the image.
        width: Of the image.
    """
    places, kinds = np.nonzero(scores > LEAST)
    sure = scores[places, kinds]
    order = np.argsort(-sure, kind="stable")[:_CANDIDATES]
    places, kinds, sure = places[order], kinds[order], sure[order]
    clipped = np.clip(boxes[places], 0, (width, height, width, height))
    over = (overlaps(clipped, clipped) > OVERLAP) & (kinds[:, None] == kinds)
    kept, alive = [], np.ones(len(sure), bool)
    for row in range(len(sure)):
        if alive[row]:
            kept.append(row)
            alive &= ~over[row]
    kept = kept[:MOST]
    found: Boxes = np.column_stack([clipped[kept], sure[kept], kinds[kept]])
    return found


def overlaps(these: Boxes, others: Boxes, crowds: NDArray[np.bool_] | None = None) -> NDArray[np.float64]:
    """Intersection over union of all pairs, shape (these, others).

    Args:
        these: Boxes.
        others: Boxes.
        crowds: Which of the others are crowds: with those it is the share of a box that lies within.
    """
    low = np.maximum(these[:, None, :2], others[None, :, :2])
    high = np.minimum(these[:, None, 2:4], others[None, :, 2:4])
    both = (high - low).clip(min=0).prod(axis=-1)
    mine, theirs = areas(these)[:, None], areas(others)[None]
    either = mine + theirs - both
    if crowds is not None:
        either = np.where(crowds, mine, either)
    found: NDArray[np.float64] = np.divide(both, either, out=np.zeros_like(both), where=either > 0)
    return found


def areas(boxes: Boxes) -> NDArray[np.float64]:
    """Areas, shape (boxes,)."""
    found: NDArray[np.float64] = (boxes[:, 2:4] - boxes[:, :2]).prod(axis=1)
    return found
