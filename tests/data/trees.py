"""Small folders of pictures for tests: every picture differs."""

from __future__ import annotations

from itertools import count

import numpy as np
from PIL import Image

_numbers = count()


def picture(size=(9, 8)):
    """A picture like no other."""
    rng = np.random.default_rng(next(_numbers))
    return Image.fromarray(rng.integers(0, 256, (size[1], size[0], 3)).astype(np.uint8))


def fill(folder, number=6, suffix=".png"):
    """A folder with so many pictures."""
    folder.mkdir(parents=True, exist_ok=True)
    for _ in range(number):
        picture().save(folder / f"{next(_numbers)}{suffix}")
    return folder


def tree(root, **folders):
    """Folders by path with ``__`` for the slash, and how many pictures each holds."""
    for name, number in folders.items():
        fill(root / name.replace("__", "/"), number)
    return root
