"""By how many channels it pays to widen a layer: the device's own staircase, read off one layer."""

from __future__ import annotations

from torch import nn

from hwnas import blocks
from hwnas.adapt.latencies import latencies
from hwnas.device import Target
from hwnas.errors import LatencyModelError
from hwnas.latency.staircase import ReadStep, read_step
from hwnas.measure import Measurer
from hwnas.widths.groups import Prunable
from hwnas.widths.layers import WidthLayer, layers_of

USUAL = 8
"""Where no step shows: finer widths are not worth their measurements."""

_WIDTHS = range(24, 89, 4)


def step_of(found: Prunable, measurer: Measurer, target: Target) -> int:
    """The step of widths on a target; ``USUAL`` where the latency of its main layer shows none.

    Args:
        found: The network.
        measurer: The device, ready.
        target: What it is to run on.

    Raises:
        DeviceError: The device failed.
    """
    pointwise = [layer for layer in layers_of(found) if layer.in_slot != layer.out_slot is not None]
    if not pointwise:
        return USUAL
    main = max(pointwise, key=lambda layer: layer.workload_at(layer.in_channels, layer.out_channels).macs)
    try:
        step = _read(main, measurer, target).step
    except LatencyModelError:
        return USUAL
    return step if step > 1 else USUAL


def _read(layer: WidthLayer, measurer: Measurer, target: Target) -> ReadStep:
    """What the layer takes at widths that are finer than any step."""
    workloads = {width: layer.workload_at(layer.in_channels, width) for width in _WIDTHS}
    networks: dict[str, nn.Module] = {
        str(width): blocks.build([workload.block]) for width, workload in workloads.items()
    }
    shape = workloads[_WIDTHS[0]].in_shapes[0]
    found = latencies(measurer, target, networks, shape)
    return read_step(list(_WIDTHS), [found[str(width)].ms for width in _WIDTHS])
