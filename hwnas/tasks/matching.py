"""Which found objects meet which true ones, image by image, as COCO's evaluation has it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hwnas.data.contents import CLASS, CROWD, NO_OBJECT
from hwnas.tasks.precision import THRESHOLDS, Matches
from hwnas.tasks.suppression import KIND, SCORE, Boxes, areas, overlaps

SIZES = {"small": (0.0, 32.0**2), "medium": (32.0**2, 96.0**2), "large": (96.0**2, 1e10)}
"""Areas of boxes in pixels of what the network is fed."""
EVERY = 0.0, 1e10

Range = tuple[float, float]


def truths_of(targets: NDArray[np.float32]) -> list[Boxes]:
    """The objects of each image, without the rows that are none."""
    return [rows[rows[:, CLASS] != NO_OBJECT].astype(np.float64) for rows in targets]


def matches(found: Sequence[Boxes], truths: Sequence[Boxes], classes: int, size: Range = EVERY) -> Matches:
    """Compare what is found in images with what is there.

    Objects that are crowds or of another size may be found or not; what is found and is of another size than
    asked for and meets nothing counts neither.

    Args:
        found: Of each image, shape (objects, 6): corners, score, class.
        truths: Of each image, shape (objects, 6): corners, class, crowd.
        classes: How many there are.
        size: Smallest and largest area of a box.
    """
    counts = np.zeros((len(found), classes), np.int64)
    parts = []
    for image, (mine, true) in enumerate(zip(found, truths, strict=True)):
        is_void = (true[:, CROWD] > 0) | ~_within(true, size)
        counts[image] = np.bincount(true[~is_void, CLASS].astype(np.int64), minlength=classes)
        for kind in np.unique(mine[:, KIND]):
            some, there = mine[mine[:, KIND] == kind], true[:, CLASS] == kind
            some = some[np.argsort(-some[:, SCORE], kind="stable")]
            right, void = _matched(some, true[there], is_void[there])
            void |= ~right & ~_within(some, size)[:, None]
            parts.append((np.full(len(some), image), some[:, KIND], some[:, SCORE], right & ~void, void))
    none = np.zeros((0, len(THRESHOLDS)), bool)
    parts.append((np.zeros(0), np.zeros(0), np.zeros(0), none, none))
    at, kinds, sure, right, void = map(np.concatenate, zip(*parts, strict=True))
    return Matches(counts, at.astype(np.int64), kinds.astype(np.int64), sure, right, void)


def _within(boxes: Boxes, size: Range) -> NDArray[np.bool_]:
    area = areas(boxes)
    found: NDArray[np.bool_] = (area >= size[0]) & (area <= size[1])
    return found


def _matched(
    found: Boxes, truths: Boxes, is_void: NDArray[np.bool_]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which are matched at all, and which with a truth that does not count: shape (found, thresholds) both.

    The surest one takes the truth that it overlaps most, rather one that counts; a crowd can be taken often.

    Args:
        found: Of one class, the surest first.
        truths: Of the same class.
        is_void: Which of them do not count.
    """
    met = np.zeros((len(found), len(THRESHOLDS)), bool)
    void = met.copy()
    if not len(truths):
        return met, void
    is_crowd = truths[:, CROWD] > 0
    over = overlaps(found, truths, is_crowd)
    free = np.ones((len(THRESHOLDS), len(truths)), bool)
    rows = np.arange(len(THRESHOLDS))
    least = np.minimum(THRESHOLDS, 1 - 1e-10)[:, None]
    for row in np.flatnonzero(over.max(axis=1) >= THRESHOLDS[0]):
        wanted = np.where(free & (over[row] >= least), over[row] + 2 * ~is_void, -1.0)
        taken = wanted.shape[1] - 1 - wanted[:, ::-1].argmax(axis=1)  # of equal ones the last, as COCO's
        met[row] = wanted[rows, taken] >= 0
        void[row] = met[row] & is_void[taken]
        free[rows[met[row]], taken[met[row]]] = False
        free[:, is_crowd] = True
    return met, void
