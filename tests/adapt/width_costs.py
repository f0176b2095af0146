"""What the widths of a network cost: a sum over its layers, each of which may depend on two groups."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from hwnas.factors import Pair
from hwnas.latency.base import Cost
from hwnas.space import Workload
from hwnas.widths.layers import WidthLayer
from hwnas.widths.space import WidthSpace


def cost_of(
    space: WidthSpace,
    layers: Sequence[WidthLayer],
    each: Callable[[Workload], float],
    *,
    fixed: float = 0.0,
    unit: str = "ms",
) -> Cost:
    """The cost of all networks of a space.

    Args:
        space: The widths.
        layers: Of the network.
        each: Cost of a layer alone.
        fixed: What every network costs beside its layers.
        unit: What is counted.
    """
    slots = space.slots
    singles = [np.zeros(size) for size in space.sizes]
    pairs = []
    for layer in layers:
        form = layer.form
        reads = None if layer.in_group is None else slots[layer.in_group]
        makes = None if layer.out_group is None else slots[layer.out_group]
        ins = (form.in_channels,) if reads is None else space.widths[reads]
        outs = (form.out_channels,) if makes is None else space.widths[makes]
        if (
            reads == makes and reads is not None
        ):  # one group: depthwise, or a convolution that adds to what it reads
            singles[reads] += [each(layer.workload_at(width, width)) for width in ins]
            continue
        values = np.array([[each(layer.workload_at(i, o)) for o in outs] for i in ins])
        if reads is not None and makes is not None:
            pairs.append(Pair(reads, makes, values))
        elif reads is not None:
            singles[reads] += values[:, 0]
        elif makes is not None:
            singles[makes] += values[0]
        else:
            fixed += float(values[0, 0])
    return Cost(fixed, tuple(singles), unit, tuple(pairs))
