"""What a reader of a benchmark's file makes of it: plain records, and of these a ``Benchmark`` of a space."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from operator import lt
from pathlib import Path

import numpy as np

from hwnas.errors import DataError, in_words
from hwnas.evaluators.tabular.benchmark import Benchmark
from hwnas.space import SearchSpace
from hwnas.spaces.canonical import Canonical

WRONG = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
"""What is raised by looking into data that are not as they should be."""


@dataclass(frozen=True)
class TrainedRecord:
    """A network of a benchmark, with the accuracies of its trainings.

    Attributes:
        arch: What was chosen: one number a choice.
        accuracies: In [0, 1], by data set and by the seed of a training.
    """

    arch: tuple[int, ...]
    accuracies: Mapping[str, Mapping[int, float]]

    def __post_init__(self) -> None:
        for dataset, runs in self.accuracies.items():
            for seed, accuracy in runs.items():
                require_accuracy(accuracy, f"{self.arch} on {dataset} with seed {seed}")


def require_accuracy(accuracy: float, of: str) -> None:
    """Refuse what can be no accuracy.

    Raises:
        DataError: It is not in [0, 1].
    """
    if not (math.isfinite(accuracy) and 0 <= accuracy <= 1):
        raise DataError(f"an accuracy must be in [0, 1], but that of {of} is {accuracy}")


def benchmark(records: Iterable[TrainedRecord], space: SearchSpace, dataset: str, path: Path) -> Benchmark:
    """The trainings of a data set as a benchmark of a space; those of one network are put together.

    Args:
        records: Numbers of candidates, in the order of the space's choices.
        space: Any whose choices are as many, with as many candidates.
        dataset: The data set.
        path: Where they are from, for messages.

    Raises:
        DataError: A record is not of the space, or lacks the data set.
    """
    archs, found, sizes = list[tuple[int, ...]](), list[list[float]](), space.sizes
    for record in records:
        require_dataset(record, dataset, path)
        if len(record.arch) != len(sizes) or not all(map(lt, record.arch, sizes)):
            raise DataError(
                f"a record must be of {space.name} with {list(sizes)} candidates, but {path} has "
                f"{list(record.arch)}: give its own --space"
            )
        archs.append(record.arch)
        found.append(list(record.accuracies[dataset].values()))
    runs: dict[tuple[int, ...], list[float]] = {}
    for key, accuracies in zip(Canonical(space)(np.array(archs)).tolist(), found, strict=True):
        runs.setdefault(tuple(key), []).extend(accuracies)
    return Benchmark(space, {key: np.array(accuracies) for key, accuracies in runs.items()})


def require_dataset(record: TrainedRecord, dataset: str | None, path: Path) -> str:
    """The data set that is meant; the only one where none is said.

    Raises:
        DataError: The network was not trained on it, or on several.
    """
    there = sorted(name for name, runs in record.accuracies.items() if runs)
    if dataset is None and len(there) == 1:
        return there[0]
    if dataset is None or dataset not in there:
        got = "none was named" if dataset is None else f"got {dataset!r}"
        raise DataError(
            f"a data set must be one that {list(record.arch)} of {path} was trained on, but {got}: give "
            f"--dataset with one of {', '.join(there) or 'none'}"
        )
    return dataset


def unlike(what: str, path: object, error: Exception) -> DataError:
    """What is raised where a file is not as its format has it; what is one already stays as it is."""
    if isinstance(error, DataError):
        return error
    return DataError(f"a file of {what} must be as it is published, but {path} is not: {in_words(error)}")
