"""The promise stage of a run folder; see the package."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from hwnas import files, latency, outputs, spaces
from hwnas.data import Dataset
from hwnas.device import Device, Target
from hwnas.errors import HwnasError, InfeasibleBudget, TableError
from hwnas.intervals import NORMAL_95
from hwnas.profile import ProfileOptions
from hwnas.promise.beliefs import Beliefs, Goal
from hwnas.promise.devices import Bench, devices_of
from hwnas.promise.judge import Judge
from hwnas.promise.loop import Loop, Settled, Step, Tell
from hwnas.promise.proposals import PromiseOptions, Proposals
from hwnas.promise.reading import Indices, Reading, Readings
from hwnas.search.base import Constraint
from hwnas.search.canonical import Canonical
from hwnas.search.objective import objective, sizes
from hwnas.search.run import latency_file
from hwnas.search.scorer import scorer_of
from hwnas.space import SearchSpace
from hwnas.table import LatencyTable
from hwnas.train.run import dataset_of

SCHEMA = "hwnas-promise/1"


@outputs.alone_in("run", "a search")
def keep(
    run: Path,
    *,
    measure: bool = True,
    rank: str | None = None,
    tables: Path | None = None,
    devices: Mapping[str, Device] | None = None,
    dataset: Dataset | None = None,
    options: PromiseOptions | None = None,
    measuring: ProfileOptions | None = None,
    tell: Tell = lambda _: None,
) -> dict[str, Any]:
    """Make the result of a search keep its budgets, measured on the devices.

    A run that was cut off goes on: what was measured is not measured again. Devices that are
    not there are held to their budgets by prediction, and the record says so.

    Args:
        run: Folder that ``search_run`` wrote.
        measure: Whether to measure at all.
        rank: "fp32" or "int8": what finalists are ranked by; int8 where any target is, if not given.
        tables: Folder of latency tables, for their scale; the user's own by default.
        devices: Descriptors to use, by name, instead of those of ``hwnas.device.load``.
        dataset: The images of the search, where they were loaded before.
        options: Bounds of the loop.
        measuring: How well to measure.
        tell: Told what is being done.

    Returns:
        What ``search.json`` holds now.

    Raises:
        InfeasibleBudget: No architecture that was measured keeps the budgets; ``search.json`` says so.
        HwnasError: Something is missing in the run, or a device failed.
    """
    began = time.monotonic()
    options = options or PromiseOptions()
    record: dict[str, Any] = files.read_json(run / "search.json", "the record of the search")
    arch = spaces.architecture_from_json(files.read_json(run / "arch.json", "the found architecture"))
    space, goals = arch.space, goals_of(run, record)
    images = dataset or dataset_of(record["data"])
    trials = trials_of(space, record)
    rank = rank or ("int8" if any(g.target.precision == "int8" for g in goals) else "fp32")
    judge = Judge(scorer_of(run, record, space, images), rank, _int8_runtime(goals), trials)
    there = (devices or devices_of(goals)) if measure else {}
    scales = _tables(goals, space, tables) if measure else {}
    with Bench(space, goals, there, scales, run, measuring or ProfileOptions()) as bench:
        beliefs = Beliefs(space, bench.goals, record["confidence"], limits_of(record, space, goals))
        pool: dict[Indices, Indices | None] = dict.fromkeys(trials)
        rng = np.random.default_rng([record["seed"], 7])
        loop = Loop(beliefs, judge, bench.measure, Proposals(beliefs, options, pool, rng), tell)
        settled: Settled | None = None
        refusal: InfeasibleBudget | None = None
        try:
            settled = loop.run()
        except InfeasibleBudget as error:
            refusal = error
    promise = {
        "schema": SCHEMA,
        "kept": settled is not None,
        "refusal": None if refusal is None else str(refusal),
        "rank": rank,
        "options": asdict(options),
        "targets": [] if settled is None else _targets(beliefs, settled),
        "repairs": sum(len(s.entries) for s in loop.steps if s.purpose == "repair"),
        "networks_measured": len(beliefs.readings) if any(g.measurable for g in beliefs.goals) else 0,
        "steps": [asdict(step) for step in loop.steps],
        "seconds": time.monotonic() - began,
    }
    record["promise"] = promise
    if settled is not None:
        _adopt(record, beliefs, judge, settled.best)
        files.write_json(run / "arch.json", space.architecture(settled.best).to_json())
    files.write_json(run / "search.json", record)
    if refusal is not None:
        raise refusal
    return dict(files.read_json(run / "search.json", "the record of the search"))


def sentences(record: Mapping[str, Any]) -> list[str]:
    """One sentence a target about a promise, for people; each ± is half a 95 % interval."""
    return [target["sentence"] for target in record["promise"]["targets"]]


def limits_of(record: Mapping[str, Any], space: SearchSpace, goals: Sequence[Goal]) -> list[Constraint]:
    """What else than latency the search was to keep."""
    found = []
    for name, limit in record["limits"].items():
        what = objective(name, space, goals[0].target.precision)
        found.append(Constraint(name, what.costs, limit, unit=what.unit))
    return found


def goals_of(run: Path, record: Mapping[str, Any]) -> list[Goal]:
    """The budgets of a run with its latency models."""
    found = []
    for item in record["constraints"]:
        target = Target.from_json(item["target"])
        found.append(Goal(target, item["budget_ms"], latency.load(latency_file(run, target))))
    return found


def _tables(goals: Sequence[Goal], space: SearchSpace, folder: Path | None) -> dict[str, LatencyTable]:
    """The tables that the models were fitted to, as far as they are found."""
    found = {}
    for goal in goals:
        try:
            found[goal.name] = latency.find_table(goal.target, space, folder).table
        except TableError:
            continue
    return found


def trials_of(space: SearchSpace, record: Mapping[str, Any]) -> dict[Indices, float]:
    """What the search scored, one entry a network."""
    canonical = Canonical(space)
    return {canonical.key(tuple(t["indices"])): t["accuracy"] for t in record["trials"]}


def readings_of(record: Mapping[str, Any]) -> dict[Indices, Readings]:
    """What a promise has measured, as its record says."""
    found: dict[Indices, Readings] = {}
    for step in record.get("promise", {}).get("steps", ()):
        for entry in step["entries"]:
            measured = tuple(None if r is None else Reading.from_json(r) for r in entry["measured"])
            found[tuple(entry["indices"])] = measured
    return found


def _int8_runtime(goals: Sequence[Goal]) -> str:
    """What runs quantised sub-networks: the runtime of the first int8 target, if there is one."""
    names = [g.target.runtime for g in goals if g.target.precision == "int8"]
    return "onnxruntime" if names[:1] == ["onnxruntime"] else "litert"


def _targets(beliefs: Beliefs, settled: Settled) -> list[dict[str, Any]]:
    entry = _entry(settled.steps, settled.best)
    found = []
    for number, (goal, reading) in enumerate(zip(beliefs.goals, beliefs.readings[settled.best], strict=True)):
        predicted, std = entry["predicted_ms"][number], entry["predicted_std_ms"][number]
        found.append(
            {
                "name": goal.name,
                "asked_ms": goal.budget_ms,
                "predicted_ms": predicted,
                "predicted_std_ms": std,
                "measured_ms": None if reading is None else reading.ms,
                "measured_half_ms": None if reading is None else reading.half_ms,
                "interval_ms": None if reading is None else [reading.low_ms, reading.high_ms],
                "sessions": 0 if reading is None else reading.sessions,
                "slack": None if reading is None else 1 - reading.ms / goal.budget_ms,
                "note": goal.note,
                "sentence": _sentence(goal, predicted, std, reading),
            }
        )
    return found


def _entry(steps: Sequence[Step], indices: Indices) -> Mapping[str, Any]:
    """What was written when an architecture was measured first."""
    for step in steps:
        for entry in step.entries:
            if tuple(entry["indices"]) == indices:
                return entry
    raise HwnasError(f"a kept architecture must have been measured, but {indices} was not")


def _sentence(goal: Goal, predicted_ms: float, std_ms: float, reading: Reading | None) -> str:
    """What was asked, predicted and measured; each ± is half a 95 % interval."""
    digits = next((d for limit, d in ((0.5, 4), (1, 3), (10, 2)) if goal.budget_ms < limit), 1)
    text = (
        f"{goal.name}: asked {goal.budget_ms:.{digits}f} ms, "
        f"predicted {predicted_ms:.{digits}f} ± {NORMAL_95 * std_ms:.{digits}f}, "
    )
    if reading is None:
        return text + goal.note
    return text + f"measured {reading.ms:.{digits}f} ± {reading.half_ms:.{digits}f}"


def _adopt(record: dict[str, Any], beliefs: Beliefs, judge: Judge, best: Indices) -> None:
    """Put the kept architecture in the place of the one that the search chose."""
    row = np.array([best])
    predictions = [goal.model.predict(beliefs.space, row) for goal in beliefs.goals]
    latencies_ms = [float(p.mean_ms[0]) for p in predictions]
    record |= {"best": list(best), "accuracy": judge.fp32(best)}
    record["sizes"] = sizes(beliefs.space.architecture(best), beliefs.goals[0].target.precision)
    if not any(t["indices"] == list(best) for t in record["trials"]):
        record["trials"].append(
            {"indices": list(best), "accuracy": judge.fp32(best), "latencies_ms": latencies_ms}
        )
    readings = beliefs.readings[best]
    for item, predicted, reading in zip(record["constraints"], predictions, readings, strict=True):
        item["predicted_ms"] = float(predicted.mean_ms[0])
        item["predicted_std_ms"] = float(predicted.std_ms[0])
        item["measured_ms"] = None if reading is None else reading.ms
        item["interval_ms"] = None if reading is None else [reading.low_ms, reading.high_ms]
