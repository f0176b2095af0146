"""NAS-Bench-1Shot1 (arXiv:2001.10422), published by github.com/automl/nasbench-1shot1.

It has no results of its own: its three spaces are sets of cells of NAS-Bench-101, in which each vertex reads
a certain number of earlier ones. What no later vertex reads does not count, so that several choices are one
cell.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations, product

from hwnas.evaluators.tabular.nasbench101 import INPUT, OPERATIONS, OUTPUT, CellGraph, Matrix, TrainedCell


@dataclass(frozen=True)
class OneShotCells:
    """A set of cells.

    Attributes:
        parents: How many vertices each one after the input reads; that of the output is the last.
    """

    parents: tuple[int, ...]

    def cells(self) -> Iterator[CellGraph]:
        """Its cells, pruned; some are equal but for the order of their vertices."""
        for matrix in dict.fromkeys(self._matrices()):
            for operations in product(OPERATIONS, repeat=len(matrix) - 2):
                yield CellGraph(matrix, (INPUT, *operations, OUTPUT))

    def _matrices(self) -> Iterator[Matrix]:
        """Pruned, by every choice of what is read."""
        count = len(self.parents) + 1
        any_operations = (INPUT, *OPERATIONS[:1] * (count - 2), OUTPUT)
        read = [combinations(range(vertex), number) for vertex, number in enumerate(self.parents, start=1)]
        for chosen in product(*read):
            columns = [(), *chosen]
            matrix = tuple(tuple(int(i in columns[j]) for j in range(count)) for i in range(count))
            yield CellGraph(matrix, any_operations).pruned.matrix

    def of(self, table: Mapping[int, TrainedCell]) -> dict[int, TrainedCell]:
        """Those of NAS-Bench-101 that are in it, by their key; cells that the table lacks are left out."""
        keys = {cell.key for cell in self.cells()}
        return {key: trained for key, trained in table.items() if key in keys}


SPACES = {
    1: OneShotCells((1, 2, 2, 2, 2)),
    2: OneShotCells((1, 1, 2, 2, 3)),
    3: OneShotCells((1, 1, 1, 2, 2, 2)),
}
"""As the paper numbers them."""
