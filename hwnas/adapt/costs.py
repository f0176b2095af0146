"""What widths are predicted to take: layers at some widths, and whole networks that correct their sum."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np

from hwnas.adapt.strategies.base import Indices, Tell
from hwnas.adapt.subject import Subject
from hwnas.latency.base import Cost
from hwnas.latency.bayes.layered import Layered
from hwnas.latency.layers import LEAST_ROWS, at_widths
from hwnas.measure import Progress, profile
from hwnas.space import Workload
from hwnas.tables.table import LatencyTable
from hwnas.widths.layers import WidthLayer, layers_of

_NETWORKS = 40
_SHARES = (0.85, 0.7, 0.55, 0.4, 0.25)
_EACH = 4
"""Widths at which each layer is measured alone at least, those of the whole network among them."""

_IN_ALL = 200
"""Widths that are shared among layers by what they take."""

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

    def said(progress: Progress) -> None:
        tell(f"measuring layers of other widths: {progress.stage} {progress.done}/{progress.total}")

    device, target = subject.measurer.device, subject.target
    rounds = min(_ROUNDS, subject.measurer.options.rounds)
    options = replace(subject.measurer.options, rounds=rounds, max_rounds=rounds)

    def measured(rows: Iterable[Workload]) -> LatencyTable:
        only = list(dict.fromkeys(rows))
        return LatencyTable.load(
            profile(device, (), [target], folder / device.name, options, said, only=only)[target]
        )

    whole = [at_widths(layer, None, None) for layer in layers]
    table = measured(whole)
    table = measured([*whole, *_narrowed(layers, widths, [table.lookup_ms(each) for each in whole], rng)])
    wanted = list(dict.fromkeys(_networks(subject, rng)))
    tell(f"measuring {len(wanted)} networks of other widths")
    found = subject.latencies(wanted)
    channels = [[widths[slot][index] for slot, index in enumerate(indices)] for indices in wanted]
    latency_ms = np.array([found[indices].ms for indices in wanted])
    return Layered.fit(table, layers, np.array(channels), latency_ms)


def costs(subject: Subject, folder: Path, tell: Tell) -> Cost:
    """The cost of all widths, in ms."""
    return layered(subject, folder, tell).costs(subject.space.widths)


def _narrowed(
    layers: Sequence[WidthLayer],
    widths: Sequence[Sequence[int]],
    latency_ms: Sequence[float],
    rng: np.random.Generator,
) -> Iterator[Workload]:
    """Each layer at some of its widths, drawn at random: the more the longer it takes."""
    least, total = max(_EACH, -(-2 * LEAST_ROWS // len(layers))), sum(latency_ms)
    for layer, taken in zip(layers, latency_ms, strict=True):
        ins = [layer.in_channels] if layer.in_slot is None else widths[layer.in_slot]
        outs = [layer.out_channels] if layer.out_slot is None else widths[layer.out_slot]
        every = [(own, own) for own in ins] if layer.is_tied else list(product(ins, outs))
        pairs = [pair for pair in every if all(pair)]  # of no channels, there is nothing to measure
        count = max(least, round(_IN_ALL * taken / total))
        for number in rng.permutation(len(pairs))[:count]:
            yield layer.workload_at(*pairs[number])


def _networks(subject: Subject, rng: np.random.Generator) -> Iterator[Indices]:
    """The whole network, evenly narrowed ones, random ones of every size, and ones of any widths."""
    space = subject.space
    yield space.whole
    for share in _SHARES:
        yield space.at_share(share)
    for number in range(_NETWORKS - len(_SHARES) - 1):
        low, high = np.sort(rng.uniform(0, 1, 2)) if number % 2 else (0.0, 1.0)
        yield tuple(round(float(rng.uniform(low, high)) * (size - 1)) for size in space.sizes)
