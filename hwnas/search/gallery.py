"""What a space has to offer over the whole range of latencies, from one trained supernet.

``gallery.json`` in a run (``hwnas-gallery/1``):

* ``space``, ``space_fingerprint``, ``images`` (validation images behind each estimate);
* ``targets``: ``name``, ``target`` and ``range_ms`` (fastest and slowest architecture) of each;
* ``entries``, by latency on the first target: ``indices``; ``accuracy`` (of a task that is judged by
  something else ``quality``), the supernet's estimate,
  and ``accuracy_interval``, 95 % for so many images (that the best of many was picked is not in
  it); ``predicted_ms`` and ``predicted_std_ms``, one a target; ``measured_ms`` and
  ``measured_half_ms``, latency and the longer arm of its 95 % interval where it was measured well
  enough to be believed, else null; ``front``: whether no other
  entry is as accurate and as fast on every target.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hwnas.budget import Budget
from hwnas.device import Target
from hwnas.errors import InfeasibleBudget
from hwnas.latency.base import Cost, FloatArray, IntArray, Prediction
from hwnas.runs.records import quality_of
from hwnas.search.decode import decode
from hwnas.search.feasible import FeasibleSampler
from hwnas.search.oneshot.gates import near_budget
from hwnas.search.problem import Constraint, Problem, relative_budget
from hwnas.space import SearchSpace
from hwnas.spaces.canonical import Canonical
from hwnas.tasks import Task

SCHEMA = "hwnas-gallery/1"
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
    images: int,
    task: Task,
) -> dict[str, Any]:
    """What ``gallery.json`` holds; see the module.

    Args:
        space: The space.
        latencies: On each target.
        qualities: Estimates in [0, 1] of distinct architectures.
        images: Validation images that each is as certain as.
        task: What they are of.
    """
    architectures, score = list(qualities), task.metric.score_key
    rows = np.array(architectures)
    predictions = [of.predict(rows) for of in latencies]
    entries = [
        {
            "indices": list(indices),
            score: qualities[indices],
            f"{score}_interval": _interval(task, qualities[indices], images),
            "predicted_ms": [float(p.mean_ms[row]) for p in predictions],
            "predicted_std_ms": [float(p.std_ms[row]) for p in predictions],
            "measured_ms": [of.measured.get(indices, (None, None))[0] for of in latencies],
            "measured_half_ms": [of.measured.get(indices, (None, None))[1] for of in latencies],
        }
        for row, indices in enumerate(architectures)
    ]
    for entry, front in zip(entries, _front(entries), strict=True):
        entry["front"] = front
    targets = [
        {"name": str(of.target), "target": of.target.to_json(), "range_ms": list(of.range_ms)}
        for of in latencies
    ]
    return {
        "schema": SCHEMA,
        "space": space.name,
        "space_fingerprint": space.fingerprint,
        "images": images,
        "targets": targets,
        "entries": sorted(entries, key=lambda entry: known_ms(entry)[0]),
    }


def _interval(task: Task, quality: float, images: int) -> list[float] | None:
    found = task.merit_interval(quality, images)
    return None if found is None else list(found)


def known_ms(entry: Mapping[str, Any]) -> list[float]:
    """Latency of an entry, one a target: measured where it was, else predicted."""
    pairs = zip(entry["measured_ms"], entry["predicted_ms"], strict=True)
    return [predicted if measured is None else measured for measured, predicted in pairs]


def _draw(
    problem: Problem, count: int, rng: np.random.Generator, logits: Sequence[FloatArray] | None
) -> IntArray:
    if logits is None:
        return FeasibleSampler(problem).sample(count, rng)
    noisy = ([p + rng.gumbel(size=len(p)) for p in logits] for _ in range(count - 1))
    return np.array([decode(scores, problem).indices for scores in (logits, *noisy)])


def _front(entries: Sequence[Mapping[str, Any]]) -> list[bool]:
    """Which entries no other beats in quality and in every latency."""
    quality = np.array([quality_of(entry) for entry in entries])
    latency_ms = np.array([known_ms(entry) for entry in entries])
    no_worse = (quality[:, None] >= quality) & (latency_ms[:, None] <= latency_ms).all(axis=2)
    better = (quality[:, None] > quality) | (latency_ms[:, None] < latency_ms).any(axis=2)
    beaten = np.any(no_worse & better, axis=0)
    return [not row for row in beaten.tolist()]
