"""What is said of each network of a comparison, and which of its differences are real."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from hwnas.compare.contender import ShippedNetwork
from hwnas.device import Target
from hwnas.measure import Measured
from hwnas.runs.compared import (
    ComparedNetwork,
    ComparedQuality,
    ComparedTraining,
    ComparedVariant,
    SeedSpread,
)
from hwnas.runs.energy import EnergyCheck
from hwnas.space import Architecture
from hwnas.statistics import verdict
from hwnas.statistics.differences import ratio_interval
from hwnas.statistics.verdict import Verdict
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
    energies: Mapping[str, Mapping[str, tuple[EnergyCheck, Verdict]]],
) -> ComparedNetwork:
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
        energies: By variant that the run has a limit on energy for, that of every network.
    """
    mine, found = entries[name], entries[FOUND]
    return ComparedNetwork(
        name=name,
        key=arch.key(),
        macs=arch.macs,
        params=arch.params,
        trainings=tuple(
            ComparedTraining(
                seed=entry.seed,
                folder=entry.folder.relative_to(run).as_posix(),
                val_value=entry.trained.val_value,
                test_value=entry.trained.test_value,
                seconds=entry.trained.seconds,
            )
            for entry in mine
        ),
        quality=_quality(task, mine, found),
        variants=tuple(
            ComparedVariant(
                name=variant,
                target=targets[variant],
                bytes=mine[0].model(targets[variant]).stat().st_size,
                quality=_quality(task, mine, found, variant),
                latency_ms=result[name].latency_ms,
                interval_ms=result[name].interval_ms,
                latency_ratio=result[FOUND].latency_ms / result[name].latency_ms,
                ratio_interval=_ratio_interval(result[FOUND], result[name]),
                budget_ms=budgets[variant],
                on_budget=verdict.on_budget(
                    result[name].latency_ms, result[name].interval_ms, budgets[variant], result.quality
                ),
                energy=energies[variant][name][0] if variant in energies else None,
                on_limit=energies[variant][name][1] if variant in energies else None,
            )
            for variant, result in measured.items()
        ),
    )


def _ratio_interval(found: Measurement, mine: Measurement) -> tuple[float, float] | None:
    """Of the found network's latency over this one's; None where either has no interval."""
    if mine is found:
        return 1.0, 1.0
    return ratio_interval(found.latency_ms, found.interval_ms, mine.latency_ms, mine.interval_ms)


def _quality(
    task: Task, mine: Sequence[ShippedNetwork], found: Sequence[ShippedNetwork], variant: str | None = None
) -> ComparedQuality:
    """The metric over the seeds, and by how much the found network is better, seed by seed."""
    of = [entry.outcomes[variant] for entry in mine]
    found_of = [entry.outcomes[variant] for entry in found]
    better = task.metric.better
    gain = spread([better(a.value) - better(b.value) for a, b in zip(found_of, of, strict=True)])
    difference = task.difference(found_of, of)
    return ComparedQuality(
        metric=spread([outcome.value for outcome in of]),
        gain=gain,
        images=of[0].images,
        interval=of[0].interval if len(of) == 1 else None,
        difference=None if difference is None else replace(difference, mean=gain.mean),  # to the last bit
    )


def spread(values: Sequence[float]) -> SeedSpread:
    """Mean and sample standard deviation of values."""
    std = statistics.stdev(values) if len(values) > 1 else None
    return SeedSpread(statistics.fmean(values), std, tuple(values))
