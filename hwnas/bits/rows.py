"""What is measured of a network in several precisions: its layers in each, and switches between them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np

from hwnas import runtimes
from hwnas.blocks import Switch
from hwnas.device import Device, Target
from hwnas.errors import DeviceError
from hwnas.export.mixed import NetworkLayer
from hwnas.measure import OnProgress, ProfileOptions, profile
from hwnas.space import Shape, Workload

WHOLE = "int8"
"""What files of several precisions are made of, and what all layers are in unless they are kept."""

FINEST = "fp32"
"""What loses nothing."""

_SHAPES = 12
"""Of the tensors of a network, at most so many are measured: what a switch takes goes by elements."""


def states_of(runtime: str) -> tuple[str, ...]:
    """Precisions that a layer in an int8 file of a runtime may have; int8 is the first.

    Raises:
        DeviceError: There is no such runtime.
    """
    return WHOLE, *runtimes.get(runtime).mixes


def edge_shapes(layers: Iterable[NetworkLayer]) -> tuple[Shape, ...]:
    """Of all tensors that layers read of each other, and of the ends of their own rows; each once."""
    found: dict[Shape, None] = {}
    for layer in layers:
        shapes = [each.shape for each in layer.reads]
        found |= dict.fromkeys([*shapes, *layer.workload.in_shapes, *layer.workload.out_shapes])
    return tuple(found)


def wanted(layers: Sequence[NetworkLayer], states: Sequence[str]) -> dict[str, tuple[Workload, ...]]:
    """What is to be measured, by the precision of the table that it is a row of.

    Switches are rows of the int8 table: their files are int8 files that keep layers.

    Args:
        layers: Of a network.
        states: As of ``states_of``.
    """
    measured = _spread(edge_shapes(layers))
    small = [Workload(Switch(shape[0], WHOLE, WHOLE).layer, shape) for shape in measured]
    switches = [
        Workload(Switch(shape[0], *pair), shape) for shape in measured for pair in product(states, states)
    ]
    each = [*(layer.workload for layer in layers), *small]
    found = {state: tuple(dict.fromkeys(each)) for state in states}
    return found | {WHOLE: (*found[WHOLE], *switches)}


def _spread(shapes: Sequence[Shape]) -> list[Shape]:
    """At most so many of them, from the smallest to the largest."""
    ordered = sorted(shapes, key=lambda shape: (np.prod(shape), shape))
    if len(ordered) <= _SHAPES:
        return ordered
    return [ordered[round(n)] for n in np.linspace(0, len(ordered) - 1, _SHAPES)]


def targets(target: Target) -> dict[str, Target]:
    """The targets of one runtime in all precisions that its int8 files may be in.

    Args:
        target: In any of them.

    Raises:
        DeviceError: Files of the runtime keep no layer in another precision.
    """
    states = states_of(target.runtime)
    if len(states) < 2:
        mixing = ", ".join(kind.name for kind in runtimes.shipping() if kind.mixes)
        raise DeviceError(
            f"a runtime must mix precisions for its switches to be measured, but {target.runtime} does not: "
            f"use one of {mixing}"
        )
    return {state: replace(target, precision=state) for state in states}


def measured(
    device: Device,
    layers: Sequence[NetworkLayer],
    target: Target,
    out: Path | None,
    options: ProfileOptions | None,
    progress: OnProgress,
) -> dict[Target, Path]:
    """Measure all rows of a network into the tables of a runtime's precisions; what is there is continued.

    Args:
        device: Where.
        layers: Of the network.
        target: Runtime, processor and threads.
        out: As of ``measure.profile``.
        options: As of ``measure.profile``.
        progress: Called often.

    Raises:
        DeviceError: The runtime mixes no precisions, or cannot be used.
    """
    known = targets(target)
    found: dict[Target, Path] = {}
    for state, only in wanted(layers, tuple(known)).items():
        found |= profile(device, (), [known[state]], out, options, progress, only=only)
    return found
