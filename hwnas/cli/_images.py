"""Images that a network takes, from a file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from hwnas.errors import DataError

if TYPE_CHECKING:
    import numpy as np


def read_images(path: Path) -> np.ndarray:
    """The array of a file .npy; raises DataError where there is none."""
    import numpy as np

    try:
        found = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"inputs must be a .npy file of images, but {path} is not: {error}") from error
    if not isinstance(found, np.ndarray):
        found.close()
        raise DataError(f"inputs must be one array in a .npy file, but {path} holds several")
    return found
