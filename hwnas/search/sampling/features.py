"""Architectures as numbers, for models of accuracy.

Two views: which candidate stands where (canonical one-hot), and what the network is like
(MACs, parameters, depth, how many blocks of which sort in each stage). The second is what
architectures have in common that share no candidate in place.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from hwnas.blocks import Skip
from hwnas.latency.base import FloatArray, IntArray
from hwnas.space import Block, SearchSpace
from hwnas.spaces.canonical import Canonical

_TRAITS = ("kernel_size", "expansion_ratio", "groups", "se_ratio")


@dataclass(frozen=True)
class Features:
    """Numbers of the architectures of one space.

    Attributes:
        space: Where the architectures are from.
    """

    space: SearchSpace

    def one_hot(self, indices: IntArray) -> FloatArray:
        """Canonical one-hot rows of squared length 1: (n, choices) to (n, candidates).

        The inner product of two rows is the share of choices in which the networks agree.
        """
        canonical = Canonical(self.space)(indices)
        starts = np.concatenate([[0], np.cumsum(self.space.sizes)[:-1]])
        rows = np.zeros((len(canonical), sum(self.space.sizes)))
        np.put_along_axis(rows, canonical + starts, 1.0, axis=1)
        return np.asarray(rows / np.sqrt(len(self.space.sizes)))

    def physical(self, indices: IntArray) -> FloatArray:
        """MACs, log MACs, log parameters, depth and counts of blocks: (n, choices) to (n, features)."""
        indices = np.atleast_2d(indices)
        sums = self._base + sum(table[column] for table, column in zip(self._tables, indices.T, strict=True))
        return np.concatenate([sums[:, :1], np.log(sums[:, :2]), sums[:, 2:]], axis=1)

    @cached_property
    def _base(self) -> FloatArray:
        """What stem and head add to MACs and parameters."""
        base = np.zeros(self._tables[0].shape[1])
        base[0] = sum(w.macs for w in self.space.fixed)
        base[1] = sum(w.block.params() for w in self.space.fixed)
        return base

    @cached_property
    def _tables(self) -> tuple[FloatArray, ...]:
        """What each candidate adds to MACs, parameters, depth and counts, an array a choice."""
        space = self.space
        outs = [workloads[0].out_shapes for workloads in space.choice_workloads]
        stages = {shape: number for number, shape in enumerate(dict.fromkeys(outs))}
        sorts = {_sort(block): 0 for choice in space.choices for block in choice.candidates}
        sorts = {sort: number for number, sort in enumerate(sorts)}
        tables = [np.zeros((size, 3 + len(sorts) * (1 + len(stages)))) for size in space.sizes]
        for number, index, workload in space.candidates():
            block, row = workload.block, tables[number][index]
            layers = getattr(block, "layers", 1)
            row[:3] += (
                workload.macs,
                block.params(),
                0 if block.is_identity or isinstance(block, Skip) else layers,
            )
            if not block.is_identity:
                sort = sorts[_sort(block)]
                row[3 + sort] += layers
                row[3 + len(sorts) * (1 + stages[workload.out_shapes]) + sort] += layers
        return tuple(tables)


def _sort(block: Block) -> tuple[object, ...]:
    """What blocks of the same sort have in common, wherever they stand."""
    return (block.kind, *(getattr(block, trait, None) for trait in _TRAITS))
