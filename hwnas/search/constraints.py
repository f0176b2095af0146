"""The constraints that a search keeps for budgets on latency models, and what is to be said of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from statistics import NormalDist
from typing import Any

import numpy as np

from hwnas.budget import Budget, is_share
from hwnas.errors import LatencyModelError
from hwnas.latency import Cost, LatencyModel
from hwnas.latency.evaluate import HELDOUT
from hwnas.search.objective import ENERGY, Objective, energy_model, objective
from hwnas.search.problem import Constraint
from hwnas.space import SearchSpace
from hwnas.statistics.bounds import at_least, span

_MARGIN_SAMPLES = 64
_SURE = NormalDist().inv_cdf(0.999)  # deviations of a prediction that its truth hardly ever exceeds
_MEASURING = 0.08
"""Share of a latency that its interval may reach upwards, and an estimate lie too high in another session:
twice the widest interval of a network that was seen on virtual machines (±3.6 %), and a bit."""


def constraints_of(
    models: Sequence[LatencyModel],
    budgets: Sequence[Budget],
    space: SearchSpace,
    confidence: float,
    *,
    measured: bool = False,
    ranges: Mapping[str, tuple[float, float]] | None = None,
) -> tuple[Constraint, ...]:
    """One constraint a latency model, with a margin for what the model may be wrong by.

    Args:
        models: At least one, each of another target.
        budgets: As in ``SearchRequest``; one for all, or one each.
        space: The space.
        confidence: In [0.5, 1); the margin is that quantile of the prediction's error.
        measured: As in ``SearchRequest``.
        ranges: As in ``SearchRequest``.

    Raises:
        LatencyModelError: Numbers of models and budgets differ, or two are of one target.
        InfeasibleBudget: A budget, less its margin, is below the fastest architecture.
    """
    names = [str(model.target) for model in models]
    if not models or len(set(names)) != len(names):
        raise LatencyModelError(f"latency models must be one a target, but got {names}")
    if len(budgets) not in (1, len(models)):
        raise LatencyModelError(
            f"budgets must be one for all or one for each of {len(models)} latency models, "
            f"but got {len(budgets)}"
        )
    if not 0.5 <= confidence < 1:
        raise LatencyModelError(f"confidence must be in [0.5, 1), but got {confidence}")
    each = list(budgets) * len(models) if len(budgets) == 1 else budgets
    found = []
    for model, name, budget in zip(models, names, each, strict=True):
        costs = model.costs(space)
        margin_ms = NormalDist().inv_cdf(confidence) * _typical_std_ms(model, space)
        low_ms, high_ms = (ranges or {}).get(name, costs.range)
        sure_ms = _sure_ms(model, space, costs)
        if (ranges or {}).get(name):  # measured here, where the model was fitted elsewhere
            sure_ms = low_ms * (1 + _MEASURING)
        asked = budget.within(low_ms, high_ms)
        room_ms = max(0.0, asked.limit - costs.range[0])
        kept_free_ms = min(margin_ms, room_ms / 2) if measured else margin_ms
        limited = replace(asked, target=model.target, margin=kept_free_ms)
        found.append(Constraint(limited, costs, sure=sure_ms, measured=measured))
    return tuple(found)


def beside_latency(
    objectives: Sequence[str],
    limits: Mapping[str, float],
    models: Sequence[LatencyModel],
    space: SearchSpace,
    confidence: float,
) -> tuple[tuple[Objective, ...], tuple[Constraint, ...]]:
    """What is to be small beside latency, and what must not be exceeded.

    Args:
        objectives: Names of ``objective.NAMES``.
        limits: By such a name; one on energy is kept with a margin, as budgets on latency are.
        models: Of the search; bytes are those of the first one's precision.
        space: The space.
        confidence: As in ``constraints_of``.

    Raises:
        LatencyModelError: Energy is asked for, and none of the models knows it, or several do.
        InfeasibleBudget: A limit is below the smallest architecture.
    """
    precision = models[0].target.precision
    energy = energy_model(models, space) if ENERGY in (*objectives, *limits) else None
    found = {name: objective(name, space, precision, energy) for name in (*objectives, *limits)}
    kept = []
    for name, most in limits.items():
        margin = 0.0
        if name == ENERGY and energy is not None:
            margin = NormalDist().inv_cdf(confidence) * _typical_std_ms(energy, space)
        costs = found[name].costs
        kept.append(Constraint(Budget(name, most, costs.unit, margin=margin), costs))
    return tuple(found[name] for name in objectives), tuple(kept)


def not_binding(
    constraints: Sequence[Constraint], measured: Mapping[str, tuple[float, float]] | None = None
) -> list[str]:
    """What to know of budgets that even the slowest architecture keeps, one sentence each.

    Shares of no more than the range are as they were meant.

    Args:
        constraints: As from ``constraints_of``.
        measured: By name of a target, ranges whose ends were measured, and not predicted.
    """
    found = []
    for item in constraints:
        within = item.budget.is_share and Budget.read(item.budget.text).limit <= 100
        if not within:
            _, slowest = (measured or {}).get(item.name, item.costs.range)
            found += unbound(item.name, item.budget.limit, slowest, item.budget.text)
    return found


def shares_of(constraints: Sequence[Constraint], measured: Mapping[str, tuple[float, float]]) -> list[str]:
    """What shares are of, where that is a range that was predicted: one sentence for all, or none.

    Args:
        constraints: As from ``constraints_of``.
        measured: By name of a target, ranges whose ends were measured: that is said by who measured them.
    """
    return shares_said(
        [
            {"name": c.name, "asked": c.budget.text, "budget_ms": c.budget.limit, "range_ms": c.costs.range}
            for c in constraints
            if c.name not in measured
        ]
    )


def shares_said(items: Sequence[Mapping[str, Any]]) -> list[str]:
    """The same of constraints as the record of a search has them; older ones do not say what was asked."""
    found = [
        f"{item['name']} {item['asked'].strip()} of {span(low, high)} ms = {item['budget_ms']:.4g} ms"
        for item in items
        if is_share(item.get("asked", "")) and not item.get("range_is_measured")
        for low, high in (item["range_ms"],)
    ]
    if not found:
        return []
    return [
        "shares are of the range from the fastest to the slowest network as the latency model predicts it; "
        f"its ends were not measured: {', '.join(found)}: give milliseconds where the exact budget counts"
    ]


def range_said(low: float, high: float, *, is_measured: bool | None) -> str:
    """A range that shares are of, and how it is known; None where an old record does not say."""
    how = {
        True: ", measured on the device",
        False: " as the latency model predicts: its ends were not measured",
    }
    return f"the range from {span(low, high)} ms{'' if is_measured is None else how[is_measured]}"


def unbound(name: str, budget_ms: float, slowest_ms: float, asked: str = "") -> list[str]:
    """What to know of a budget that even the slowest architecture keeps: one sentence, or none.

    Args:
        name: Of the target.
        budget_ms: What it comes to.
        slowest_ms: What the slowest architecture needs.
        asked: The budget as it was typed, where that is known: who typed a share meant one.
    """
    if budget_ms < slowest_ms:
        return []
    is_slip = budget_ms <= 100 and not is_share(asked)
    meant = f"{budget_ms:g}% of the range, if that was meant, or " if is_slip else ""
    return [
        f"{name}: a budget of {budget_ms:g} ms does not bind: it is {budget_ms / slowest_ms:.3g} times what "
        f"the slowest network of the space needs ({at_least(slowest_ms)} ms), so that every network keeps "
        f"it: give {meant}less than that"
    ]


def _sure_ms(model: LatencyModel, space: SearchSpace, costs: Cost) -> float:
    """The budget that the fastest architecture should be proven to keep when it is measured.

    What is predicted of it, its error as the model states it or as held-out networks show it, whichever
    is more, and room for the interval of the measurement.
    """
    predicted = model.predict(space, costs.ends[0][None])
    mean_ms = max(costs.range[0], float(predicted.mean_ms[0]))
    seen = getattr(model, "evaluation", {}).get(HELDOUT)
    ratios = zip(seen.measured_ms, seen.predicted_ms, strict=True) if seen else ()
    worst = max((measured / predicted for measured, predicted in ratios), default=1.0)
    return max(mean_ms + _SURE * float(predicted.std_ms[0]), mean_ms * worst) * (1 + _MEASURING)


def _typical_std_ms(model: LatencyModel, space: SearchSpace) -> float:
    rng = np.random.default_rng(0)  # fixed: the margin belongs to the model, not to the search
    some = np.array([space.sample(rng).indices for _ in range(_MARGIN_SAMPLES)])
    return float(np.median(model.predict(space, some).std_ms))
