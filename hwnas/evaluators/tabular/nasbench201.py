"""NAS-Bench-201 (arXiv:2001.00326), published by github.com/D-X-Y/NAS-Bench-201 as ``NAS-Bench-201-*.pth``.

The file is a dictionary that PyTorch saved. ``meta_archs`` are the 15,625 cells as texts, ``arch2infos`` has
by their numbers what was found: ``less`` of trainings of 12 epochs, ``full`` of 200. Each has
``all_results``, by data set and seed of a training, with the number of its ``epochs`` and with
``eval_acc1es``, in percent, by split and epoch: ``x-test@199``. Only trainings to the end (``full``) are
read, as they were after the last epoch.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from hwnas.errors import DataError
from hwnas.evaluators.tabular.records import WRONG, TrainedRecord, unlike
from hwnas.evaluators.tabular.unpickling import read_torch

OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
"""The candidates of every edge, in the order of their numbers."""

EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
"""Which nodes of a cell the six choices are between."""

SPLITS = {
    "cifar10": "ori-test",
    "cifar10-valid": "x-valid",
    "cifar100": "x-test",
    "ImageNet16-120": "x-test",
}
"""The images that accuracies are on; networks of ``cifar10-valid`` saw half of CIFAR-10's training images."""

_EDGE = r"([a-z0-9_]+)~{}\|"
_CELL = re.compile(
    r"\+".join(r"\|" + "".join(_EDGE.format(source) for source in range(node)) for node in (1, 2, 3))
)


def read(path: Path) -> Iterator[TrainedRecord]:
    """The cells of a file, with the numbers of their operations in the order of ``EDGES``.

    The file is read whole before the first one.

    Raises:
        DataError: It is damaged or of another form, or an operation is none of ``OPERATIONS``.
    """
    data = read_torch(path)
    try:
        archs, found = data["meta_archs"], data["arch2infos"]
        for number in sorted(found):
            yield TrainedRecord(operations_of(archs[number]), accuracies_of(found[number]["full"]))
    except WRONG as error:
        raise unlike("NAS-Bench-201", path, error) from error


def operations_of(arch: str) -> tuple[int, ...]:
    """The numbers of a cell's operations, of ``|op~0|+|op~0|op~1|+|op~0|op~1|op~2|``.

    Raises:
        DataError: It is another text, or an operation is none of ``OPERATIONS``.
    """
    matched = _CELL.fullmatch(str(arch))
    if matched is None:
        raise DataError(f"a cell must be written as |op~0|+|op~0|op~1|+|op~0|op~1|op~2|, but got {arch!r}")
    odd = sorted(set(matched.groups()) - set(OPERATIONS))
    if odd:
        raise DataError(
            f"an operation of a cell must be one of {', '.join(OPERATIONS)}, but {arch!r} has "
            f"{', '.join(odd)}"
        )
    return tuple(map(OPERATIONS.index, matched.groups()))


def accuracies_of(results: Mapping[str, Any]) -> dict[str, dict[int, float]]:
    """Accuracies after the last epoch in [0, 1], by data set and seed; the form of NATS-Bench as well.

    Raises:
        LookupError: An accuracy is missing; or TypeError or ValueError: something is of another form.
    """
    found: dict[str, dict[int, float]] = {}
    for (dataset, seed), run in results["all_results"].items():
        last = int(run["epochs"]) - 1
        percent = run["eval_acc1es"][f"{SPLITS[dataset]}@{last}"]
        found.setdefault(str(dataset), {})[int(seed)] = float(percent) / 100
    return found
