"""A run in a few words: for a list of runs, and for two of them side by side."""

from __future__ import annotations

from dataclasses import dataclass

from hwnas.device import Target
from hwnas.report import _budgets, _text
from hwnas.report._record import Record
from hwnas.statistics.verdict import Verdict


@dataclass(frozen=True)
class TargetSummary:
    """What is known of a network on one target, for people.

    Attributes:
        target: The target.
        name: Of it.
        budget: Milliseconds that were asked for.
        latency: Milliseconds with their interval, and whether they were measured or predicted.
        size: Of the file that ships there; empty where none was verified.
    """

    target: Target
    name: str
    budget: str
    latency: str
    size: str


@dataclass(frozen=True)
class RunSummary:
    """What a run is and what came of it, for people; empty where that is not known yet.

    Attributes:
        origin: Where its network comes from.
        task: What the network is for.
        data: Name of the images.
        quality: The metric on the test images, with its interval, and of what.
        targets: Its budgets, the main one first.
        verdict: Of all that is known; None where nothing was measured.
        stages: What was done, in order.
    """

    origin: str
    task: str
    data: str
    quality: str
    targets: tuple[TargetSummary, ...]
    verdict: Verdict | None
    stages: tuple[str, ...]


def of(record: Record) -> RunSummary:
    """What the report says first, in a few words."""
    return RunSummary(
        origin=_budgets.origin(record),
        task=record.task.name,
        data=record.source,
        quality=_quality(record),
        targets=tuple(
            TargetSummary(
                item.target,
                item.name,
                f"{_text.ms(outcome.asked_ms)} ms",
                _latency(outcome),
                _size(record, item.target),
            )
            for item in record.budgets
            for outcome in (_budgets.outcome(record, item),)
        ),
        verdict=_budgets.overall(record),
        stages=tuple(name for name, is_done in _stages(record) if is_done),
    )


def _stages(record: Record) -> tuple[tuple[str, bool], ...]:
    return (
        ("adapt", record.adapting is not None),
        ("search", record.is_searched),
        ("train", record.trained is not None),
        ("export", record.manifest is not None),
        ("verify", bool(record.verifications)),
        ("compare", record.comparison is not None),
    )


def _quality(record: Record) -> str:
    """Of the file that ships for the main target, else of the network in PyTorch."""
    metric = record.task.metric
    shipped = record.variant(record.budgets[0].target) if record.budgets and not record.stale else None
    if shipped is not None and shipped.value is not None:
        interval = shipped.estimate.interval if shipped.estimate else None
        return f"{metric.name} {_text.quality(metric, shipped.value, interval)}, {shipped.name}"
    if record.trained is None:
        return ""
    value, interval = _budgets.tested(record.trained, metric)
    return f"{metric.name} {_text.quality(metric, value, interval)}, in PyTorch"


def _latency(outcome: _budgets.Outcome) -> str:
    if outcome.measured is not None:
        return f"{_text.measured(*outcome.measured)} ms, measured"
    if outcome.predicted_ms is None:
        return ""
    if outcome.std_ms is None:
        return f"{_text.ms(outcome.predicted_ms)} ms, predicted"
    return f"{_text.plus_minus(outcome.predicted_ms, _budgets.half(outcome.std_ms))} ms, predicted"


def _size(record: Record, target: Target) -> str:
    shipped = record.variant(target)
    return "" if shipped is None else _text.size(shipped.bytes)
