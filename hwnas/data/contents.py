"""What labels say that images show, whatever the task: classes, their mix, which image equals which.

Labels are told by their shape and type, as ``Split`` describes them, so that a task of a user's own that
labels images in the same way is served as well.
"""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

VOID = 255
"""The class of a pixel that does not count."""
NO_OBJECT = -1
"""The class of a row of boxes that is no object."""
CLASS, CROWD = 4, 5
"""Columns of boxes behind x1, y1, x2, y2."""


def are_masks(labels: Any) -> bool:
    """Whether labels, an array or a tensor, are a class for each pixel."""
    return labels.ndim == 3 and "uint8" in str(labels.dtype)


def are_boxes(labels: Any) -> bool:
    """Whether labels, an array or a tensor, are boxes of objects."""
    return labels.ndim == 3 and labels.shape[2] == CROWD + 1 and "float" in str(labels.dtype)


def present(labels: NDArray[Any]) -> NDArray[np.bool_] | None:
    """Which classes each image shows, shape (n, classes up to the last one shown); None of other labels."""
    if are_masks(labels):
        counts = (np.bincount(mask.reshape(-1), minlength=256)[:VOID] for mask in labels)
        there = np.stack([count > 0 for count in counts]) if len(labels) else np.zeros((0, 1), bool)
    elif are_boxes(labels):
        classes = labels[..., CLASS].astype(np.int64)
        there = np.zeros((len(labels), max(1, int(classes.max(initial=0)) + 1)), bool)
        images, rows = np.nonzero(classes != NO_OBJECT)
        there[images, classes[images, rows]] = True
    else:
        return None
    return there[:, : max(1, int(np.flatnonzero(there.any(axis=0)).max(initial=0)) + 1)]


def strata(labels: NDArray[Any]) -> NDArray[np.int64]:
    """What samples are mixed by, shape (n,).

    The class of an image; where it shows several, the one of them that the fewest images show, so that a
    sample which has one image of every stratum has the rare classes; -1 where it shows none. One stratum for
    all where labels are of another kind.
    """
    if labels.ndim == 1 and labels.dtype.kind in "iu":
        return labels
    there = present(labels)
    if there is None:
        return np.zeros(len(labels), np.int64)
    images = np.where(there, there.sum(axis=0), len(labels) + 1)
    rarest: NDArray[np.int64] = images.argmin(axis=1).astype(np.int64)
    rarest[~there.any(axis=1)] = -1
    return rarest


def identities(labels: NDArray[Any]) -> list[Any]:
    """One value an image, equal where labels are."""
    if labels.ndim == 1:
        return list(labels.tolist())
    return [hashlib.blake2b(np.ascontiguousarray(row).tobytes(), digest_size=16).digest() for row in labels]
