"""Reads parquet files of columns ``image{bytes,path}`` and ``label``, as Hugging Face writes them."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwnas.data import labels, pixels
from hwnas.data.images import Account, Images, Labelled, lacking, require_room
from hwnas.data.names import shown
from hwnas.data.pixels import Picture
from hwnas.data.table import ParquetFile, stated, tables
from hwnas.errors import DataError

_LONGEST = 255  # letters of a class name, which is what a folder's can have


def parquet(path: Path, resolution: int) -> Images:
    """Read one file, or a folder of ``train*.parquet`` and, if there, ``validation*`` and ``test*``."""
    account = Account()
    found = tables(path, ("image", "label"), account)
    require_room(sum(table.rows for files in found.values() for table in files), resolution)
    given = {split: np.concatenate([_labels(table) for table in files]) for split, files in found.items()}
    classes, numbers = labels.encode(given, shown(path), stated(found, path, "label"))
    parts: dict[str, Labelled] = {}
    for split, files in found.items():
        pictures = (picture for table in files for picture in _pictures(table))
        parts[split] = account.stack(split, pictures, len(numbers[split]), resolution), numbers[split]
    account.notes += lacking(classes, {split: numbers[split] for split in numbers if split != "train"})
    return Images(classes, parts["train"], parts.get("test"), True, parts.get("val"), account)


def _pictures(table: ParquetFile) -> Iterator[tuple[Picture, str]]:
    """Each picture with its name."""
    for row, (name, (blob,)) in enumerate(table.blobs("image")):
        yield pixels.decode(io.BytesIO(blob), f"row {row} of {shown(table.path)}"), name


def _labels(table: ParquetFile) -> NDArray[Any]:
    """Shape (n,) or one-hot (n, classes), as they stand there."""
    column = table.column("label")
    if column.null_count:
        row = column.is_null().to_pylist().index(True)
        raise DataError(
            f"every image must have a label, but {shown(table.path)} has {column.null_count} without "
            f"(row {row}): remove those rows"
        )
    try:
        return _as_array(column)
    except ValueError as error:  # rows of different lengths, or no numbers and no words
        raise DataError(
            "labels must be whole numbers from 0, or words, one for each image, but "
            f"{shown(table.path)} has {column.type}"
        ) from error


def _as_array(column: Any) -> NDArray[Any]:
    """An arrow array of labels for numpy.

    Raises:
        ValueError: It is of no type that labels can have.
    """
    import pyarrow.compute
    from pyarrow import types

    kind = column.type
    if types.is_string(kind) or types.is_large_string(kind):
        if len(column) and pyarrow.compute.max(pyarrow.compute.utf8_length(column)).as_py() > _LONGEST:
            raise ValueError("long texts are no names of classes")
        return np.array(column.to_pylist(), np.str_)
    if types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
        return np.array(column.to_pylist())
    if not (types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind)):
        raise ValueError("no numbers and no words")
    found: NDArray[Any] = column.to_numpy(zero_copy_only=False)
    return found
