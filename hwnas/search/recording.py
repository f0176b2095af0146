"""What ``search.json`` says of a search: made of its result and of all that it depends on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from hwnas import files, plugins
from hwnas.data import Dataset
from hwnas.evaluators.base import TrainedNetworks
from hwnas.latency import LatencyModel
from hwnas.runs.budgets import BudgetRecord
from hwnas.runs.found import SCHEMA, SearchRecord
from hwnas.search.base import SearchResult
from hwnas.search.objective import sizes
from hwnas.search.problem import Problem
from hwnas.search.request import SearchRequest


def record_of(
    request: SearchRequest,
    result: SearchResult,
    problem: Problem,
    models: Sequence[LatencyModel],
    scorer: TrainedNetworks,
    dataset: Dataset,
    seconds: Mapping[str, float],
) -> SearchRecord:
    """The result, and all that it depends on.

    Args:
        request: What was asked for.
        result: What the strategy found.
        problem: What it was given.
        models: The latency models, one a budget.
        scorer: What scored.
        dataset: The images.
        seconds: Wall time by phase.
    """
    described, space, images = scorer.describe(), result.best.space, dataset.describe()
    return SearchRecord(
        schema=SCHEMA,
        strategy=result.strategy,
        space=space.name,
        space_fingerprint=space.fingerprint,
        best=result.best.indices,
        quality=result.quality,
        score_key=result.score,
        trials=result.trials,
        pareto=result.pareto(),
        config=result.config,
        trace=tuple(result.trace),
        extra=result.extra,
        score=scorer.merits.name,
        seed=request.seed,
        request=request.identity(),
        asked=request.asked,
        budgets=_budgets(request, result, problem, models),
        confidence=request.confidence,
        objectives=request.objectives,
        limits=request.limits,
        sizes=sizes(result.best, models[0].target.precision),
        data=images,
        scratch=described if request.scratch else None,
        untrained=described if request.untrained else None,
        oneshot=None if request.scratch or request.untrained else described,
        traits=scorer.traits.to_json(),
        seconds=seconds,
        supernet_sha256=files.sha256(request.supernet) if request.supernet else None,
        plugins={path.name: files.sha256(path) for path in plugins.files()},
    )


def _budgets(
    request: SearchRequest, result: SearchResult, problem: Problem, models: Sequence[LatencyModel]
) -> tuple[BudgetRecord, ...]:
    """What was asked, and what is predicted of the best."""
    found, indices = [], np.array([result.best.indices])
    latencies = problem.constraints[: len(models)]  # what follows are limits on other things
    for constraint, model, path in zip(latencies, models, request.latencies, strict=True):
        predicted = model.predict(problem.blocks, indices)
        found.append(
            BudgetRecord(
                name=constraint.name,
                target=model.target,
                budget_ms=constraint.budget.limit,
                asked=constraint.budget.text,
                range_is_measured=constraint.name in request.ranges,
                margin_ms=constraint.budget.margin,
                predicted_ms=float(predicted.mean_ms[0]),
                predicted_std_ms=float(predicted.std_ms[0]),
                range_ms=request.ranges.get(constraint.name, constraint.costs.range),
                latency_sha256=files.sha256(path),
            )
        )
    return tuple(found)
