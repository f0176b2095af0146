"""All files below a folder, through links as well."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from hwnas.data.names import shown
from hwnas.errors import DataError


def files_of(folder: Path, above: tuple[tuple[int, int], ...] = ()) -> Iterator[Path]:
    """Files in and below a folder; linked folders count, but not where they lead in circles.

    Raises:
        DataError: A folder cannot be read.
    """
    try:
        status, entries = folder.stat(), sorted(folder.iterdir())
    except OSError as error:
        raise DataError(f"folders must be readable, but {shown(folder)} is not: {error.strerror}") from error
    here = (status.st_dev, status.st_ino)
    for entry in entries if here not in above else ():
        if entry.is_dir():
            yield from files_of(entry, (*above, here))
        elif entry.is_file():
            yield entry
