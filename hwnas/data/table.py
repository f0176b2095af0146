"""Parquet files: which are of which split, and their rows."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from hwnas.data import formats, names
from hwnas.data.images import Account, memory_bytes, some
from hwnas.data.names import shown
from hwnas.data.tree import files_of
from hwnas.errors import DataError

_PART = re.compile(r"(?P<name>.+)-(?P<number>\d+)-of-(?P<count>\d+)(?:-[0-9a-f]+)?", re.IGNORECASE)
_ROWS = 256  # held in memory as bytes at a time
SUFFIX = ".parquet"
_MEANT = {"label": "classification", "mask": "segmentation", "objects": "detection"}
"""The task that a column is for."""

_NAMES = (("names",), ("feature", "category", "names"), ("category", "feature", "names"))
"""Where the features of Hugging Face have the names of a column's classes: of labels, and of objects."""


def files_in(path: Path) -> list[Path]:
    """Parquet files in and below a folder, but for hidden ones."""
    found = (file for file in files_of(path) if file.suffix.lower() == SUFFIX)
    return sorted(f for f in found if not any(map(names.is_hidden, f.relative_to(path).parts)))


def tables(path: Path, columns: Sequence[str], account: Account) -> dict[str, list[ParquetFile]]:
    """The files of each split: one file, or a folder of ``train*.parquet``, ``validation*`` and ``test*``."""
    splits = {"train": [path]} if path.is_file() else _splits(path, account)
    root = path.parent if path.is_file() else path
    return {
        split: [ParquetFile(file, shown(file.relative_to(root)), columns) for file in files]
        for split, files in splits.items()
    }


def stated(found: Mapping[str, Sequence[ParquetFile]], path: Path, column: str) -> tuple[str, ...] | None:
    """The class names that the files of all splits state; None where none does.

    Raises:
        DataError: They differ.
    """
    said = {names for files in found.values() for file in files if (names := file.class_names(column))}
    if len(said) > 1:
        raise DataError(
            f"all files must state the same class names, but those in {shown(path)} differ: write them again"
        )
    return next(iter(said), None)


def _require_whole(files: Sequence[Path]) -> None:
    """Refuse a split of which a file is missing that the names of others count: ``train-00000-of-00002``."""
    parts: dict[tuple[Path, str, int], set[int]] = {}
    for file in files:
        if matched := _PART.fullmatch(file.stem):
            whole = file.parent, matched["name"], int(matched["count"])
            parts.setdefault(whole, set()).add(int(matched["number"]))
    for (_, name, count), numbers in parts.items():
        if len(numbers) < count:
            raise DataError(
                f"all files of a split must be there, but of {shown(name)} there are {len(numbers)} of "
                f"{count}: fetch the others, or give a file alone"
            )


def _splits(path: Path, account: Account) -> dict[str, list[Path]]:
    """Files of each split, told by their names, or by the name of their folder."""
    found: dict[str, list[Path]] = {}
    for file in files_in(path):
        inside = file.relative_to(path)
        split = next(filter(None, map(names.split_of_file, (file.stem, *reversed(inside.parts[:-1])))), "")
        found.setdefault(split, []).append(file)
    unnamed = found.pop("", [])
    found = {names.settled(split, found): files for split, files in found.items()}
    if "train" not in found:
        raise DataError(
            f"a parquet folder must hold train*.parquet, but {shown(path)} does not (it has "
            f"{some(file.name for file in files_in(path))}): rename the files, or give one alone"
        )
    if unnamed:
        account.left_out["parquet files of no split"] += len(unnamed)
        unsaid = some(str(file.relative_to(path)) for file in unnamed)
        account.notes.append(f"the names of {unsaid} say no split: not used")
    for split, files in found.items():
        _require_whole(files)
        places = sorted({_place(file.relative_to(path)) for file in files})
        if len(places) > 1:
            account.notes.append(
                f"the {split} files of {len(places)} folders were joined ({some(places)}): give one folder "
                "alone if they are configurations of the same images"
            )
    return {split: found[split] for split in names.SPLITS if split in found}


def _place(inside: Path) -> str:
    """Folders of a file that do not say its split."""
    return "/".join(part for part in inside.parts[:-1] if not names.split_of_file(part)) or "."


class ParquetFile:
    """One parquet file.

    Args:
        path: Of the file.
        name: Its path below what was given, for names of images.
        columns: That it must have, "image" first.

    Attributes:
        path: Of the file.
        name: Its path below what was given.
        rows: How many it has.

    Raises:
        DataError: It is damaged, or has other columns.
    """

    def __init__(self, path: Path, name: str, columns: Sequence[str]) -> None:
        import pyarrow
        import pyarrow.parquet

        self.path, self.name, self._columns = path, name, columns
        self._faults = (pyarrow.ArrowException, OSError, KeyError, TypeError, ValueError)
        try:
            self._file = pyarrow.parquet.ParquetFile(path)
            schema = self._file.schema_arrow
        except self._faults as error:
            raise self._unfit(f"cannot be read: {' '.join(str(error).split())}") from error
        if not set(columns) <= set(schema.names):
            meant = [task for name, task in _MEANT.items() if name in schema.names]
            remedy = f": give {meant[0]} as the task, which reads them" if meant else ""
            raise self._unfit(f"holds {some(schema.names, 8)}{remedy}")
        self.rows: int = self._file.metadata.num_rows
        groups = (self._file.metadata.row_group(n) for n in range(self._file.metadata.num_row_groups))
        largest = max((group.total_byte_size for group in groups), default=0)
        if largest > memory_bytes() // 2:
            raise DataError(
                f"a group of rows must fit in half of this machine's memory, but {shown(path)} has one of "
                f"{largest / 2**30:.1f} GiB: write the file with smaller groups"
            )
        self._metadata: Mapping[bytes, bytes] = schema.metadata or {}

    def _unfit(self, but: str) -> DataError:
        wanted = [f"{name}{{bytes,path}}" if name in ("image", "mask") else name for name in self._columns]
        return DataError(
            f"{shown(self.path)} must hold the columns {', '.join(wanted[:-1])} and {wanted[-1]}, but {but}"
        )

    def column(self, name: str) -> Any:
        """A whole column, as an arrow array."""
        import pyarrow
        from pyarrow import types

        try:
            column = pyarrow.concat_arrays(self._file.read(columns=[name])[name].chunks)
            return column.dictionary_decode() if types.is_dictionary(column.type) else column
        except self._faults as error:
            raise self._unfit(f"cannot be read: {' '.join(str(error).split())}") from error

    def blobs(self, *columns: str) -> Iterator[tuple[str, tuple[bytes, ...]]]:
        """The name of each row, and the files that it holds in these columns; some rows at a time."""
        row = 0
        try:
            for batch in self._file.iter_batches(_ROWS, columns=list(columns)):
                for cells in zip(*(batch.column(name).to_pylist() for name in columns), strict=True):
                    files = (self._blob(cell, row, name) for cell, name in zip(cells, columns, strict=True))
                    yield f"row {row} of {self.name}", tuple(files)
                    row += 1
        except self._faults as error:
            if isinstance(error, DataError):
                raise
            raise self._unfit(f"cannot be read: {' '.join(str(error).split())}") from error

    def _blob(self, cell: Any, row: int, column: str) -> bytes:
        blob = cell.get("bytes") if isinstance(cell, dict) else cell
        if not isinstance(blob, bytes):
            raise DataError(
                f"every {column} must be there as bytes, but row {row} of {shown(self.path)} has none: "
                f"write the {column}s into the file"
            )
        missing = formats.of_content(blob[:64])
        if missing in formats.PLUGINS and missing not in formats.readable():
            raise DataError(
                f"all {column}s must be readable, but row {row} of {shown(self.path)} is {missing}: "
                f"pip install {formats.PLUGINS[missing]}, or convert them"
            )
        return blob

    def class_names(self, column: str) -> tuple[str, ...] | None:
        """The names of a column's classes, where the metadata state them."""
        places = [(b"huggingface", ("info", "features", column, *below)) for below in _NAMES]
        for key, place in (*places, (b"classes", ())):
            try:
                found = json.loads(self._metadata.get(key, b"null"))
                for part in place:
                    found = found[part]
            except (ValueError, LookupError, TypeError):
                continue  # metadata are optional: numbers are names enough
            if isinstance(found, list) and found and all(isinstance(name, str) for name in found):
                return tuple(found)
        return None
