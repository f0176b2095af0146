"""NAS-Bench-101 (arXiv:1902.09635), published by github.com/google-research/nasbench.

The files are ``nasbench_full.tfrecord`` and ``nasbench_only108.tfrecord``. A record is a JSON array of one
training: a name of the cell, the number of epochs, its adjacency matrix as a text of 0 and 1 row by row, its
operations joined by commas, and what was found as a message of Protocol Buffers in base64: ``ModelMetrics``
has as field 1 what was evaluated at the start, halfway and at the end, of which fields 4 and 5 are the
accuracies on validation and test images, in [0, 1]. 423,624 cells were trained three times for 4, 12, 36 and
108 epochs each; the second file has only the last of these.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from math import isqrt
from pathlib import Path

from hwnas.errors import DataError, in_words
from hwnas.evaluators.tabular.protobuf import double, fields
from hwnas.evaluators.tabular.records import require_accuracy
from hwnas.evaluators.tabular.tfrecord import records

OPERATIONS = ("conv3x3-bn-relu", "conv1x1-bn-relu", "maxpool3x3")
INPUT, OUTPUT = "input", "output"
_NUMBERS = {name: number for number, name in enumerate((INPUT, *OPERATIONS, OUTPUT))}

_EVALUATIONS, _VALIDATION, _TEST = 1, 4, 5  # fields of the messages
_MOMENTS = 3  # at the start, halfway, at the end

Matrix = tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class CellGraph:
    """A cell as a graph: operations at vertices, which are numbered so that edges go upwards.

    Attributes:
        matrix: 1 in row i and column j where there is an edge from i to j; 0 elsewhere.
        operations: One a vertex: ``input``, then ``OPERATIONS``, then ``output``.
    """

    matrix: Matrix
    operations: tuple[str, ...]

    def __post_init__(self) -> None:
        count = len(self.operations)
        if len(self.matrix) != count or any(len(row) != count for row in self.matrix):
            raise DataError(
                f"the matrix of a cell must have a row and a column an operation, {count} of each"
            )
        if any(edge not in (0, 1) or (edge and i >= j) for i, j, edge in self._entries):
            raise DataError(f"edges of a cell must be 0 or 1 and go to later vertices, but got {self.matrix}")
        odd = sorted(set(self.operations[1:-1]) - set(OPERATIONS))
        if odd or count < 2 or (self.operations[0], self.operations[-1]) != (INPUT, OUTPUT):
            raise DataError(
                f"operations of a cell must be {INPUT}, some of {', '.join(OPERATIONS)}, and {OUTPUT}, but "
                f"got {', '.join(self.operations)}"
            )

    @property
    def pruned(self) -> CellGraph:
        """Without the vertices that are on no way from input to output.

        Raises:
            DataError: There is no such way.
        """
        count = len(self.operations)
        edges = [(i, j) for i, j, edge in self._entries if edge]
        after, before = {0}, {count - 1}
        for i, j in edges:  # row by row: all edges to a vertex come before those that leave it
            after |= {j} if i in after else set()
        for i, j in reversed(edges):
            before |= {i} if j in before else set()
        kept = sorted(after & before)
        if kept[:1] != [0] or kept[-1:] != [count - 1]:
            raise DataError(f"a cell must have a way from input to output, but got {self.matrix}")
        matrix = tuple(tuple(self.matrix[i][j] for j in kept) for i in kept)
        return CellGraph(matrix, tuple(self.operations[i] for i in kept))

    @cached_property
    def key(self) -> int:
        """The same for all cells that compute the same, whatever the order of vertices and what is on no way.

        Every vertex is a number for its operation, then again and again one for its number and those of its
        neighbours (Weisfeiler and Lehman, 1968), as the paper tells cells apart. Not to be kept in files: it
        is of this version of Python.
        """
        cell = self.pruned
        vertices = range(len(cell.operations))
        to = [[i for i in vertices if cell.matrix[i][j]] for j in vertices]
        of = [[j for j in vertices if cell.matrix[i][j]] for i in vertices]
        names = [_NUMBERS[operation] for operation in cell.operations]
        for _ in vertices:
            names = [hash((names[v], _joined(names, to[v]), _joined(names, of[v]))) for v in vertices]
        return hash(tuple(sorted(names)))

    @property
    def _entries(self) -> Iterator[tuple[int, int, int]]:
        for i, row in enumerate(self.matrix):
            for j, edge in enumerate(row):
                yield i, j, edge


@dataclass(frozen=True)
class TrainedCell:
    """A cell, with the accuracies of its trainings in [0, 1].

    Attributes:
        cell: As it was first met.
        validation: On validation images, one a training, by the number of epochs.
        test: On test images, in the same order.
    """

    cell: CellGraph
    validation: dict[int, list[float]]
    test: dict[int, list[float]]


@dataclass(frozen=True)
class CellRun:
    """One training of a cell to its end.

    Attributes:
        name: What the file calls the cell.
        cell: The cell.
        epochs: How many it was trained for.
        validation: Accuracy on validation images in [0, 1].
        test: Accuracy on test images in [0, 1].
    """

    name: str
    cell: CellGraph
    epochs: int
    validation: float
    test: float

    def __post_init__(self) -> None:
        for accuracy in (self.validation, self.test):
            require_accuracy(accuracy, f"cell {self.name} after {self.epochs} epochs")


def runs(path: Path) -> Iterator[CellRun]:
    """The trainings of a file one after the other; it need not fit in memory.

    Raises:
        DataError: A record is damaged or of another form; the message names it.
    """
    for number, record in enumerate(records(path), start=1):
        try:
            name, epochs, adjacency, operations, metrics = json.loads(record)
            validation, test = _accuracies(base64.b64decode(metrics, validate=True))
            yield CellRun(str(name), _cell(adjacency, operations), int(epochs), validation, test)
        except (AttributeError, LookupError, RecursionError, TypeError, ValueError) as error:
            raise DataError(
                f"a record of NAS-Bench-101 must be as it is published, but record {number} of {path} is "
                f"not: {in_words(error)}"
            ) from error


def read(path: Path) -> dict[int, TrainedCell]:
    """The cells of a file by their ``key``, so that equal ones are found however they are numbered.

    Raises:
        DataError: As of ``runs``.
    """
    found: dict[int, TrainedCell] = {}
    keys: dict[str, int] = {}
    for run in runs(path):
        if run.name not in keys:
            keys[run.name] = run.cell.key
        trained = found.setdefault(keys[run.name], TrainedCell(run.cell, {}, {}))
        trained.validation.setdefault(run.epochs, []).append(run.validation)
        trained.test.setdefault(run.epochs, []).append(run.test)
    return found


@lru_cache(maxsize=64)
def _cell(adjacency: str, operations: str) -> CellGraph:
    """Of the texts of a file, where trainings of a cell stand near each other."""
    side = isqrt(len(adjacency))
    if side * side != len(adjacency) or not set(adjacency) <= {"0", "1"}:
        raise ValueError(f"its matrix is {adjacency!r}")
    edges = tuple(map(int, adjacency))
    matrix = tuple(edges[start : start + side] for start in range(0, len(edges), side))
    return CellGraph(matrix, tuple(operations.split(",")))


def _accuracies(message: bytes) -> tuple[float, float]:
    """On validation and test images at the end."""
    evaluated = [value for field, value in fields(message) if field == _EVALUATIONS]
    if len(evaluated) != _MOMENTS or not isinstance(evaluated[-1], bytes):
        raise ValueError(f"it was evaluated {len(evaluated)} times instead of {_MOMENTS}")
    found = dict(fields(evaluated[-1]))
    if not {_VALIDATION, _TEST} <= set(found):
        raise ValueError("an accuracy is missing")
    return double(found[_VALIDATION]), double(found[_TEST])


def _joined(names: Sequence[int], vertices: Sequence[int]) -> int:
    """A number for some vertices, whatever their order."""
    return hash(tuple(sorted(names[vertex] for vertex in vertices)))
