"""Layers of any width: as they were measured, and by regression over what their operations do.

A layer reads the channels of one slot and makes those of another, so that its latency is a cost of two slots
together. The regression keeps the staircase of the device; what it gets wrong of a layer is taken from other
widths of that. Steps and reach are chosen by cross-validation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any, Protocol

import numpy as np

from hwnas.device import Target
from hwnas.errors import LatencyModelError
from hwnas.factors import Pair
from hwnas.latency.base import Cost, FloatArray, IntArray
from hwnas.latency.nearby import REACHES, Nearby
from hwnas.latency.regression import FAMILIES, FOLDS
from hwnas.latency.staircase import STEPS, Staircase
from hwnas.latency.workloads import parse_workload
from hwnas.space import Block, Workload
from hwnas.tables.table import LatencyTable

LEAST_ROWS = 20

_CLEARLY = 0.98
"""A longer step is taken where it leaves so much of the error at most: else the shorter one stands."""


LayerCost = Callable[[int, Sequence[tuple[int | None, int | None]]], FloatArray]
"""What the layer of a number costs at some widths of what it reads and makes."""


class SlotLayer(Protocol):
    """A layer of a network whose groups of channels have widths to choose."""

    @property
    def in_slot(self) -> int | None:
        """The slot whose channels it reads; None where their number is fixed."""

    @property
    def out_slot(self) -> int | None:
        """The slot whose channels it makes, which may be the one that it reads; None where fixed."""

    @property
    def in_channels(self) -> int:
        """Channels that it reads at full width."""

    @property
    def out_channels(self) -> int:
        """Channels that it makes at full width."""

    def workload_at(self, in_channels: int, out_channels: int) -> Workload:
        """What is measured of it at these widths."""


@dataclass(frozen=True)
class BlockLayer:
    """A layer that is one block with the fields ``in_channels`` and, where they differ, ``out_channels``.

    Attributes:
        workload: At full width.
        in_slot: The slot whose channels it reads; None where their number is fixed.
        out_slot: The slot whose channels it makes; None where their number is fixed.
    """

    workload: Workload
    in_slot: int | None
    out_slot: int | None

    @property
    def in_channels(self) -> int:
        """Channels that it reads at full width."""
        return self.workload.in_shapes[0][0]

    @property
    def out_channels(self) -> int:
        """Channels that it makes at full width."""
        return self.workload.out_shapes[0][0]

    @property
    def is_tied(self) -> bool:
        """Whether it makes the channels that it reads, as a depthwise one does."""
        return self.in_slot is not None and self.in_slot == self.out_slot

    def workload_at(self, in_channels: int, out_channels: int) -> Workload:
        """The block with other channels, on inputs of so many; depthwise ones have as many groups."""
        block: Any = self.workload.block
        shapes = tuple((in_channels, *shape[1:]) for shape in self.workload.in_shapes)
        several = isinstance(block.in_channels, tuple)
        changed = {
            "in_channels": (in_channels,) * len(shapes) if several else in_channels,
            "out_channels": out_channels,
        }
        if not several and getattr(block, "groups", 1) == block.in_channels > 1:
            changed["groups"] = in_channels
        own = {field.name for field in fields(block)}
        narrower: Block = replace(block, **{name: n for name, n in changed.items() if name in own})
        return Workload(narrower, shapes if several else shapes[0])


@dataclass(frozen=True)
class LayerRows:
    """Measured layers as they are, others by regression.

    Attributes:
        target: What the numbers are true of.
        rows_ms: Measured latency by workload key.
        staircase: Channels that kernels compute at once.
        family: Of ``regression.FAMILIES``.
        near: Step and reach of ``Nearby``.
        error: Mean absolute relative error of rows that were left out: that of an estimate.
    """

    target: Target
    rows_ms: Mapping[str, float]
    staircase: Staircase
    family: str
    near: tuple[int, float]
    error: float

    @classmethod
    def fit(cls, table: LatencyTable) -> LayerRows:
        """Choose steps and family by cross-validation on all blocks of a table.

        Raises:
            LatencyModelError: There are too few.
        """
        rows_ms = {key: m.latency_ms for key, m in table.of_kind("block").items()}
        if len(rows_ms) < LEAST_ROWS:
            raise LatencyModelError(
                f"layers of any width must be estimated from at least {LEAST_ROWS} measured ones, but got "
                f"{len(rows_ms)}: give a smaller step of channels, so that there are more widths"
            )
        workloads = [parse_workload(key) for key in rows_ms]
        taken = np.array(list(rows_ms.values()))
        staircase = _staircase(workloads, taken)
        work = np.array([staircase.work(w) for w in workloads])
        family = min(FAMILIES, key=lambda name: _left_out(work, taken, name))
        errors = _left_out_near(workloads, work, taken, family)
        near = min(errors, key=lambda both: errors[both])
        return cls(table.target, rows_ms, staircase, family, near, errors[near])

    @cached_property
    def _estimate(self) -> Callable[[Sequence[Workload]], FloatArray]:
        """Latency of layers, even of measured ones, by regression and by what it leaves nearby."""
        measured = tuple(parse_workload(key) for key in self.rows_ms)
        taken = np.array(list(self.rows_ms.values()))
        work = np.array([self.staircase.work(w) for w in measured])
        base = FAMILIES[self.family](work, taken)
        near = Nearby(measured, np.log(taken / base(work)), *self.near)

        def estimate(workloads: Sequence[Workload]) -> FloatArray:
            return base(np.array([self.staircase.work(w) for w in workloads])) * np.exp(near.at(workloads))

        return estimate

    def latency_ms(self, workloads: Sequence[Workload]) -> FloatArray:
        """Latency of each alone, as measured or else estimated; 0 for an identity; shape (n,)."""
        keys = [w.key() for w in workloads]
        found = np.array([self.rows_ms.get(key, 0.0) for key in keys])
        missing = [
            n for n, w in enumerate(workloads) if keys[n] not in self.rows_ms and not w.block.is_identity
        ]
        if missing:
            found[missing] = self._estimate([workloads[n] for n in missing])
        return found

    def is_measured(self, workload: Workload) -> bool:
        """Whether its latency is a row, and no estimate."""
        return workload.key() in self.rows_ms


def _staircase(workloads: Sequence[Workload], latency_ms: FloatArray) -> Staircase:
    """The steps that foretell left-out rows best; each is chosen given the others, twice over."""

    def error(staircase: Staircase) -> float:
        return _left_out(np.array([staircase.work(w) for w in workloads]), latency_ms, "work")

    best = Staircase()
    least = error(best)
    for name in ("inward", "outward", "depthwise") * 2:
        for step in STEPS:
            tried = replace(best, **{name: step})
            if tried != best and (found := error(tried)) < least * _CLEARLY:
                best, least = tried, found
    return best


def _left_out(work: FloatArray, latency_ms: FloatArray, family: str) -> float:
    """Mean absolute relative error of rows that the family was not fitted to."""
    found = np.empty(len(work))
    for train, test in _folds(len(work)):
        found[test] = FAMILIES[family](work[train], latency_ms[train])(work[test])
    return float(np.mean(np.abs(found / latency_ms - 1)))


def _left_out_near(
    workloads: Sequence[Workload], work: FloatArray, latency_ms: FloatArray, family: str
) -> dict[tuple[int, float], float]:
    """The same for each step and reach of what rows nearby add."""
    total = {(step, reach): 0.0 for step in STEPS for reach in REACHES}
    for train, test in _folds(len(work)):
        base = FAMILIES[family](work[train], latency_ms[train])
        left = np.log(latency_ms[train] / base(work[train]))
        known, others = tuple(workloads[n] for n in train), [workloads[n] for n in test]
        estimated = base(work[test])
        for near in total:
            found = estimated * np.exp(Nearby(known, left, *near).at(others))
            total[near] += float(np.abs(found / latency_ms[test] - 1).sum())
    return {near: error / len(work) for near, error in total.items()}


def _folds(count: int) -> Iterator[tuple[IntArray, IntArray]]:
    """Rows to fit to and rows to judge by."""
    order = np.random.default_rng(0).permutation(count)  # fixed: the folds belong to the table
    for test in np.array_split(order, FOLDS):
        yield np.setdiff1d(order, test), test


def at_widths(layer: SlotLayer, reads: int | None, makes: int | None) -> Workload:
    """A layer at some widths, at its full ones where none are given or its own are fixed."""
    if layer.in_slot is None or reads is None:
        reads = layer.in_channels
    if layer.out_slot is None or makes is None:
        makes = layer.out_channels
    return layer.workload_at(reads, makes)


def cost_of(layers: Sequence[SlotLayer], widths: Sequence[Sequence[int]], each: LayerCost) -> Cost:
    """What layers cost in all at the widths that their slots may have.

    Args:
        layers: Of a network.
        widths: Numbers of channels to choose from, one row a slot.
        each: Cost of the layer of a number at pairs of widths, shape (pairs,), in ms; None where its own is
            fixed.
    """
    fixed, singles = 0.0, [np.zeros(len(own)) for own in widths]
    tables: dict[tuple[int, int], FloatArray] = {}
    for number, layer in enumerate(layers):
        reads, makes = layer.in_slot, layer.out_slot
        if reads is None or makes is None or reads == makes:
            slot = makes if reads is None else reads
            states = [None] if slot is None else list(widths[slot])
            found = each(number, [(n, n) for n in states])
            if slot is None:
                fixed += float(found[0])
            else:
                singles[slot] += found
            continue
        found = each(number, [(a, b) for a in widths[reads] for b in widths[makes]])
        table = found.reshape(len(widths[reads]), len(widths[makes]))
        edge = (min(reads, makes), max(reads, makes))
        table = table if edge == (reads, makes) else table.T
        tables[edge] = tables.get(edge, np.zeros(table.shape)) + table
    pairs = tuple(Pair(*edge, table) for edge, table in tables.items())
    return Cost(fixed, tuple(singles), "ms", pairs)
