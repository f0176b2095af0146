"""What a space has to offer over the whole range of latencies: drawn, and put side by side."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from hwnas.budget import Budget
from hwnas.device import Target
from hwnas.errors import InfeasibleBudget
from hwnas.evaluators.merits import Merits
from hwnas.latency.base import Cost, FloatArray, IntArray, Prediction
from hwnas.runs.gallery import GalleryEntry, GalleryRecord, GalleryTarget
from hwnas.search.decode import decode
from hwnas.search.feasible import FeasibleSampler, near_budget
from hwnas.search.problem import Constraint, Problem, relative_budget
from hwnas.space import SearchSpace
from hwnas.spaces.canonical import Canonical

LEAST_USE = 0.95
"""Share of each budget of the sweep that what is drawn for it spends, where it can."""

Indices = tuple[int, ...]


@dataclass(frozen=True)
class TargetLatency:
    """Latency on one target.

    Attributes:
        target: The target.
        costs: Additive costs, to draw architectures by.
        predict: Latency of architectures (n, choices).
        range_ms: Latency of the fastest and the slowest, that shares are of.
        measured: Latency and half its interval, in ms, of what was measured.
    """

    target: Target
    costs: Cost
    predict: Callable[[IntArray], Prediction]
    range_ms: tuple[float, float]
    measured: Mapping[Indices, tuple[float, float]]


def sweep(
    space: SearchSpace,
    latencies: Sequence[TargetLatency],
    points: int,
    each: int,
    rng: np.random.Generator,
    logits: Sequence[FloatArray] | None = None,
) -> list[Indices]:
    """Distinct architectures close to budgets that are spread evenly over the range.

    Args:
        space: The space.
        latencies: On each target; every budget is the same share of the range of each.
        points: Budgets.
        each: Architectures a budget.
        rng: Where draws come from.
        logits: Preferences of a search, shape (candidates,) a choice: draws are the best under
            Gumbel-perturbed preferences; without them they are uniform.
    """
    canonical, found = Canonical(space), dict[Indices, None]()
    for share in np.linspace(0.0, 1.0, points):
        budgets = [
            Constraint(Budget(of.target, relative_budget(of.costs, float(share))), of.costs)
            for of in latencies
        ]
        try:
            problem = near_budget(Problem(space, tuple(budgets)), LEAST_USE)
            rows = _draw(problem, each, rng, logits)
        except InfeasibleBudget:  # near the fastest ends, targets may not agree
            continue
        found |= dict.fromkeys(tuple(int(i) for i in row) for row in canonical(rows))
    return list(found)


def describe(
    space: SearchSpace,
    latencies: Sequence[TargetLatency],
    qualities: Mapping[Indices, float],
    merits: Merits,
) -> GalleryRecord:
    """The architectures that were scored, by latency, and which of them no other beats.

    Args:
        space: The space.
        latencies: On each target.
        qualities: Estimates in [0, 1] of distinct architectures.
        merits: What they are.
    """
    rows = np.array(list(qualities))
    predictions = [of.predict(rows) for of in latencies]
    measured = [[of.measured.get(indices, (None, None)) for of in latencies] for indices in qualities]
    entries = [
        GalleryEntry(
            indices=indices,
            quality=quality,
            quality_interval=merits.interval(quality),
            predicted_ms=tuple(float(p.mean_ms[row]) for p in predictions),
            predicted_std_ms=tuple(float(p.std_ms[row]) for p in predictions),
            measured_ms=tuple(ms for ms, _ in measured[row]),
            measured_half_ms=tuple(half for _, half in measured[row]),
        )
        for row, (indices, quality) in enumerate(qualities.items())
    ]
    entries = [replace(e, is_front=front) for e, front in zip(entries, _front(entries), strict=True)]
    return GalleryRecord(
        images=merits.images or 0,
        targets=tuple(GalleryTarget(str(of.target), of.target, of.range_ms) for of in latencies),
        entries=tuple(sorted(entries, key=lambda entry: entry.latencies_ms[0])),
        space=space.name,
        space_fingerprint=space.fingerprint,
        score_key=merits.key,
    )


def _draw(
    problem: Problem, count: int, rng: np.random.Generator, logits: Sequence[FloatArray] | None
) -> IntArray:
    if logits is None:
        return FeasibleSampler(problem).sample(count, rng)
    noisy = ([p + rng.gumbel(size=len(p)) for p in logits] for _ in range(count - 1))
    return np.array([decode(scores, problem).indices for scores in (logits, *noisy)])


def _front(entries: Sequence[GalleryEntry]) -> list[bool]:
    """Which entries no other beats in quality and in every latency."""
    quality = np.array([entry.quality for entry in entries])
    latency_ms = np.array([entry.latencies_ms for entry in entries])
    no_worse = (quality[:, None] >= quality) & (latency_ms[:, None] <= latency_ms).all(axis=2)
    better = (quality[:, None] > quality) | (latency_ms[:, None] < latency_ms).any(axis=2)
    beaten = np.any(no_worse & better, axis=0)
    return [not row for row in beaten.tolist()]
