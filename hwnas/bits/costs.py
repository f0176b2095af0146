"""What a network takes with each of its layers in a precision of its own, as a sum of measured rows.

A row of a layer is a file of its own, whose ends are in its precision on LiteRT and float in ONNX Runtime,
which also orders dimensions anew there. Inside a network, layers of one precision follow each other without
ends. What those take is known from small layers, alone and in pairs (``blocks.switch``): so rows count
without theirs, and each tensor that is made in one precision and read in another counts what is between.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from math import prod

import numpy as np

from hwnas.bits.rows import WHOLE, wanted
from hwnas.blocks import Switch
from hwnas.export.mixed import NetworkLayer
from hwnas.factors import Pair
from hwnas.latency.base import Cost, FloatArray
from hwnas.latency.workloads import parse_workload
from hwnas.space import Shape, Workload
from hwnas.tables.table import LatencyTable

_LEAST_MS = 1e-5
"""Of a layer: rows are not told apart below."""


@dataclass(frozen=True)
class PrecisionRows:
    """Rows of one runtime in all precisions that its files mix.

    Attributes:
        tables: By precision; that of int8 holds the switches.
    """

    tables: Mapping[str, LatencyTable]

    @property
    def states(self) -> tuple[str, ...]:
        """Precisions of a layer; int8 is the first."""
        return WHOLE, *(name for name in self.tables if name != WHOLE)

    def covers(self, layers: Sequence[NetworkLayer]) -> bool:
        """Whether all rows of a network are there."""
        return all(
            self._has(workload, (state,))
            for state, workloads in wanted(layers, self.states).items()
            for workload in workloads
        )

    def costs(self, layers: Sequence[NetworkLayer], *, with_switches: bool = True) -> Cost:
        """The latency of a network, a slot a layer and a state a precision.

        What nothing has weights for, as a sum of tensors, is in no row. A tensor that two layers read in
        another precision than it was made in is changed once, and counts twice.

        Args:
            layers: Of the network.
            with_switches: Whether rows are corrected for their ends, and switches count.

        Raises:
            MissingEntry: A row is missing.
        """
        singles = [self._rows(layer.workload) for layer in layers]
        pairs: list[Pair] = []
        if with_switches:
            read = {each.maker for layer in layers for each in layer.reads if each.is_weighted}
            for number, layer in enumerate(layers):
                if any(each.is_weighted for each in layer.reads):
                    singles[number] = singles[number] - self._ends(layer.workload.in_shapes[0])
                if number in read:
                    singles[number] = singles[number] - self._ends(layer.workload.out_shapes[0])
            pairs = [
                Pair(each.maker, number, self._switches(each.shape))
                for number, layer in enumerate(layers)
                for each in layer.reads
            ]
        return Cost(0.0, tuple(np.maximum(single, _LEAST_MS) for single in singles), "ms", tuple(pairs))

    def _rows(self, workload: Workload) -> FloatArray:
        return np.array([self.tables[state].lookup_ms(workload) for state in self.states])

    def _ends(self, shape: Shape) -> FloatArray:
        """What one end of a row of a tensor takes in each precision, shape (states,)."""
        alone, together = self._of_small(shape)
        return np.maximum(alone - np.diag(together) / 2, 0.0)

    def _switches(self, shape: Shape) -> FloatArray:
        """What is between a tensor's makers and readers, shape (states, states); 0 in one precision."""
        _, together = self._of_small(shape)
        same = np.diag(together)
        return np.maximum(together - (same[:, None] + same[None, :]) / 2, 0.0)

    def _of_small(self, shape: Shape) -> tuple[FloatArray, FloatArray]:
        """Of the small layers on a tensor: alone in each precision, and two together in each pair of them.

        As measured, or along the number of elements between the tensors that are.
        """
        known = self._known
        if shape in known:
            return known[shape]
        shapes = sorted(known, key=prod)
        at = [prod(each) for each in shapes]
        alone, together = (
            np.array([known[each][n] for each in shapes]).reshape(len(shapes), -1) for n in (0, 1)
        )
        count = len(self.states)
        between = [
            np.array([np.interp(prod(shape), at, column) for column in values.T])
            for values in (alone, together)
        ]
        return between[0], between[1].reshape(count, count)

    @cached_property
    def _known(self) -> dict[Shape, tuple[FloatArray, FloatArray]]:
        """By the tensors whose switches were measured, of this network or of another one."""
        found, count, whole = {}, len(self.states), self.tables[WHOLE]
        for shape in {parse_workload(key).in_shapes[0] for key in whole.of_kind("switch")}:
            pairs = [Workload(Switch(shape[0], *pair), shape) for pair in product(self.states, self.states)]
            small = Workload(Switch(shape[0], WHOLE, WHOLE).layer, shape)
            if self._has(small, self.states) and all(self._has(pair, (WHOLE,)) for pair in pairs):
                together = np.array([whole.lookup_ms(pair) for pair in pairs])
                found[shape] = self._rows(small), together.reshape(count, count)
        return found

    def _has(self, workload: Workload, states: Sequence[str]) -> bool:
        return all(workload.key() in self.tables[state].measurements for state in states)
