"""NATS-Bench (arXiv:2009.00437), published by github.com/D-X-Y/NATS-Bench.

It has two spaces, which the texts of their networks tell apart: the cells of NAS-Bench-201 (``NATS-tss-*``),
and five numbers of channels of one cell, ``8:16:32:48:64`` (``NATS-sss-*``). Each is published as one pickle
in bzip2 (``*.pickle.pbz2``: ``meta_archs``, and ``arch2infos`` by number), and as a folder or tar archive of
many (``*-simple``: ``meta.pickle.pbz2`` has ``meta_archs``, and ``000042.pickle.pbz2`` what was found of
number 42). What was found is by the number of epochs (``"12"``, ``"200"``) and as in NAS-Bench-201. The
longest trainings are read.
"""

from __future__ import annotations

import bz2
import re
import tarfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, Any

from hwnas.errors import DataError
from hwnas.evaluators.tabular.nasbench201 import accuracies_of, operations_of
from hwnas.evaluators.tabular.records import WRONG, TrainedRecord, unlike
from hwnas.evaluators.tabular.unpickling import read_pickle

WIDTHS = tuple(range(8, 65, 8))
"""What a number of channels may be."""

_ENDING = ".pickle.pbz2"
_META = f"meta{_ENDING}"

Opened = Callable[[str], IO[bytes]]


def read(path: Path) -> Iterator[TrainedRecord]:
    """The networks of a file, folder or archive: numbers of operations of the cells, or of channels.

    Of a folder or archive, one network after the other is read.

    Raises:
        DataError: Something is damaged, missing or of another form.
    """
    try:
        if path.is_dir():
            names = [each.name for each in path.iterdir()]
            yield from _many(path, names, lambda name: (path / name).open("rb"))
        elif tarfile.is_tarfile(path):
            with _archived(path) as (names, opened):
                yield from _many(path, names, opened)
        else:
            with path.open("rb") as file:
                data = _unpacked(file, path)
            for number in sorted(data["arch2infos"]):
                yield _record(data["meta_archs"][number], data["arch2infos"][number])
    except (*WRONG, EOFError, OSError, tarfile.TarError) as error:
        raise unlike("NATS-Bench", path, error) from error


def is_folder(path: Path) -> bool:
    """Whether a folder is one."""
    return (path / _META).is_file()


def channels_of(arch: str) -> tuple[int, ...]:
    """The five numbers of channels of a text as ``8:16:32:48:64``.

    Raises:
        DataError: It is another text, or they are none of ``WIDTHS``.
    """
    words = str(arch).split(":")
    if len(words) != 5 or not set(words) <= set(map(str, WIDTHS)):
        raise DataError(
            "a network of the size space must be five multiples of 8 up to 64, as 8:16:32:48:64, but got "
            f"{arch!r}"
        )
    return tuple(map(int, words))


@contextmanager
def _archived(path: Path) -> Iterator[tuple[list[str], Opened]]:
    """Names in an archive, and what opens them; nothing is unpacked on disk."""
    with tarfile.open(path) as archive:
        members = {PurePosixPath(each.name).name: each for each in archive.getmembers() if each.isfile()}

        def opened(name: str) -> IO[bytes]:
            file = archive.extractfile(members[name])
            if file is None:
                raise ValueError(f"{name} is no file")
            return file

        yield list(members), opened


def _many(path: Path, names: list[str], opened: Opened) -> Iterator[TrainedRecord]:
    if _META not in names:
        raise ValueError(f"{_META} is missing")
    with opened(_META) as file:
        archs = _unpacked(file, path / _META)["meta_archs"]
    for name in sorted(each for each in names if re.fullmatch(r"\d+" + re.escape(_ENDING), each)):
        with opened(name) as file:
            yield _record(archs[int(name.removesuffix(_ENDING))], _unpacked(file, path / name))


def _unpacked(file: IO[bytes], name: Path) -> Any:
    try:
        with bz2.BZ2File(file) as unpacked:
            found = read_pickle(unpacked, name)
            if unpacked.read(1):  # reading to the end also checks the checksum
                raise ValueError("it goes on after its end")
    except (EOFError, OSError, ValueError) as error:
        raise unlike("NATS-Bench", name, error) from error
    return found


def _record(arch: str, by_epochs: Mapping[str, Any]) -> TrainedRecord:
    longest = max(by_epochs, key=int)
    chosen = channels_of(arch) if ":" in str(arch) else operations_of(arch)
    return TrainedRecord(chosen, accuracies_of(by_epochs[longest]))
