"""What a search has to offer: the networks that no other beats, each on each target."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from hwnas.runs import records
from hwnas.runs.budgets import BudgetRecord
from hwnas.runs.folder import RunFolder
from hwnas.runs.found import SearchRecord
from hwnas.runs.gallery import GalleryEntry, GalleryRecord
from hwnas.statistics.intervals import NORMAL_95


@dataclass(frozen=True)
class FrontNetwork:
    """A network that no other of its search beats, on one target.

    Attributes:
        indices: The architecture.
        is_found: Whether it is the one that the search took.
        score: What the search estimated of it, in [0, 1].
        score_interval: 95 % interval of that; None where it is not known.
        target: Name of the target.
        latency_ms: Measured where it was measured, else predicted.
        interval_ms: 95 % interval of that; None where it is not known.
        is_measured: Whether it was measured.
        budget_ms: The budget on the target; None where there is none.
    """

    indices: tuple[int, ...]
    is_found: bool
    score: float
    score_interval: tuple[float, float] | None
    target: str
    latency_ms: float
    interval_ms: tuple[float, float] | None
    is_measured: bool
    budget_ms: float | None

    @property
    def name(self) -> str:
        """The architecture in short, as the command line says it."""
        return ".".join(map(str, self.indices))


def front_of(run: Path, record: SearchRecord) -> tuple[FrontNetwork, ...]:
    """Of the gallery of a run, or of what its search scored where it has none; the fastest first."""
    path = RunFolder(run).gallery
    found = list(
        _of_gallery(records.gallery(run, "search again"), record) if path.exists() else _scored(record)
    )
    within = next((item.score_interval for item in found if item.is_found), None)
    best = [
        _network(record, record.best, record.quality or 0.0, within, budget.name, _known(budget))
        for budget in record.budgets
        if budget.latency_ms is not None
    ]
    rows = [*best, *(item for item in found if not item.is_found)] if best else found
    first_ms = {item.indices: item.latency_ms for item in reversed(rows)}
    return tuple(sorted(rows, key=lambda item: (first_ms[item.indices], item.indices)))


_Latency = tuple[float, tuple[float, float] | None, bool]
"""In ms, its interval, and whether it was measured."""


def _of_gallery(gallery: GalleryRecord, record: SearchRecord) -> Iterator[FrontNetwork]:
    for entry in gallery.entries:
        if entry.is_front is not False or entry.indices == record.best:
            for number, name in enumerate(gallery.names):
                latency = _of_entry(entry, number)
                yield _network(record, entry.indices, entry.quality, entry.quality_interval, name, latency)


def _scored(record: SearchRecord) -> Iterator[FrontNetwork]:
    for trial in record.pareto:
        for budget, latency_ms in zip(record.budgets, trial.latencies_ms, strict=False):
            latency = latency_ms, None, False
            yield _network(record, trial.indices, trial.quality, None, budget.name, latency)


def _of_entry(entry: GalleryEntry, number: int) -> _Latency:
    measured, half = entry.measured_ms[number], entry.measured_half_ms[number]
    if measured is None:
        return _predicted(entry.predicted_ms[number], entry.predicted_std_ms[number])
    return measured, None if half is None else (measured - half, measured + half), True


def _known(budget: BudgetRecord) -> _Latency:
    if budget.measured_ms is not None:
        return budget.measured_ms, budget.interval_ms, True
    return _predicted(budget.predicted_ms or 0.0, budget.predicted_std_ms)


def _predicted(mean_ms: float, std_ms: float | None) -> _Latency:
    if std_ms is None:
        return mean_ms, None, False
    return mean_ms, (max(0.0, mean_ms - NORMAL_95 * std_ms), mean_ms + NORMAL_95 * std_ms), False


def _network(
    record: SearchRecord,
    indices: tuple[int, ...],
    score: float,
    within: tuple[float, float] | None,
    target: str,
    latency: _Latency,
) -> FrontNetwork:
    budget_ms = next((item.budget_ms for item in record.budgets if item.name == target), None)
    return FrontNetwork(indices, indices == record.best, score, within, target, *latency, budget_ms)
