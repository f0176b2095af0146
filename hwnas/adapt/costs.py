"""What widths are predicted to take: layers at some widths, and whole networks that correct their sum."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from hwnas.adapt.strategies.base import Indices, Tell
from hwnas.adapt.subject import Subject
from hwnas.latency.base import Cost
from hwnas.latency.bayes.layered import Layered
from hwnas.measure import Progress, profile
from hwnas.space import Workload
from hwnas.tables.table import LatencyTable
from hwnas.widths.layers import WidthLayer, layers_of

_NETWORKS = 24
_SHARES = (0.85, 0.7, 0.55, 0.4, 0.25)
_EACH = 4
"""Widths at which each layer is measured alone: those of the whole network, and random ones."""

_ROUNDS = 5
"""Of a row: there are many of them, and a regression goes through all."""


def layered(subject: Subject, folder: Path, tell: Tell) -> Layered:
    """The latency model of a network's widths; what it is fitted to is kept.

    Args:
        subject: The network.
        folder: For the table of its layers.
        tell: Told what is being measured.
    """
    layers, widths = layers_of(subject.found), subject.space.widths
    rng = np.random.default_rng(subject.seed)
    rows = list(dict.fromkeys(_sampled(layers, widths, rng)))

    def said(progress: Progress) -> None:
        tell(f"measuring layers of other widths: {progress.stage} {progress.done}/{progress.total}")

    device, target = subject.measurer.device, subject.target
    rounds = min(_ROUNDS, subject.measurer.options.rounds)
    options = replace(subject.measurer.options, rounds=rounds, max_rounds=rounds)
    path = profile(device, (), [target], folder / device.name, options, said, only=rows)[target]
    wanted = list(dict.fromkeys(_networks(subject, rng)))
    tell(f"measuring {len(wanted)} networks of other widths")
    found = subject.latencies(wanted)
    channels = [[widths[slot][index] for slot, index in enumerate(indices)] for indices in wanted]
    measured = np.array([found[indices].ms for indices in wanted])
    return Layered.fit(LatencyTable.load(path), layers, np.array(channels), measured)


def costs(subject: Subject, folder: Path, tell: Tell) -> Cost:
    """The cost of all widths, in ms."""
    return layered(subject, folder, tell).costs(subject.space.widths)


def _sampled(
    layers: Sequence[WidthLayer], widths: Sequence[Sequence[int]], rng: np.random.Generator
) -> Iterator[Workload]:
    """Each layer at its whole widths and at some others."""
    for layer in layers:
        yield layer.workload_at(layer.in_channels, layer.out_channels)
        for _ in range(_EACH - 1):
            ins = layer.in_channels if layer.in_slot is None else int(rng.choice(widths[layer.in_slot]))
            outs = layer.out_channels if layer.out_slot is None else int(rng.choice(widths[layer.out_slot]))
            yield layer.workload_at(ins, ins if layer.in_slot == layer.out_slot is not None else outs)


def _networks(subject: Subject, rng: np.random.Generator) -> Iterator[Indices]:
    """The whole network, evenly narrowed ones, and random ones of every size."""
    space = subject.space
    yield space.whole
    for share in _SHARES:
        yield space.at_share(share)
    for _ in range(_NETWORKS - len(_SHARES) - 1):
        low, high = np.sort(rng.uniform(0, 1, 2))
        yield tuple(round(float(rng.uniform(low, high)) * (size - 1)) for size in space.sizes)
