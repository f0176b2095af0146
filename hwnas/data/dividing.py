"""Which images are drawn for a split that a source does not bring, and how they change places."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwnas.data import contents


def drawn(labels: NDArray[Any], share: float, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Which rows are drawn: this share of every class, at least one; shape (n,).

    Where an image shows several classes, every stratum (``contents.strata``) gives this share to within one
    image, and one of few images may give none: there need not be one of each in every split.
    """
    order = rng.permutation(len(labels))
    strata, chosen = contents.strata(labels), np.zeros(len(labels), bool)
    if contents.are_masks(labels) or contents.are_boxes(labels):
        order = order[np.argsort(strata[order], kind="stable")]
        count = min(max(1, round(share * len(order))), len(order) - 1)
        chosen[order[((np.arange(count) + rng.random()) * len(order) / count).astype(np.int64)]] = True
        return chosen
    for stratum in np.unique(strata):
        members = order[strata[order] == stratum]
        chosen[members[: max(1, round(share * len(members)))]] = True
    return chosen


def divided(rows: NDArray[Any], chosen: NDArray[np.bool_]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Rows that are not chosen, and those that are, each in order; both are parts of ``rows``, rearranged.

    No second copy of all images is ever in memory.
    """
    taken, kept = rows[chosen], np.flatnonzero(~chosen)
    for place, row in enumerate(kept):
        rows[place] = rows[row]
    rows[len(kept) :] = taken
    return rows[: len(kept)], rows[len(kept) :]
