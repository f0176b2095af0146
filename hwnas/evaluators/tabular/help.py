"""The latencies of HELP (arXiv:2106.08630), published by github.com/HayeonLee/HELP.

There are two folders, ``data/nasbench201`` and ``data/fbnet``. Each has ``latency`` with a file a device, a
list of milliseconds that PyTorch saved. Which network is which, ``str_arch2idx.pt`` says for cells of
NAS-Bench-201 (a number by text), ``metainfo.pt`` for FBNet (``op_idx_list`` of 22 numbers, under ``arch``).
The number behind a device's name is that of images at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hwnas import files
from hwnas.errors import DataError
from hwnas.evaluators.tabular.costs import CostTable, by_arch
from hwnas.evaluators.tabular.nasbench201 import operations_of
from hwnas.evaluators.tabular.records import WRONG, unlike
from hwnas.evaluators.tabular.unpickling import is_torch, read_pickle, read_torch

_CELLS, _FBNET = "str_arch2idx.pt", "metainfo.pt"
_LATENCY = "latency"


def read(folder: Path) -> dict[str, CostTable]:
    """What networks cost by device, by the numbers of the operations or candidates that were chosen.

    Raises:
        DataError: A file is damaged, missing or of another form.
    """
    try:
        archs = _archs(folder)
        paths = sorted(path for path in (folder / _LATENCY).iterdir() if path.is_file())
        tables = {path.stem: by_arch(archs, latencies_ms(path), str(path)) for path in paths}
        return {device: CostTable(device, table) for device, table in tables.items()}
    except (*WRONG, OSError) as error:
        raise unlike("HELP", folder, error) from error


def latencies_ms(path: Path) -> list[float]:
    """A list of latencies, as PyTorch, pickle or JSON has it.

    Raises:
        DataError: The file is damaged, or holds something else.
    """
    found = _content(path)
    try:
        return [float(value) for value in found]
    except WRONG as error:
        raise unlike("HELP", path, error) from error


def is_folder(folder: Path) -> bool:
    """Whether a folder is one."""
    return (folder / _LATENCY).is_dir() and any((folder / name).is_file() for name in (_CELLS, _FBNET))


def _archs(folder: Path) -> Sequence[tuple[int, ...]]:
    """The networks in the order of the lists."""
    if (folder / _FBNET).is_file():
        return [tuple(map(int, each["op_idx_list"])) for each in _content(folder / _FBNET)["arch"]]
    numbers = _content(folder / _CELLS)
    ordered = sorted(numbers, key=lambda arch: int(numbers[arch]))
    if [int(numbers[arch]) for arch in ordered] != list(range(len(ordered))):
        raise ValueError(f"{_CELLS} does not number all networks")
    return [operations_of(arch) for arch in ordered]


def _content(path: Path) -> Any:
    try:
        with path.open("rb") as file:
            head = file.read(512)
            if is_torch(head):
                return read_torch(path)
            if head.startswith(b"\x80"):
                file.seek(0)
                return read_pickle(file, path)
    except OSError as error:
        raise DataError(f"latencies must be readable, but {path} is not: {error.strerror}") from error
    return files.read_json(path, "a list of latencies")
