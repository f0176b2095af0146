"""Budgets as people write them, and the constraints that a search keeps for them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from statistics import NormalDist

import numpy as np

from hwnas.errors import InfeasibleBudget, LatencyModelError
from hwnas.latency import AdditiveCosts, LatencyModel
from hwnas.search.base import Constraint
from hwnas.space import SearchSpace

_MARGIN_SAMPLES = 64


def constraints_of(
    models: Sequence[LatencyModel],
    budgets: Sequence[str],
    space: SearchSpace,
    confidence: float,
    *,
    measured: bool = False,
) -> tuple[Constraint, ...]:
    """One constraint a latency model, with a margin for what the model may be wrong by.

    Args:
        models: At least one, each of another target.
        budgets: Texts as in ``SearchRequest``; one for all, or one each.
        space: The space.
        confidence: In [0.5, 1); the margin is that quantile of the prediction's error.
        measured: As in ``SearchRequest``.

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
    texts = list(budgets) * len(models) if len(budgets) == 1 else budgets
    found = []
    for model, name, text in zip(models, names, texts, strict=True):
        costs = model.costs_ms(space)
        margin_ms = NormalDist().inv_cdf(confidence) * _typical_std_ms(model, space)
        asked_ms = budget_ms(text, costs)
        room_ms = max(0.0, asked_ms - costs.range_ms[0])
        found.append(
            Constraint(name, costs, asked_ms, min(margin_ms, room_ms / 2) if measured else margin_ms)
        )
    return tuple(found)


def budget_ms(text: str, costs: AdditiveCosts) -> float:
    """The budget of a text: milliseconds, or a share of the range as "60%".

    Raises:
        InfeasibleBudget: It is neither.
    """
    return parse_budget(text, *costs.range_ms)


def parse_budget(text: str, low: float, high: float) -> float:
    """The same for a range from ``low`` to ``high`` milliseconds."""
    matched = re.fullmatch(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*(%|ms)?\s*", text)
    if not matched:
        raise InfeasibleBudget(
            f'a budget must be milliseconds or a share as "60%", but got {text!r}: '
            f"the range is {low:.4g} to {high:.4g} ms",
            budget_ms=float("nan"),
            fastest_ms=low,
        )
    value = float(matched[1])
    return low + value / 100 * (high - low) if matched[2] == "%" else value


def _typical_std_ms(model: LatencyModel, space: SearchSpace) -> float:
    rng = np.random.default_rng(0)  # fixed: the margin belongs to the model, not to the search
    some = np.array([space.sample(rng).indices for _ in range(_MARGIN_SAMPLES)])
    return float(np.median(model.predict(space, some).std_ms))
