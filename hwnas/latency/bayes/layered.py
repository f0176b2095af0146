"""Networks of layers of any width: sums of layers, corrected by measured whole networks.

A layer inside a network takes what it took alone times a factor, and less of what starting a model costs. The
factor is one for all, differs by kind of operation, and again by the size of its tensors; the constant is one
for all and differs by kind. Those few numbers are a Gaussian, conditioned on whole networks in closed form.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from hwnas.device import Target
from hwnas.errors import LatencyModelError
from hwnas.latency.base import Cost, FloatArray, IntArray, Prediction
from hwnas.latency.bayes.evidence import infer_variances, posterior_of
from hwnas.latency.bayes.gaussian import Component, Equations, Gaussian, Prior
from hwnas.latency.bayes.posterior import ABSOLUTE_TO_STD
from hwnas.latency.layers import LayerRows, SlotLayer, at_widths, cost_of
from hwnas.space import Workload
from hwnas.tables.table import LatencyTable

START = 0.1
"""Relative standard deviation that factors and constants start from."""

START_NOISE = 0.02
"""Relative standard deviation of one network to start from."""


@dataclass(frozen=True)
class Layered:
    """The latency of one network at any widths of its slots.

    Attributes:
        rows: What layers take alone.
        layers: Of the network, in any order; what has no width to choose is among them.
        gaussian: Over the factors of ``_places`` and the constants, in ms, of ``_kinds``.
    """

    rows: LayerRows
    layers: tuple[SlotLayer, ...]
    gaussian: Gaussian

    @classmethod
    def fit(
        cls, table: LatencyTable, layers: Sequence[SlotLayer], channels: IntArray, latency_ms: FloatArray
    ) -> Layered:
        """Rows of a table, corrected by whole networks.

        Args:
            table: With rows of layers.
            layers: Of the network.
            channels: Channels of every slot of measured networks, shape (n, slots); n may be 0.
            latency_ms: What those took, shape (n,), positive.

        Raises:
            LatencyModelError: There are too few rows, or networks and latencies do not fit.
        """
        channels, latency_ms = np.asarray(channels, np.int64), np.asarray(latency_ms, np.float64)
        if channels.ndim != 2 or latency_ms.shape != channels.shape[:1] or not (latency_ms > 0).all():
            raise LatencyModelError(
                "measured networks must have channels of every slot and a positive latency each, but got the "
                f"shapes {channels.shape} and {latency_ms.shape}"
            )
        empty = Gaussian(np.zeros(0), np.zeros((0, 0)), 0.0)
        bare = cls(LayerRows.fit(table), tuple(layers), empty)
        prior = bare._prior()
        equations = Equations.of(prior, bare._design(channels), latency_ms)
        gaussian = posterior_of(prior, infer_variances(prior, equations), equations)
        return cls(bare.rows, bare.layers, gaussian)

    @property
    def target(self) -> Target:
        """What the predictions are true of."""
        return self.rows.target

    def predict(self, channels: IntArray) -> Prediction:
        """Latency of networks with these channels of every slot, shape (n, slots).

        The standard deviation holds doubt about factors and constants, and what networks are off by besides:
        as the measured ones were, or as estimated layers are, whichever is more.
        """
        channels = np.atleast_2d(np.asarray(channels, np.int64))
        mean, estimates = np.zeros(len(channels)), np.zeros(len(channels))
        for number, (alone, known) in enumerate(self._alone(channels)):
            inside = self._inside(number, alone)
            mean += inside
            estimates += np.where(known, 0.0, ABSOLUTE_TO_STD * self.rows.error * inside) ** 2
        design = self._design(channels)
        doubt = np.einsum("ne,ef,nf->n", design, self.gaussian.covariance, design)
        besides = np.maximum((self.gaussian.noise * mean) ** 2, estimates)
        return Prediction(mean, np.sqrt(np.maximum(doubt, 0.0) + besides))

    def costs(self, widths: Sequence[Sequence[int]]) -> Cost:
        """What every layer costs at the widths that its slots may have.

        Args:
            widths: Numbers of channels to choose from, one row a slot.
        """
        return cost_of(self.layers, widths, self._table)

    def _table(self, number: int, widths: Sequence[tuple[int | None, int | None]]) -> FloatArray:
        """Cost of a layer inside a network at some widths of what it reads and makes."""
        workloads = [at_widths(self.layers[number], reads, makes) for reads, makes in widths]
        return self._inside(number, self.rows.latency_ms(workloads))

    def _alone(self, channels: IntArray) -> list[tuple[FloatArray, np.ndarray]]:
        """What each layer takes alone in each network, and whether that is a row; arrays of shape (n,)."""
        columns, own = channels.T.tolist(), [None] * len(channels)
        found = []
        for layer in self.layers:
            reads, makes = (own if s is None else columns[s] for s in (layer.in_slot, layer.out_slot))
            each = list(zip(reads, makes, strict=True))
            distinct = {pair: number for number, pair in enumerate(dict.fromkeys(each))}
            workloads = [at_widths(layer, *pair) for pair in distinct]
            places = np.array([distinct[pair] for pair in each], dtype=np.int64)
            known = np.array([self.rows.is_measured(w) for w in workloads], dtype=bool)
            found.append((self.rows.latency_ms(workloads)[places], known[places]))
        return found

    def _inside(self, number: int, alone: FloatArray) -> FloatArray:
        """What a layer costs inside a network, never less than nothing; an identity costs nothing."""
        place, kind = self._groups[number]
        mean = self.gaussian.mean_ms
        return np.where(alone > 0, np.maximum(mean[place] * alone + mean[kind], 0.0), 0.0)

    def _design(self, channels: IntArray) -> FloatArray:
        """What each network pays of the factors and constants, shape (n, entries)."""
        design = np.zeros((len(channels), len(self._places) + len(self._kinds)))
        for (place, kind), (alone, _) in zip(self._groups, self._alone(channels), strict=True):
            design[:, place] += alone
            design[:, kind] += alone > 0
        return design

    def _prior(self) -> Prior:
        """Factors near one, constants near nothing."""
        places, kinds = list(self._places), list(self._kinds)
        entries = len(places) + len(kinds)
        factors, by_kind = np.zeros((entries, 1)), np.zeros((entries, len(kinds)))
        factors[: len(places)] = 1.0
        for number, (kind, _) in enumerate(places):
            by_kind[number, kinds.index(kind)] = 1.0
        full = self.rows.latency_ms([at_widths(layer, None, None) for layer in self.layers])
        constants = np.eye(entries)[:, len(places) :] * float(full[full > 0].mean())
        return Prior(
            (
                Component("factor", factors, START, np.ones(1)),
                Component("kind", by_kind, START),
                Component("place", np.eye(entries)[:, : len(places)], START),
                Component("constant", constants.sum(axis=1, keepdims=True), START),
                Component("constant by kind", constants, START),
            ),
            START_NOISE,
        )

    @cached_property
    def _labels(self) -> list[tuple[str, str]]:
        """Kind and place of each layer: its main operation, and the size of the pictures that it reads."""
        return [_label(at_widths(layer, None, None)) for layer in self.layers]

    @cached_property
    def _places(self) -> dict[tuple[str, str], int]:
        return {label: number for number, label in enumerate(dict.fromkeys(self._labels))}

    @cached_property
    def _kinds(self) -> dict[str, int]:
        kinds = dict.fromkeys(kind for kind, _ in self._labels)
        return {kind: len(self._places) + number for number, kind in enumerate(kinds)}

    @cached_property
    def _groups(self) -> list[tuple[int, int]]:
        """The entries of each layer: its factor and its constant."""
        return [(self._places[label], self._kinds[label[0]]) for label in self._labels]


def _label(workload: Workload) -> tuple[str, str]:
    ops = workload.ops
    main = max(ops, key=lambda op: op.macs).kind if ops else workload.block.kind
    return main, "x".join(map(str, workload.in_shapes[0][1:]))
