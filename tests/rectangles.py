"""Pictures of coloured rectangles on noise, with their boxes: a tiny set to find objects in."""

from __future__ import annotations

import numpy as np
from drawn import drawn

from hwnas import blocks
from hwnas.data.contents import CLASS, NO_OBJECT
from hwnas.space import IMAGE

NAMES = ("red", "green")
SIDE, MOST = 64, 3


def picture(rng):
    """An image and its objects; one in six shows none."""
    image = rng.normal(90, 20, (3, SIDE, SIDE))
    rows = np.zeros((MOST, 6), np.float32)
    rows[:, CLASS] = NO_OBJECT
    count = rng.choice(4, p=(1 / 6, 1 / 3, 1 / 3, 1 / 6))
    for row, left in zip(rows, rng.permutation(MOST)[:count] * (SIDE // MOST), strict=False):
        x, y = left + rng.integers(0, 5), rng.integers(0, SIDE - 34)
        width, height = rng.integers(10, 16), rng.integers(12, 34)
        kind = rng.integers(0, 2)
        image[kind, y : y + height, x : x + width] += 110
        row[:] = (x, y, x + width, y + height, kind, 0)
    return np.clip(image, 0, 255).astype(np.uint8), rows


def images(seed=0, counts=(128, 40, 40)):
    return drawn("rectangles", NAMES, picture, counts, seed, flip=True, task="detection")


def network(bins=1):
    """Four convolutions, a neck and a head on the last two: answers at an 8th and a 16th of the pictures."""
    body = [
        blocks.Conv(3, 8, stride=2), blocks.Conv(8, 16, stride=2), blocks.Conv(16, 24, stride=2),
        blocks.Conv(24, 32, stride=2),
    ]  # fmt: skip
    neck = blocks.Pyramid((24, 32), 24, blocks.pyramid.top_down(2), 3)
    head = blocks.DenseHead((24, 24), 24, len(NAMES), 1, bins, 3)
    return blocks.build([*body, neck, head], ((IMAGE,), (0,), (1,), (2,), (2, 3), (4,)))
