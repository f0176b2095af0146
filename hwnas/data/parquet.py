"""Reads parquet files of columns ``image{bytes,path}`` and ``label``, as Hugging Face writes them."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwnas.data import formats, labels, names, pixels
from hwnas.data.images import Account, Images, Labelled, lacking, memory_bytes, require_room, some
from hwnas.data.names import shown
from hwnas.data.pixels import Picture
from hwnas.data.tree import files_of
from hwnas.errors import DataError

_PART = re.compile(r"(?P<name>.+)-(?P<number>\d+)-of-(?P<count>\d+)(?:-[0-9a-f]+)?", re.IGNORECASE)
_ROWS = 256  # held in memory as bytes at a time
_LONGEST = 255  # letters of a class name, which is what a folder's can have
SUFFIX = ".parquet"


def files_in(path: Path) -> list[Path]:
    """Parquet files in and below a folder, but for hidden ones."""
    found = (file for file in files_of(path) if file.suffix.lower() == SUFFIX)
    return sorted(f for f in found if not any(map(names.is_hidden, f.relative_to(path).parts)))


def parquet(path: Path, resolution: int) -> Images:
    """Read one file, or a folder of ``train*.parquet`` and, if there, ``validation*`` and ``test*``."""
    account = Account()
    splits = {"train": [path]} if path.is_file() else _splits(path, account)
    root = path.parent if path.is_file() else path
    tables = {
        split: [_Table(file, shown(file.relative_to(root))) for file in files]
        for split, files in splits.items()
    }
    require_room(sum(table.rows for found in tables.values() for table in found), resolution)
    given = {split: np.concatenate([t.labels() for t in tables[split]]) for split in tables}
    stated = {names for tables_of in tables.values() for t in tables_of if (names := t.class_names())}
    if len(stated) > 1:
        raise DataError(
            f"all files must state the same class names, but those in {shown(path)} differ: write them again"
        )
    classes, numbers = labels.encode(given, shown(path), next(iter(stated), None))
    parts: dict[str, Labelled] = {}
    for split, found in tables.items():
        pictures = (picture for table in found for picture in table.pictures())
        parts[split] = account.stack(split, pictures, len(numbers[split]), resolution), numbers[split]
    account.notes += lacking(classes, {split: numbers[split] for split in numbers if split != "train"})
    return Images(classes, parts["train"], parts.get("test"), True, parts.get("val"), account)


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


class _Table:
    """One parquet file.

    Args:
        path: Of the file.
        name: Its path below what was given, for names of images.

    Attributes:
        rows: How many it has.

    Raises:
        DataError: It is damaged, or has other columns.
    """

    def __init__(self, path: Path, name: str) -> None:
        import pyarrow
        import pyarrow.parquet

        self._path, self._name = path, name
        self._faults = (pyarrow.ArrowException, OSError, KeyError, TypeError, ValueError)
        try:
            self._file = pyarrow.parquet.ParquetFile(path)
            schema = self._file.schema_arrow
        except self._faults as error:
            raise self._unfit(f"cannot be read: {' '.join(str(error).split())}") from error
        if not {"image", "label"} <= set(schema.names):
            raise self._unfit(f"holds {some(schema.names, 8)}")
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
        return DataError(
            f"{shown(self._path)} must hold the columns image{{bytes,path}} and label, but {but}"
        )

    def labels(self) -> NDArray[Any]:
        """Shape (n,) or one-hot (n, classes), as they stand there."""
        column = self._column("label")
        if column.null_count:
            row = column.is_null().to_pylist().index(True)
            raise DataError(
                f"every image must have a label, but {shown(self._path)} has {column.null_count} without "
                f"(row {row}): remove those rows"
            )
        try:
            return _as_array(column)
        except ValueError as error:  # rows of different lengths, or no numbers and no words
            raise DataError(
                "labels must be whole numbers from 0, or words, one for each image, but "
                f"{shown(self._path)} has {column.type}"
            ) from error

    def _column(self, name: str) -> Any:
        import pyarrow
        from pyarrow import types

        try:
            column = pyarrow.concat_arrays(self._file.read(columns=[name])[name].chunks)
            return column.dictionary_decode() if types.is_dictionary(column.type) else column
        except self._faults as error:
            raise self._unfit(f"cannot be read: {' '.join(str(error).split())}") from error

    def pictures(self) -> Iterator[tuple[Picture, str]]:
        """Each picture with its name; some rows at a time."""
        row = 0
        try:
            for batch in self._file.iter_batches(_ROWS, columns=["image"]):
                for cell in batch.column(0).to_pylist():
                    yield self._picture(cell, row), f"row {row} of {self._name}"
                    row += 1
        except self._faults as error:
            if isinstance(error, DataError):
                raise
            raise self._unfit(f"cannot be read: {' '.join(str(error).split())}") from error

    def _picture(self, cell: Any, row: int) -> Picture:
        blob = cell.get("bytes") if isinstance(cell, dict) else cell
        if not isinstance(blob, bytes):
            raise DataError(
                f"every image must be there as bytes, but row {row} of {shown(self._path)} has none: "
                "write the images into the file"
            )
        missing = formats.of_content(blob[:64])
        if missing in formats.PLUGINS and missing not in formats.readable():
            raise DataError(
                f"all images must be readable, but row {row} of {shown(self._path)} is {missing}: "
                f"pip install {formats.PLUGINS[missing]}, or convert them"
            )
        return pixels.decode(io.BytesIO(blob), f"row {row} of {shown(self._path)}")

    def class_names(self) -> tuple[str, ...] | None:
        """The names of the labels, where the metadata state them."""
        for key, place in ((b"huggingface", ("info", "features", "label", "names")), (b"classes", ())):
            try:
                found = json.loads(self._metadata.get(key, b"null"))
                for part in place:
                    found = found[part]
            except (ValueError, LookupError, TypeError):
                continue  # metadata are optional: numbers are names enough
            if isinstance(found, list) and found and all(isinstance(name, str) for name in found):
                return tuple(found)
        return None


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
