"""What other devices and physics say about a device of which no block was measured.

Where the blocks are known, costs are near a sum of *physical work* with positive factors; an
unknown device is expected to spend a quarter of its time each on multiply-adds, on memory
traffic, on weights and on starting operations. The tables of *known devices* are further
directions with positive factors, expected to be zero: they are used as far as the measured
networks ask for them, so nothing is lost where no known device resembles the new one.

Where only architecture indices are known, the average of the known devices is expected, entries
that all of them judge alike are expected to be alike, and candidates of the same number may
share something. Without known devices that last expectation is all there is.

How far devices differ from these expectations is learnt by taking every known device in turn
as the new one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from hwnas.errors import LatencyModelError
from hwnas.latency.base import FloatArray, IntArray
from hwnas.latency.bayes.entries import Entries
from hwnas.latency.bayes.evidence import infer_variances
from hwnas.latency.bayes.gaussian import LEAST, Component, Equations, Gaussian, Prior, non_negative, pinned
from hwnas.latency.bayes.interactions import ResidualProcess
from hwnas.latency.features import FEATURES, VERSION, require_same
from hwnas.latency.layout import Layout
from hwnas.space import SearchSpace

Known = Mapping[str, Sequence[float]]
"""Cost vectors of known devices in ms, shape (entries,), by name."""

NOISE = 0.05
"""Relative standard deviation of one network that is most plausible before any is measured."""

UNEXPECTED = 5.0
"""Factor between the expected and the measured latency of a new device's network that is no error of
the prior's usual size, but another order of magnitude."""

PLAUSIBLE = {
    "work": 0.5,
    "known": 0.5,
    "level": 0.3,
    "run": 0.3,
    "similar": 0.3,
    "candidate": 0.3,
    "nearby": 0.3,
    "entry": 0.1,
}
"""Standard deviations that are most plausible before any device is known, relative to the
average network (weights) or to the average cost of a candidate (entries)."""

NEIGHBOURHOOD = 0.2
"""Share of a network's choices over which a candidate's cost changes little, where nothing but
its number is known."""

LEARNING_NETWORKS = 100
"""Networks of a known device that stand for it when it is taken as the new one."""


@dataclass(frozen=True)
class DevicePrior:
    """Physics and known devices, scaled to the level of the new device.

    Attributes:
        level_ms: Latency of the average network, from the measured ones.
        known: Cost vectors of known devices, by name; only their proportions matter.
        sizes: Start and spread of each component's variance, where they were learnt.
        residuals: Known devices whose residual is part of the networks' equations: each has
            one entry more, after the fixed part.
        features_version: Of the features that physical work was counted by.
        only: Names of the components that are used; empty for all.
    """

    kind = "devices"

    level_ms: float
    known: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    sizes: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    residuals: tuple[str, ...] = ()
    features_version: int = VERSION
    only: tuple[str, ...] = ()

    def build(self, space: SearchSpace) -> Prior:
        """The prior over the cost vector of a space.

        Raises:
            LatencyModelError: It was learnt when the features of the space's blocks were others.
        """
        require_same(self.features_version, space.workloads())
        return self.over(Entries.of_space(space))

    def over(self, entries: Entries) -> Prior:
        """The prior over a cost vector whose entries are described."""
        tables = [normalise(entries, np.array(costs)) for costs in self.known.values()]
        make = _indexed if entries.features is None else _physical
        components = [c for c in make(entries, tables) if not self.only or c.name in self.only]
        return Prior(tuple(self._sized(c) for c in components), NOISE, unexpected=UNEXPECTED)

    def overpaid(self, _space: SearchSpace, indices: IntArray) -> FloatArray:
        """Nothing: of parts that do not run no latency is known, shape (n,)."""
        return np.zeros(len(np.atleast_2d(indices)))

    def _sized(self, component: Component) -> Component:
        """A component of the size that was learnt, at this device's level."""
        start, spread = self.sizes.get(component.name, (component.start, component.spread))
        shared = np.zeros((len(self.residuals), component.root.shape[1]))
        if component.name == "known":
            names = list(self.known)
            for number, name in enumerate(self.residuals):
                shared[number, names.index(name)] = 1.0
        root = np.concatenate([component.root, shared]) * self.level_ms
        return replace(component, root=root, start=start, spread=spread)

    def to_json(self) -> dict[str, Any]:
        """A JSON object that ``from_json`` turns back."""
        return {
            "kind": self.kind,
            "level_ms": self.level_ms,
            "known": {name: list(costs) for name, costs in self.known.items()},
            "sizes": {name: list(pair) for name, pair in self.sizes.items()},
            "remainders": list(self.residuals),
            "features_version": self.features_version,
            "only": list(self.only),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> DevicePrior:
        """Rebuild a prior."""
        known = {str(name): tuple(float(c) for c in costs) for name, costs in data["known"].items()}
        sizes = {str(name): (float(start), float(spread)) for name, (start, spread) in data["sizes"].items()}
        residuals, version = tuple(data["remainders"]), int(data.get("features_version", 1))
        only = tuple(str(name) for name in data.get("only", ()))  # models of before have none
        return cls(float(data["level_ms"]), known, sizes, residuals, version, only)


def network_matrix(
    entries: Entries, indices: IntArray, known: Known, residuals: Mapping[str, ResidualProcess]
) -> FloatArray:
    """Which costs networks pay, and what known devices' sums cannot explain of them.

    Returns:
        Shape (n, entries + residuals); a residual is relative to its device's average network.
    """
    columns = [entries.layout.matrix(indices)]
    for name, residual in residuals.items():
        level = float(entries.average @ np.asarray(known[name]))
        columns.append(residual(indices)[:, None] / level)
    return np.concatenate(columns, axis=1)


def learn_sizes(
    entries: Entries, known: Known, residuals: Mapping[str, ResidualProcess] | None = None, *, seed: int = 0
) -> dict[str, tuple[float, float]]:
    """How far devices differ from what the others say of them.

    Every known device in turn is the new one; the variances that its networks ask for are
    averaged (in logarithms) with the plausible ones, which count as one device more.

    Returns:
        Start and spread of the variance of each component, by its name.
    """
    rng = np.random.default_rng(seed)
    residuals = residuals or {}
    found: dict[str, list[float]] = {}
    for name, costs in known.items():
        others = {n: tuple(c) for n, c in known.items() if n != name}
        if not others and entries.features is None:
            continue
        sizes = entries.layout.sizes
        indices = np.stack([rng.integers(size, size=LEARNING_NETWORKS) for size in sizes], axis=1)
        own = {n: r for n, r in residuals.items() if n == name}
        shared = {n: r for n, r in residuals.items() if n != name}
        whole = np.concatenate([normalise(entries, np.asarray(costs)), np.ones(len(own))])
        latency = np.maximum(network_matrix(entries, indices, known, own) @ whole, LEAST)
        prior = DevicePrior(1.0, others, {}, tuple(shared)).over(entries)
        equations = Equations.of(prior, network_matrix(entries, indices, known, shared), latency)
        wanted = infer_variances(prior, equations, integrate=False).points[0]
        for component, variance in zip(prior.components, wanted, strict=False):
            found.setdefault(component.name, []).append(float(np.log(variance)))
    broad = Component("", np.zeros((1, 1)), 0.0).spread
    learnt = {}
    for name, logs in found.items():
        centre = float(np.mean([2 * np.log(PLAUSIBLE[name]), *logs]))
        spread = np.sqrt((broad**2 + sum((v - centre) ** 2 for v in logs)) / (1 + len(logs)))
        learnt[name] = float(np.exp(centre / 2)), float(spread)
    return learnt


def normalise(entries: Entries, costs: FloatArray) -> FloatArray:
    """The same proportions with an average network of one.

    Where only indices are known, what the candidates of a choice share cannot be told from the
    fixed part, so it is moved there: the cheapest candidate of every choice costs nothing.
    """
    if entries.features is None:
        costs = cheapest_free(entries.layout, costs)
    return np.asarray(costs / (entries.average @ costs))


def cheapest_free(layout: Layout, costs: FloatArray) -> FloatArray:
    """The same sums, with the cost of every choice's cheapest candidate in the fixed part."""
    costs = costs.copy()
    for part in np.split(costs[: layout.fixed], layout.offsets[1:]):
        costs[layout.fixed] += part.min()
        part -= part.min()
    return costs


def posterior_costs(entries: Entries, posterior: Gaussian) -> FloatArray:
    """Non-negative costs in ms, of the shape of the mean, that fit it best.

    Where only indices are known, a cost can only be told to be negative where the fastest
    network would take less than no time: that network is then conditioned on taking none.
    """
    if entries.features is not None:
        return non_negative(posterior)
    layout = entries.layout
    for _ in range(layout.entries):
        costs = cheapest_free(layout, posterior.mean_ms)
        if costs[layout.fixed] >= 0:
            break
        fastest = [int(part.argmin()) for part in np.split(costs[: layout.fixed], layout.offsets[1:])]
        row = np.zeros(len(costs))
        row[: layout.entries] = layout.matrix(np.array([fastest]))[0]
        posterior = pinned(posterior, row)
    return np.asarray(np.maximum(costs, 0.0))


def _physical(entries: Entries, tables: Sequence[FloatArray]) -> list[Component]:
    work, centre = work_columns(entries)
    expected = work @ centre
    components = [Component("work", work, PLAUSIBLE["work"], centre, positive=True)]
    if tables:
        components.append(Component("known", np.stack(tables, axis=1), PLAUSIBLE["known"], positive=True))
    own = entries.groups(entries.workloads) * expected[:, None]
    return [*components, Component("entry", own, PLAUSIBLE["entry"])]


def work_columns(entries: Entries) -> tuple[FloatArray, FloatArray]:
    """Physical work of each entry, and the share of time that is expected for each kind.

    Each of the four kinds (multiply-adds, traffic, weights, operations) is one for the average
    network; the parts of a kind keep their proportions. A constant a run comes last.

    Returns:
        Shape (entries, kinds), and shape (kinds,), summing to one over the average network.
    """
    if entries.features is None:
        raise LatencyModelError("physical work must be known of every entry, but only indices are")
    columns, shares = [], []
    for kind, names, share in _KINDS_OF_WORK:
        parts = entries.features[:, [FEATURES.index(name) for name in names]]
        whole = float(
            entries.average @ entries.features[:, [FEATURES.index(name) for name in kind]].sum(axis=1)
        )
        present = parts.any(axis=0)
        columns.append(parts[:, present] / whole)
        shares += [share] * int(present.sum())
    columns.append(entries.fixed_only)
    return np.concatenate(columns, axis=1), np.array([*shares, 0.0])


_MACS = tuple(name for name in FEATURES if name.startswith("macs_"))
_KINDS_OF_WORK = (
    # what the kind is measured by, its parts, the expected weight of each part
    (_MACS, _MACS, 0.25),
    (("read", "written"), ("read", "written"), 0.25),
    (("weights",), ("weights",), 0.25),
    (("ops",), ("ops",), 0.25),
    (("read", "written"), ("shuffled",), 0.0),
)


def _indexed(entries: Entries, tables: Sequence[FloatArray]) -> list[Component]:
    if not tables:
        typical = 1 / len(entries.layout.sizes)
        return [
            Component("level", entries.fixed_only, PLAUSIBLE["level"], np.ones(1)),
            Component("candidate", entries.groups(entries.candidates) * typical, PLAUSIBLE["candidate"]),
            Component("nearby", _nearby(entries) * typical, PLAUSIBLE["nearby"]),
            Component("entry", entries.groups(entries.workloads) * typical, PLAUSIBLE["entry"]),
        ]
    known = np.stack(tables, axis=1)
    centre = np.full(len(tables), 1 / len(tables))
    expected = known @ centre
    typical = float(expected[:-1].mean())
    return [
        Component("known", known, PLAUSIBLE["known"], centre, positive=True),
        Component("run", entries.fixed_only, PLAUSIBLE["run"]),
        Component("similar", _similar(known) * typical, PLAUSIBLE["similar"]),
        Component(
            "candidate", entries.groups(entries.candidates) * expected[:, None], PLAUSIBLE["candidate"]
        ),
        Component("entry", entries.groups(entries.workloads) * expected[:, None], PLAUSIBLE["entry"]),
    ]


def _similar(known: FloatArray) -> FloatArray:
    """Root of a smooth covariance of candidates that the known devices judge alike."""
    profile = np.sqrt(np.maximum(known[:-1], 0.0))
    profile /= np.maximum(profile.std(axis=0), 1e-12)
    return _root(np.exp(-0.5 * ((profile[:, None] - profile[None]) ** 2).mean(axis=2)))


def _nearby(entries: Entries) -> FloatArray:
    """Root of a covariance of candidates of the same number in neighbouring choices."""
    numbers, sizes = np.array(entries.candidates), entries.layout.sizes
    depth = np.repeat(np.arange(len(sizes)), sizes) / (NEIGHBOURHOOD * len(sizes))
    distance = (depth[:, None] - depth[None]) ** 2
    return _root(np.exp(-0.5 * distance) * (numbers[:, None] == numbers[None]))


def _root(covariance: FloatArray) -> FloatArray:
    """A matrix whose square is this covariance of the candidates; the fixed part has none."""
    values, vectors = np.linalg.eigh(covariance)
    kept = values > 1e-6 * values.max()
    root = vectors[:, kept] * np.sqrt(values[kept])
    return np.concatenate([root, np.zeros((1, root.shape[1]))])
