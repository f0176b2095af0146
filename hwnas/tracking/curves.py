"""What a search and a training tell while they run, as points of curves."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from hwnas.runs.found import SearchRecord
from hwnas.runs.training import TrainingRecord

TRAINING = "train"
_COUNTS = {"step", "steps", "query", "queries", "network", "parent", "eta_s", "epoch", "epochs"}
"""Numbers that say where on a curve one is, and are no curve."""


@dataclass(frozen=True)
class Moment:
    """All numbers of a step.

    Attributes:
        curves: The group that they belong to; no step of a group is there twice.
        step: From 1.
        values: By name.
    """

    curves: str
    step: int
    values: Mapping[str, float]


def of_search(record: Mapping[str, Any]) -> Moment | None:
    """A step or a score of a search, as its ``live`` callback is told; None where it has no number."""
    step = record.get("step", record.get("query"))
    if not isinstance(step, int):
        return None
    curves = f"search/{record.get('phase', 'scoring')}"
    if "network" in record:  # each of several is trained from step 1
        curves += f"/network-{record['network']}"
    return Moment(curves, step, _numbers(record))


def of_epoch(record: Mapping[str, Any]) -> Moment:
    """An epoch of a training, as ``train.json`` has it."""
    return Moment(TRAINING, int(record["epoch"]), _numbers(record))


def of_records(search: SearchRecord | None, training: TrainingRecord | None) -> Iterable[Moment]:
    """The same of finished stages, for whoever did not hear all of it."""
    if search is not None:
        yield from filter(None, map(of_search, search.trace))
    if training is not None:
        yield from map(of_epoch, training.history)


def _numbers(record: Mapping[str, Any]) -> dict[str, float]:
    found: dict[str, float] = {}
    for name, value in record.items():
        several = value if isinstance(value, list) else [value]
        if name in _COUNTS or (isinstance(value, list) and not all(isinstance(v, float) for v in value)):
            continue
        for number, each in enumerate(several, 1):
            is_number = isinstance(each, int | float) and not isinstance(each, bool) and math.isfinite(each)
            if is_number:
                found[name if len(several) == 1 else f"{name}/{number}"] = float(each)
    return found
