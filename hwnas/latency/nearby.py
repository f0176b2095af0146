"""Layers of one shape are alike: what a regression gets wrong of some widths, it gets wrong of those between.

The logarithm of what is left is a Gaussian process (kriging) over the channels that are read and made, in
doublings and rounded up to the steps in which kernels take them. Layers of another shape say nothing.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from hwnas.latency.base import FloatArray, IntArray
from hwnas.latency.staircase import rounded_up
from hwnas.space import Workload

REACHES = (0.5, 1.0, 2.0, 4.0)
"""Doublings of channels within which layers are alike."""

NOISE = 0.03
"""Relative standard deviation of a row that stands alone."""


@dataclass(frozen=True)
class Nearby:
    """What is left of layers, by those that were measured.

    Attributes:
        workloads: Measured layers.
        left: Logarithm of measured over estimated latency, shape (layers,).
        step: Channels that kernels take at once.
        reach: Doublings of channels within which layers are alike.
    """

    workloads: tuple[Workload, ...]
    left: FloatArray
    step: int
    reach: float

    def at(self, workloads: Sequence[Workload]) -> FloatArray:
        """What is left of other layers, shape (n,); 0 where none of their shape was measured."""
        return self._alike(workloads) @ self._weights

    @cached_property
    def _weights(self) -> FloatArray:
        own = self._alike(self.workloads) + NOISE**2 * np.eye(len(self.workloads))
        return np.asarray(np.linalg.solve(own, self.left))

    def _alike(self, workloads: Sequence[Workload]) -> FloatArray:
        """Covariance with the measured layers, shape (n, layers)."""
        shapes, widths = self._placed(workloads)
        known, apart = self._measured
        far = ((widths[:, None] - apart) ** 2).sum(axis=2) / self.reach**2
        same = shapes[:, None] == known
        return np.asarray(np.mean(self.left**2) * same * np.exp(-far / 2))

    @cached_property
    def _measured(self) -> tuple[IntArray, FloatArray]:
        return self._placed(self.workloads)

    @cached_property
    def _shapes(self) -> dict[Hashable, int]:
        return {shape: number for number, shape in enumerate(dict.fromkeys(map(_shape, self.workloads)))}

    def _placed(self, workloads: Sequence[Workload]) -> tuple[IntArray, FloatArray]:
        """Number of the shape of each layer, -1 for a new one, and its width: shape (n, 2), in doublings."""
        shapes = np.array([self._shapes.get(_shape(w), -1) for w in workloads], np.int64)
        channels = [(w.in_shapes[0][0], w.out_shapes[0][0]) for w in workloads]
        return shapes, np.log2(rounded_up(np.array(channels, np.float64).reshape(-1, 2), self.step))


def _shape(workload: Workload) -> Hashable:
    """All of a layer but its channels."""
    ops = tuple((op.kind, op.kernel_size) for op in workload.ops)
    return workload.block.kind, ops, workload.in_shapes[0][1:], workload.out_shapes[0][1:]
