"""What is said of each network of a comparison, and which of its differences are real."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hwnas.compare.contender import ShippedNetwork
from hwnas.device import Target
from hwnas.measure import Measured
from hwnas.space import Architecture
from hwnas.statistics import verdict
from hwnas.statistics.differences import ratio_interval
from hwnas.statistics.verdict import Quality
from hwnas.tables.measurement import Measurement
from hwnas.tasks import Task

FOUND = "found"
"""What the run's own network is called beside the others."""


def row(
    run: Path,
    task: Task,
    name: str,
    arch: Architecture,
    entries: Mapping[str, Sequence[ShippedNetwork]],
    measured: Mapping[str, Measured],
    targets: Mapping[str, Target],
    budgets: Mapping[str, float | None],
) -> dict[str, Any]:
    """What is known of a network, and how the found one compares with it.

    Args:
        run: Folder of the run.
        task: What all were trained for.
        name: Of the network.
        arch: The network.
        entries: All trainings of every network, by its name.
        measured: By variant, the latency of every network, of one session.
        targets: What each variant was measured as.
        budgets: The run's, by variant; None where it has none.
    """
    mine, found, key = entries[name], entries[FOUND], task.metric.key
    return {
        "name": name,
        "key": arch.key(),
        "macs": arch.macs,
        "params": arch.params,
        "trainings": [
            {
                "seed": entry.seed,
                "folder": entry.folder.relative_to(run).as_posix(),
                f"val_{key}": entry.trained.val_value,
                f"test_{key}": entry.trained.test_value,
                "seconds": entry.trained.seconds,
            }
            for entry in mine
        ],
        **_quality(task, mine, found),
        "variants": [
            {
                "name": variant,
                "target": targets[variant].to_json(),
                "bytes": mine[0].model(variant).stat().st_size,
                **_quality(task, mine, found, variant),
                **_latency(result[name], result[FOUND], budgets[variant], result.quality),
            }
            for variant, result in measured.items()
        ],
    }


def _latency(
    mine: Measurement, found: Measurement, budget_ms: float | None, quality: Quality
) -> dict[str, Any]:
    """Latency, the ratio of the found network's to it with its interval, and the verdict on the budget."""
    ratio = None
    if mine is found:
        ratio = [1.0, 1.0]
    elif mine.interval_ms is not None and found.interval_ms is not None:
        ratio = list(ratio_interval(found.latency_ms, found.interval_ms, mine.latency_ms, mine.interval_ms))
    kept = verdict.on_budget(mine.latency_ms, mine.interval_ms, budget_ms, quality)
    return {
        "latency_ms": mine.latency_ms,
        "interval_ms": None if mine.interval_ms is None else list(mine.interval_ms),
        "latency_ratio": found.latency_ms / mine.latency_ms,
        "ratio_interval": ratio,
        "budget_ms": budget_ms,
        "on_budget": None if kept is None else kept.to_json(),
    }


def _quality(
    task: Task, mine: Sequence[ShippedNetwork], found: Sequence[ShippedNetwork], variant: str | None = None
) -> dict[str, dict[str, Any]]:
    """The metric over the seeds, and by how much the found network is better, seed by seed."""
    of = [entry.outcomes[variant] for entry in mine]
    found_of = [entry.outcomes[variant] for entry in found]
    difference = task.difference(found_of, of).to_json()
    interval = list(of[0].interval) if len(of) == 1 else None
    better = task.metric.better
    gaps = [better(a.value) - better(b.value) for a, b in zip(found_of, of, strict=True)]
    values = spread([outcome.value for outcome in of])
    return {
        task.metric.key: values | {"images": of[0].images, "interval": interval},
        "found_minus_this": difference | spread(gaps),
    }


def spread(values: Sequence[float]) -> dict[str, Any]:
    """Mean, sample standard deviation (None of a single value), and the values themselves."""
    return {
        "mean": statistics.fmean(values),
        "std": statistics.stdev(values) if len(values) > 1 else None,
        "values": list(values),
    }
