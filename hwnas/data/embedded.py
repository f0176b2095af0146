"""Sources of images that come with hwnas: they have a name instead of a path."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from hwnas.data import clutter
from hwnas.data.digits import digits
from hwnas.data.images import Account, Images, require_room
from hwnas.data.names import shown
from hwnas.data.pixels import Picture
from hwnas.errors import DataError

IMAGES = 12_500
"""Of a drawn set that does not say how many: 8,000 are for training, with the usual shares."""
_FEWEST = 100
_MOST = 999_999_999
_DRAWN: Mapping[str, clutter.Scene] = {
    "clutter": clutter.SCENE,
    "clutter-64": clutter.SCENE_64,
    "clutter-hard": clutter.HARD,
    "clutter-hard-64": clutter.HARD_64,
}
NAMES = ("digits", *_DRAWN)


class Reader(Protocol):
    """Reads at a resolution; what is drawn follows from the seed and is divided by the shares."""

    def __call__(self, resolution: int, seed: int, val_share: float, test_share: float) -> Images:
        """The images."""


def is_embedded(source: str | Path) -> bool:
    """Whether a source is the name of embedded images, not a path."""
    return str(source).partition(":")[0] in NAMES


def reader(source: str | Path) -> Reader:
    """The reader of an embedded source; of one that is drawn, "clutter:20000" says how many images.

    Raises:
        DataError: The number is none or too small, or the source is not drawn.
    """
    name, colon, number = str(source).partition(":")
    if name in _DRAWN:
        return _drawn(_DRAWN[name], _count(str(source), number) if colon else IMAGES)
    if colon:
        raise DataError(f"only {', '.join(_DRAWN)} have as many images as wanted, but got {shown(source)}")
    return lambda resolution, *_: digits(resolution)


def _count(source: str, number: str) -> int:
    if not (number.isascii() and number.isdigit() and len(number) < 10 and _FEWEST <= int(number) <= _MOST):
        raise DataError(
            f"what follows the colon must be a number of images from {_FEWEST} to {_MOST:,}, "
            f"but got {shown(source)}"
        )
    return int(number)


def _drawn(scene: clutter.Scene, count: int) -> Reader:
    def read(resolution: int, seed: int, val_share: float, test_share: float) -> Images:
        from PIL import Image

        require_room(count, max(resolution, scene.side))
        splits = clutter.draw(scene, count, val_share, test_share, seed)
        account = Account()
        parts = {}
        for split, (grey, labels) in splits.items():
            pictures = (
                (Picture(Image.fromarray(image).convert("RGB")), str(row)) for row, image in enumerate(grey)
            )
            parts[split] = account.stack(split, pictures, len(grey), resolution), labels.copy()
        names = tuple(str(label) for label in range(clutter.CLASSES))
        return Images(names, **parts, flip=False, account=account)

    return read
