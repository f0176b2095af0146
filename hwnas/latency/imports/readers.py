"""Tables of other people's making: CSV and Parquet, checked row by row."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hwnas.errors import DataError
from hwnas.latency.base import FloatArray, IntArray


@dataclass(frozen=True)
class LatencyFile:
    """Whole networks with their latency on one or more devices.

    Attributes:
        indices: Shape (n, choices).
        latency_ms: One array of shape (n,) a device, finite and positive.
        lines: Line (CSV, the header is 1) or row (Parquet, the first is 1) of each network.
    """

    indices: IntArray
    latency_ms: Mapping[str, FloatArray]
    lines: tuple[int, ...]


def read_networks(path: Path, devices: Sequence[str] | None = None, *, arch: str = "arch") -> LatencyFile:
    """Read architectures (candidate numbers separated by spaces) and their latencies in ms.

    Args:
        path: ``.csv`` with a header, or ``.parquet``.
        devices: Columns to read; None reads every column but ``arch``.
        arch: Column of the candidate numbers.

    Raises:
        DataError: The file cannot be read, a column is missing, or a row is malformed; the
            message names the line.
    """
    columns, rows = read_rows(path)
    names = [c for c in columns if c != arch] if devices is None else list(devices)
    require_columns(path, columns, [arch, *names])
    indices: list[tuple[int, ...]] = []
    latencies: dict[str, list[float]] = {name: [] for name in names}
    lines: list[int] = []
    for line, row in rows:
        numbers = _indices(path, line, row[arch])
        if indices and len(numbers) != len(indices[0]):
            raise DataError(
                f"every architecture must have the same number of choices, but line {line} of {path} has "
                f"{len(numbers)}, not {len(indices[0])}"
            )
        indices.append(numbers)
        lines.append(line)
        for name in names:
            latencies[name].append(latency(path, line, name, row[name]))
    if not indices:
        raise DataError(f"a file of latencies must have at least one row, but {path} has none")
    arrays = {name: np.array(values) for name, values in latencies.items()}
    return LatencyFile(np.array(indices, dtype=np.int64), arrays, tuple(lines))


def read_rows(path: Path) -> tuple[tuple[str, ...], Iterator[tuple[int, dict[str, Any]]]]:
    """Column names, and each row with its line number; raises DataError where there is no table."""
    if path.suffix == ".parquet":
        return _read_parquet(path)
    if path.suffix == ".csv":
        return _read_csv(path)
    raise DataError(f"a file of latencies must end in .csv or .parquet, but got {path}")


def require_columns(path: Path, columns: Sequence[str], wanted: Sequence[str]) -> None:
    """Raise DataError naming the columns that are missing."""
    missing = [name for name in wanted if name not in columns]
    if missing:
        raise DataError(f"{path} must have the columns {missing}, but has {sorted(columns)}")


def latency(path: Path, line: int, column: str, value: Any) -> float:
    """A finite, positive number of milliseconds; raises DataError naming the line."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not (math.isfinite(number) and number > 0):
        raise DataError(
            f"a latency must be a finite, positive number of ms, but line {line} of {path} has {value!r} "
            f"in {column!r}"
        )
    return number


def _indices(path: Path, line: int, value: Any) -> tuple[int, ...]:
    parts = value.split() if isinstance(value, str) else [""]
    if not parts or not all(part.isascii() and part.isdigit() for part in parts):
        raise DataError(
            "an architecture must be candidate numbers separated by spaces, "
            f"but line {line} of {path} has {value!r}"
        )
    return tuple(int(part) for part in parts)


def _read_csv(path: Path) -> tuple[tuple[str, ...], Iterator[tuple[int, dict[str, Any]]]]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"a file of latencies must be readable text, but {path} is not: {error}") from error
    reader = csv.reader(text.splitlines())
    header = tuple(name.strip() for name in next(reader, []))
    if not header or len(set(header)) != len(header):
        raise DataError(f"the first line of {path} must name its columns, each once, but got {list(header)}")

    def rows() -> Iterator[tuple[int, dict[str, Any]]]:
        for values in reader:
            if not any(value.strip() for value in values):
                continue
            if len(values) != len(header):
                raise DataError(
                    f"every row must have {len(header)} values, but line {reader.line_num} of {path} "
                    f"has {len(values)}"
                )
            yield reader.line_num, dict(zip(header, values, strict=True))

    return header, rows()


def _read_parquet(path: Path) -> tuple[tuple[str, ...], Iterator[tuple[int, dict[str, Any]]]]:
    import pyarrow
    from pyarrow import parquet

    try:
        table = parquet.read_table(path)
    except (OSError, pyarrow.ArrowException) as error:
        raise DataError(
            f"a file of latencies must be readable Parquet, but {path} is not: {error}"
        ) from error
    return tuple(table.column_names), enumerate(table.to_pylist(), start=1)
