"""The staircase of a device: kernels compute whole groups of channels, and pay for those that are not there.

Eight channels and seven take the same time where a kernel computes eight at once. Which groups those are
depends on runtime, precision and processor; here they are read off measured rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hwnas.errors import LatencyModelError
from hwnas.latency.base import FloatArray, IntArray
from hwnas.space import Op, Workload

STEPS = (1, 8, 16, 32, 64)
"""Channels that kernels may compute at once."""

WORK = (
    "conv",
    "pointwise",
    "grouped",
    "depthwise_3",
    "depthwise_5",
    "depthwise_other",
    "linear",
    "elements",
    "weights",
    "ops",
)
"""Multiply-adds by kind with channels rounded up; elements read and written by what has weights, and by what
has none; elements of weights; operations."""

_SURE = 3.0
"""Standard errors that the rise at a step must be from nothing."""

_EXACT = 1e-6
"""Relative error that no measurement goes below."""

LEAST_WIDTHS = 8


@dataclass(frozen=True)
class Staircase:
    """How many channels kernels compute at once.

    Attributes:
        inward: Input channels of a convolution.
        outward: Its output channels.
        depthwise: Channels of a depthwise one.
    """

    inward: int = 1
    outward: int = 1
    depthwise: int = 1

    def work(self, workload: Workload) -> FloatArray:
        """What a block does to hardware with channels rounded up, shape (len(WORK) + 1,)."""
        total = dict.fromkeys((*WORK, "moved"), 0.0)
        for op in workload.ops:
            if op.weights and op.biases:
                total[_kind(op)] += self._macs(op)
                total["elements"] += op.read + op.written
            else:
                total["moved"] += op.read + op.written
            total["weights"] += op.weights
            total["ops"] += 1
        return np.array(list(total.values()))

    def _macs(self, op: Op) -> float:
        """Multiply-adds with the channels that are computed, those that are not there included."""
        pixels, area = op.macs / op.weights, op.kernel_size**2
        if op.kind == "depthwise":
            return pixels * area * float(rounded_up(op.biases, self.depthwise))
        if op.kind == "grouped":
            return float(op.macs)
        inner = op.weights / op.biases / area  # of a kernel that is not square, a multiple
        return pixels * area * float(rounded_up(inner, self.inward) * rounded_up(op.biases, self.outward))


def rounded_up(channels: IntArray | FloatArray | float, step: int) -> FloatArray:
    """Channels that are computed where a kernel takes ``step`` at once."""
    return np.asarray(np.ceil(np.asarray(channels, np.float64) / step) * step)


def _kind(op: Op) -> str:
    if op.kind == "depthwise":
        return f"depthwise_{op.kernel_size}" if op.kernel_size in (3, 5) else "depthwise_other"
    return op.kind if op.kind in WORK else "conv"


@dataclass(frozen=True)
class ReadStep:
    """The step by which the latency of a layer moves.

    Attributes:
        step: Of ``STEPS``; 1 where no step explains the rows better than none.
        errors: What each step leaves unexplained: relative error, root of the mean square.
    """

    step: int
    errors: Mapping[int, float]


def read_step(channels: Sequence[int] | IntArray, latency_ms: Sequence[float] | FloatArray) -> ReadStep:
    """The step by which the latency of one layer moves as it is widened.

    A row is a constant, channels rounded up to a step, and channels as they are (what is moved is not
    rounded), none of them negative. The step that leaves least unexplained is taken, if an F-test says that
    this is not by chance.

    Args:
        channels: Widths that were measured, fine enough to have several within a step.
        latency_ms: What each took, positive.

    Raises:
        LatencyModelError: There are too few widths, or all are multiples of one step.
    """
    widths, taken = np.asarray(channels, np.float64), np.asarray(latency_ms, np.float64)
    if widths.shape != taken.shape or not (taken > 0).all():
        raise LatencyModelError("rows of a layer must have a width and a positive latency each")
    told = [step for step in STEPS if _tells(widths, step)]
    if len(np.unique(widths)) < LEAST_WIDTHS or len(told) < 2:
        raise LatencyModelError(
            f"the step of a layer must be read off at least {LEAST_WIDTHS} widths, several within a step, "
            f"but got {sorted(map(int, widths))}: measure widths that are 2 or 4 channels apart"
        )
    errors = {step: _unexplained(widths, taken, step) for step in told}
    best = min(told[1:], key=lambda step: errors[step])
    left = errors[best] ** 2 + _EXACT**2
    ratio = (errors[1] ** 2 - errors[best] ** 2) / left * (len(widths) - 3)  # of variances, F with 1 to n - 3
    return ReadStep(best if ratio > _SURE**2 else 1, errors)


def _tells(widths: FloatArray, step: int) -> bool:
    """Whether widths show a step: at least two of them, and one with several widths on it."""
    stairs = rounded_up(widths, step)
    distinct = len(np.unique(stairs))
    return step == 1 or 2 < distinct < len(np.unique(widths))


def _unexplained(widths: FloatArray, latency_ms: FloatArray, step: int) -> float:
    """Root mean square of the relative residuals."""
    from scipy.optimize import nnls

    scale = widths.max()
    columns = [np.ones(len(widths)), widths / scale]
    columns += [rounded_up(widths, step) / scale] if step > 1 else []
    _, left = nnls(np.stack(columns, axis=1) / latency_ms[:, None], np.ones(len(widths)))
    return float(left / np.sqrt(len(widths)))
