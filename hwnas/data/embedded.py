"""Sources of images that come with hwnas: they have a name instead of a path."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from hwnas.data.digits import digits
from hwnas.data.images import Images

Reader = Callable[[int], Images]
"""Takes the resolution, as every reader does."""

_READERS: Mapping[str, Reader] = {
    "digits": digits,
}


def is_embedded(source: str | Path) -> bool:
    """Whether a source is the name of embedded images, not a path."""
    return str(source) in _READERS


def reader(source: str | Path) -> Reader:
    """The reader of an embedded source."""
    return _READERS[str(source)]
