"""Some of the images of a split, drawn so that every class is among them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def stratified_rows(labels: NDArray[np.int64], count: int, seed: int | Sequence[int]) -> NDArray[np.int64]:
    """Rows of a random sample in which classes are mixed as in the whole.

    The first rows hold one image of every class, as far as there is room; after that each class
    comes up in proportion to its size. That is true of every beginning of a sample as well: a
    shorter sample of the same seed is the beginning of a longer one, and batches that are cut
    from it one after another are mixed alike. Sources often list one class after another, so
    that their first images would be those of the first classes only.

    Args:
        labels: Shape (n,).
        count: How many; all of them in random order where there are fewer.
        seed: Where the randomness comes from.

    Returns:
        Different indices into ``labels``, shape (min(count, n),).
    """
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(labels))
    place = np.empty(len(labels))
    for label in np.unique(labels):
        members = order[labels[order] == label]
        place[members] = (np.arange(len(members)) + rng.random()) / len(members)
        place[members[0]] -= 1  # before everything else: no class is left out
    chosen: NDArray[np.int64] = order[np.argsort(place[order], kind="stable")][: max(0, count)]
    return chosen
