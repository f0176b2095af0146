"""What is said of each network of a comparison, and which of its differences are real."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hwnas.compare.contender import Entry
from hwnas.device import Target
from hwnas.measure import Measured
from hwnas.space import Architecture
from hwnas.statistics import verdict
from hwnas.statistics.differences import Difference, ratio_interval
from hwnas.statistics.intervals import clopper_pearson
from hwnas.statistics.verdict import Quality
from hwnas.tables.measurement import Measurement

FOUND = "found"
"""What the run's own network is called beside the others."""


def row(
    run: Path,
    name: str,
    arch: Architecture,
    entries: Mapping[str, Sequence[Entry]],
    measured: Mapping[str, Measured],
    targets: Mapping[str, Target],
    budgets: Mapping[str, float | None],
) -> dict[str, Any]:
    """What is known of a network, and how the found one compares with it.

    Args:
        run: Folder of the run.
        name: Of the network.
        arch: The network.
        entries: All trainings of every network, by its name.
        measured: By variant, the latency of every network, of one session.
        targets: What each variant was measured as.
        budgets: The run's, by variant; None where it has none.
    """
    mine, found = entries[name], entries[FOUND]
    return {
        "name": name,
        "key": arch.key(),
        "macs": arch.macs,
        "params": arch.params,
        "trainings": [
            {
                "seed": entry.seed,
                "folder": entry.folder.relative_to(run).as_posix(),
                "val_accuracy": entry.trained["val_accuracy"],
                "test_accuracy": entry.trained["test_accuracy"],
                "seconds": entry.trained["seconds"],
            }
            for entry in mine
        ],
        **_accuracy(mine, found),
        "variants": [
            {
                "name": variant,
                "target": targets[variant].to_json(),
                "bytes": mine[0].model(variant).stat().st_size,
                **_accuracy(mine, found, variant),
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


def _accuracy(
    mine: Sequence[Entry], found: Sequence[Entry], variant: str | None = None
) -> dict[str, dict[str, Any]]:
    """Accuracy over the seeds, and by how much the found network's is above it, seed by seed."""
    of = [entry.right[variant] for entry in mine]
    found_of = [entry.right[variant] for entry in found]
    values, theirs = ([float(right.mean()) for right in each] for each in (of, found_of))
    difference = Difference.of(found_of, of).to_json()
    images = len(of[0])
    interval = clopper_pearson(int(of[0].sum()), images) if len(of) == 1 else None
    return {
        "accuracy": spread(values) | {"images": images, "interval": interval and list(interval)},
        "found_minus_this": difference | spread([a - b for a, b in zip(theirs, values, strict=True)]),
    }


def spread(values: Sequence[float]) -> dict[str, Any]:
    """Mean, sample standard deviation (None of a single value), and the values themselves."""
    return {
        "mean": statistics.fmean(values),
        "std": statistics.stdev(values) if len(values) > 1 else None,
        "values": list(values),
    }
