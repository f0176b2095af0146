"""Tells by its content which benchmark a file is of, and makes a ``Benchmark`` where its space is known."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path

from hwnas import spaces
from hwnas.errors import DataError
from hwnas.evaluators.tabular import help as help_latencies
from hwnas.evaluators.tabular import macro, nasbench201, nats, records, tfrecord, unpickling
from hwnas.evaluators.tabular.benchmark import Benchmark
from hwnas.evaluators.tabular.records import TrainedRecord
from hwnas.space import SearchSpace

CELLS = "nasbench201"
"""Name of the space that NAS-Bench-201 and the topology space of NATS-Bench are of."""

_IMAGES = {"cifar10": (32, 10), "cifar10-valid": (32, 10), "cifar100": (32, 100), "ImageNet16-120": (16, 120)}
_HEAD = 512

Read = Callable[[Path], Iterator[TrainedRecord]]


def load(path: Path, space: SearchSpace | None = None, dataset: str | None = None) -> Benchmark:
    """Read a table of trained networks.

    Args:
        path: File or folder.
        space: What it is of; the benchmark's own without it.
        dataset: Of which trainings; needed where there are several.

    Raises:
        HwnasError: The file is damaged, of another form or of no accuracies, no space is known for it, or
            it is not said which data set is meant.
    """
    read = _reader(path)
    if read is None:
        found = macro.read(path, space or spaces.load("macro"))
        if dataset is not None:
            raise DataError(
                f"--dataset must only be given for a table of several, but {path} has one: leave it out"
            )
        return found
    rest = read(path)
    first = next(rest, None)
    if first is None:
        raise DataError(f"a tabular benchmark must have a network, but {path} has none")
    dataset = records.require_dataset(first, dataset, path)
    return records.benchmark(chain([first], rest), space or _own(first, dataset, path), dataset, path)


def _reader(path: Path) -> Read | None:
    """What reads the records of a table; None where it is a table of NAS-Bench-Macro."""
    if path.is_dir():
        if nats.is_folder(path):
            return nats.read
        what = "a folder of latencies of HELP" if help_latencies.is_folder(path) else "another folder"
        raise _without(path, what)
    head = _head(path)
    if unpickling.is_torch(head):
        return nasbench201.read
    if head.startswith(b"BZh") or head[257:262] == b"ustar":
        return nats.read
    if tfrecord.is_tfrecord(head):
        raise _without(path, "of NAS-Bench-101 with cells that no search space of hwnas has")
    if head.startswith(b"\x80"):
        raise _without(path, "another pickle, as the costs of HW-NAS-Bench are")
    return None


def _without(path: Path, what: str) -> DataError:
    return DataError(
        f"a table to search on must have accuracies of a space of hwnas, but {path} is {what}: give one of "
        "NAS-Bench-Macro, NAS-Bench-201 or NATS-Bench"
    )


def _head(path: Path) -> bytes:
    """How a file begins; nothing where it cannot be read, which the reader says."""
    try:
        with path.open("rb") as file:
            return file.read(_HEAD)
    except OSError:
        return b""


def _own(record: TrainedRecord, dataset: str, path: Path) -> SearchSpace:
    """The space of a table."""
    if len(record.arch) != len(nasbench201.EDGES):
        raise _without(path, "of the size space of NATS-Bench, which hwnas has none for")
    if CELLS not in spaces.SPACES:
        raise DataError(
            f"a table of cells must have the space {CELLS}, but there is none of this name: bring one with "
            "--plugin, or give another --space"
        )
    resolution, classes = _IMAGES[dataset]
    return spaces.load(f"{CELLS}-r{resolution}-c{classes}")
