"""Pictures of squares and discs on noise, with the class of every pixel: a tiny set to segment."""

from __future__ import annotations

import numpy as np
from drawn import drawn

from hwnas import blocks
from hwnas.space import IMAGE

NAMES = ("ground", "square", "disc")
SIDE = 32


def picture(rng):
    """An image and its mask; the rim of a shape is void, as where people draw."""
    y, x = np.mgrid[:SIDE, :SIDE]
    image = rng.normal(90, 20, (3, SIDE, SIDE))
    mask = np.zeros((SIDE, SIDE), np.uint8)
    for number, left in ((1, 0), (2, SIDE // 2)):
        if rng.random() < 0.8:
            centre = rng.integers(9, SIDE - 9), left + rng.integers(5, SIDE // 2 - 5)
            away = np.abs(y - centre[0]), np.abs(x - centre[1])
            far = np.maximum(*away) if number == 1 else np.hypot(*away)
            size = rng.integers(5, 9)
            mask[far < size + 1] = 255
            mask[far < size] = number
            image[number, far < size] += 90
    return np.clip(image, 0, 255).astype(np.uint8), mask


def images(seed=0, counts=(96, 40, 40)):
    return drawn("shapes", NAMES, picture, counts, seed, flip=False, task="segmentation")


def network():
    """Three convolutions and LR-ASPP on the last two: logits at a quarter of the pictures' size."""
    body = [blocks.Conv(3, 8, stride=2), blocks.Conv(8, 16, stride=2), blocks.Conv(16, 32, stride=2)]
    head = blocks.LRASPP((16, 32), 16, len(NAMES), 2)
    return blocks.build([*body, head], ((IMAGE,), (0,), (1,), (1, 2)))
