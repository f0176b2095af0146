"""By how many channels it pays to widen layers: the device's own staircase, read off the main ones."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median_high

from hwnas.adapt.latencies import Stopwatch, lowered
from hwnas.device import Target
from hwnas.export import random_module
from hwnas.latency.layers import at_widths
from hwnas.latency.staircase import read_step
from hwnas.widths.groups import Prunable
from hwnas.widths.layers import WidthLayer, layers_of

USUAL = 8
"""Where no step shows: finer widths are not worth their measurements."""

_WIDTHS = range(2 * USUAL, 145, USUAL)
"""Fine enough for all steps that are longer than the usual one, and wide enough for the longest."""

_CHOICES = 3
"""Widths that the middle one of a network's groups should have."""


def step_of(found: Prunable, measurer: Stopwatch, target: Target) -> int:
    """The step of widths on a target; ``USUAL`` where the latency of its main layers shows none.

    A group of channels is mostly made by a convolution and goes through a depthwise one: the shorter of their
    steps is taken, as one of them becomes faster with each; for a small network a finer one.

    Args:
        found: The network.
        measurer: The device, ready.
        target: What it is to run on.

    Raises:
        DeviceError: The device failed.
    """
    layers = [layer for layer in layers_of(found) if layer.out_slot is not None]
    dense = [layer for layer in layers if not layer.is_tied]
    depthwise = [layer for layer in layers if layer.is_tied]
    steps = [
        _read(max(kind, key=lambda layer: at_widths(layer, None, None).macs), measurer, target)
        for kind in (dense, depthwise)
        if kind
    ]
    return fine_enough(min(steps, default=USUAL), [group.channels for group in found.groups])


def fine_enough(step: int, channels: Sequence[int]) -> int:
    """A step, at least ``USUAL``, halved until the middle one of the groups has some widths to choose from.

    A finer step than the device's offers widths that are no faster than the next wider one, which is no harm;
    a coarser one than small networks have channels offers none.

    Args:
        step: The device's.
        channels: Of each group.
    """
    middle = median_high(channels)
    while step > USUAL and _CHOICES * step > middle:
        step //= 2
    return max(USUAL, step)


def _read(layer: WidthLayer, measurer: Stopwatch, target: Target) -> int:
    """The step of a layer; 1 where none shows."""
    workloads = {
        str(width): layer.workload_at(width if layer.is_tied else layer.in_channels, width)
        for width in _WIDTHS
    }
    models = {
        name: lowered(random_module([workload.block], 0), workload.in_shapes[0], target)
        for name, workload in workloads.items()
    }
    found = measurer.latencies(target, models)
    return read_step(list(_WIDTHS), [found[str(width)].ms for width in _WIDTHS]).step
