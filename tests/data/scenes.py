"""Pictures of rectangles whose masks and boxes are known, for tests."""

from __future__ import annotations

import numpy as np
from PIL import Image

COLOURS = {1: (220, 40, 40), 2: (40, 220, 40)}


def scene(seed, size=(48, 32), most=2):
    """A noisy picture, its mask (0 background, 1 or 2), and the boxes x1, y1, x2, y2 with their class."""
    rng = np.random.default_rng(seed)
    width, height = size
    pixels = rng.integers(0, 60, (height, width, 3)).astype(np.uint8)
    mask = np.zeros((height, width), np.uint8)
    objects = []
    for place in range(int(rng.integers(1, most + 1))):
        half = width // most
        left, top = place * half + int(rng.integers(0, half // 3)), int(rng.integers(0, height // 3))
        right, bottom = left + int(rng.integers(4, half // 2)), top + int(rng.integers(4, height // 2))
        number = int(rng.integers(1, 3))
        pixels[top:bottom, left:right] = COLOURS[number]
        mask[top:bottom, left:right] = number
        objects.append((left, top, right, bottom, number))
    return Image.fromarray(pixels), mask, objects
