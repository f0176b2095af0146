"""A damaged table is made whole: only the lines that cannot be read are dropped."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from hwnas import files
from hwnas.errors import TableError
from hwnas.runs import outputs
from hwnas.tables.table import LatencyTable


@dataclass(frozen=True)
class Repair:
    """What was done to a table.

    Attributes:
        kept: Rows and notes that are in the table.
        dropped: Why, by the number of the line; the header is line 1.
        copy: The file as it was before; None where nothing had to be dropped.
    """

    kept: int
    dropped: Mapping[int, str]
    copy: Path | None


def repair(path: Path) -> Repair:
    """Drop the lines of a table that cannot be read, and keep a copy of the file beside it.

    Raises:
        TableError: The file cannot be read or written, or another process is writing it.
        SchemaMismatch: Its first line is damaged, so that nothing says what it is a table of.
    """
    outputs.require_file(path, "a latency table")
    lock, invariant = path.with_name(f".{path.name}.lock"), "a table must be written by one program at a time"
    with outputs.hold(lock, invariant, str(path), TableError):
        return _repair(path)


def _repair(path: Path) -> Repair:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise TableError(f"a latency table must be readable, but {path} is not: {error.strerror}") from error
    header, *lines = content.split(b"\n")
    table = LatencyTable.of_header(header, path)
    torn = lines.pop() if lines else header  # what follows the last newline was never finished
    kept, dropped = [header], dict[int, str]()
    for number, line in enumerate(lines, start=2):
        try:
            table.take(line)
        except TableError as error:
            dropped[number] = str(error)
        else:
            kept.append(line)
    if torn:
        dropped[len(lines) + 2] = "the line was never finished"
    if not dropped:
        return Repair(len(kept) - 1, dropped, None)
    names = (path.with_name(f"{path.name}.damaged-{number}") for number in count(1))
    copy = next(name for name in names if not name.exists())
    files.write_atomic(copy, content)
    files.write_atomic(path, b"".join(line + b"\n" for line in kept))
    return Repair(len(kept) - 1, dropped, copy)
