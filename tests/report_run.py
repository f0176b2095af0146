"""A run with everything in it, as small as it can be, for the tests of the report.

Real: the trained and exported network, the search record, and latency models of tables of simulated
rounds. The verification is of made-up numbers in its own classes, so that nothing is measured here.
Made by hand in their written formats: gallery, promise and comparison, which take minutes to make.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from task_helpers import Task, searched

from hwnas import device, latency, release, search
from hwnas.budget import Budget
from hwnas.search.constraints import constraints_of
from hwnas.space import Architecture
from hwnas.statistics.verdict import BUDGET, PASS, Verdict
from hwnas.tables.table import LatencyTable, Note, Round
from hwnas.verify import Estimate, SessionRecord, VariantCheck, Verification

TARGETS = (("litert", "int8"), ("litert", "fp32"))


def complete(run: Path) -> Path:
    """Add to an exported run all that a run can have."""
    arch, before = release.read_run(run)
    host = device.load("host")
    paths = []
    for number, (runtime, precision) in enumerate(TARGETS):
        target = host.target(runtime, precision)
        table = table_of(arch, target, speed=(1 + number) * 2e6)
        table.save(run / "tables" / f"{target.slug}.jsonl")
        path = run / "latency" / f"host-{target.slug}.json"
        latency.save(latency.fit(table, arch.space), path)
        paths.append(path)
    models = [latency.load(path) for path in paths]
    constraints = constraints_of(models, (Budget.read("70%"),), arch.space, 0.9)
    task = Task(arch.space, constraints, lambda a: 0.5 + 0.4 * a.macs / arch.space.macs_range()[1])
    result = searched(search.strategy("random")(queries=12), task, np.random.default_rng(0))
    promises = [
        {
            "name": constraint.name,
            "target": model.target.to_json(),
            "budget_ms": 50.0,
            "predicted_ms": float(model.predict(arch.space, np.array([arch.indices])).mean_ms[0]),
            "predicted_std_ms": 0.01,
        }
        for constraint, model in zip(constraints, models, strict=True)
    ]
    record = {
        **search.to_json(result),
        **before.to_json(),
        "schema": "hwnas-search/1",
        "constraints": promises,
    }
    record |= {
        "constraints": promises,
        "confidence": 0.9,
        "best": list(arch.indices),
        "promise": promise(arch, promises),
    }
    write(run / "search.json", record)
    manifest = json.loads((run / "export" / release.MANIFEST).read_text())
    verified = verification(manifest["variants"], promises).to_json()
    write(run / "export" / release.MANIFEST, {**manifest, "budgets": promises, "verification": verified})
    write(run / "gallery.json", gallery(arch, promises))
    write(run / "compare.json", comparison(arch))
    return run


def write(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content))


def table_of(arch: Architecture, target: Any, speed: float) -> LatencyTable:
    """Rounds of a device that takes its time for MACs, with a little noise."""
    space, rng, session = arch.space, np.random.default_rng(1), "20261124T111216Z-66e1"
    rounds = []

    def add(key: str, kind: str, ms: float) -> None:
        for number in range(3):
            samples = ms * (1 + 0.004 * rng.standard_normal(3))
            anchors = 0.5 * (1 + 0.004 * rng.standard_normal(4))
            rounds.append(Round(key, kind, session, number, tuple(samples), tuple(anchors)))

    for workload in space.workloads():
        add(workload.key(), "block", 0.01 + workload.macs / speed)
    for kind in ["calibration"] * 8 + ["heldout"] * 6:
        sampled = space.sample(rng)
        if not any(item.key == sampled.key() for item in rounds):
            add(sampled.key(), kind, 0.08 + 1.05 * sampled.macs / speed)
    notes = [Note(session, "begin", {"rounds": 3, "max_rounds": 3, "target_ci": 0.015, "seed": 4})]
    return LatencyTable(target, _environment({"runtime": target.runtime}), rounds, notes)


def _environment(item: dict[str, Any]) -> dict[str, Any]:
    return {"cpu_model": "A CPU", "runtime": item["runtime"], "runtime_version": "2.3.0"}


_ACCURACY = {"right": 300, "balanced": 0.9375, "balanced_interval": [0.9, 0.96], "is_uneven": False}


def verification(variants: list[dict[str, Any]], promises: list[dict[str, Any]]) -> Verification:
    """All variants pass; the numbers are made up."""
    checks = []
    for item in variants:
        asked = next((p for p in promises if p["name"] == f"host/{item['name']}"), {})
        checks.append(
            VariantCheck(
                name=item["name"],
                file=item["file"],
                bytes=item["bytes"],
                value=0.9375,
                estimate=Estimate(320, 0.9375, (0.905, 0.961), _ACCURACY),
                loss=0.0,
                further=None,
                measured_ms=11.8,
                interval_ms=(11.6, 11.9),
                predicted_ms=asked.get("predicted_ms"),
                budget_ms=asked.get("budget_ms"),
                conditions={
                    "nodes": 28,
                    "delegated_nodes": 28,
                    "cpus": [1],
                    "preempted": [1, 0, 0],
                    "inner": 2,
                },
                checks={"answers": Verdict(PASS), "learning": Verdict(PASS)}
                | ({} if asked.get("budget_ms") is None else {BUDGET: Verdict(PASS)}),
                session=SessionRecord(
                    "20261124T121216Z-0a1b", 9, "noisy", ("a fan was heard",), _environment(item)
                ),
            )
        )
    return Verification("host", tuple(checks))


def promise(arch: Architecture, promises: list[dict[str, Any]]) -> dict[str, Any]:
    """As ``hwnas-promise/1`` is written; the numbers are made up."""
    reading = {"ms": 11.8, "low_ms": 11.7, "high_ms": 12.0, "sessions": 2}
    entry = {
        "indices": list(arch.indices),
        "from": None,
        "accuracy": {"fp32": 0.8},
        "predicted_ms": [11.7, 23.1],
        "predicted_std_ms": [0.1, 0.2],
        "measured": [reading, None],
        "kept": True,
    }
    over = {**entry, "indices": [2] * len(arch.indices), "kept": False}
    made = {"asked_ms": 50.0, "predicted_ms": 11.7, "predicted_std_ms": 0.1, "measured_ms": 11.8}
    made |= {"measured_half_ms": 0.15, "interval_ms": [11.7, 12.0], "sessions": 2, "note": ""}
    unmeasured = {"measured_ms": None, "interval_ms": None, "note": "its device is not there"}
    return {
        "schema": "hwnas-promise/1",
        "kept": True,
        "refusal": None,
        "targets": [
            {**made, "name": promises[0]["name"]},
            {**made, **unmeasured, "name": promises[1]["name"]},
        ],
        "repairs": 1,
        "networks_measured": 2,
        "steps": [
            {"purpose": "finalists", "entries": [over], "seconds": {"scoring": 1.0, "measuring": 5.0}},
            {"purpose": "repair", "entries": [entry], "seconds": {"scoring": 1.0, "measuring": 5.0}},
        ],
        "seconds": 12.0,
    }


def gallery(arch: Architecture, promises: list[dict[str, Any]]) -> dict[str, Any]:
    """As ``hwnas-gallery/1`` is written; the numbers are made up."""
    rows = [(list(arch.indices), 0.9, 12.0), ([0] * 8, 0.5, 2.0), ([2] * 8, 0.95, 40.0), ([1] * 8, 0.7, 30.0)]
    entries = [
        {
            "indices": indices,
            "accuracy": accuracy,
            "accuracy_interval": [accuracy - 0.03, accuracy + 0.02],
            "predicted_ms": [ms, 2 * ms],
            "predicted_std_ms": [0.1, 0.2],
            "measured_ms": [ms * 1.01 if number == 0 else None, None],
            "measured_half_ms": [0.1 if number == 0 else None, None],
            "front": number != 3,
        }
        for number, (indices, accuracy, ms) in enumerate(rows)
    ]
    targets = [{"name": p["name"], "target": p["target"], "range_ms": [1.0, 60.0]} for p in promises]
    return {"schema": "hwnas-gallery/1", "images": 287, "targets": targets, "entries": entries}


def comparison(arch: Architecture) -> dict[str, Any]:
    """As ``hwnas-compare/1`` is written; the numbers are made up."""

    def network(name: str, mean: float, ms: float) -> dict[str, Any]:
        accuracy = {"mean": mean, "std": 0.002, "values": [mean - 0.002, mean + 0.002]}
        minus = {"mean": 0.91 - mean, "std": 0.001, "values": [0.0, 0.0]}
        numbers = {"accuracy": accuracy, "found_minus_this": minus}
        variant = {
            "name": "litert-int8",
            "bytes": 5000,
            "latency_ms": ms,
            "interval_ms": [0.99 * ms, 1.02 * ms],
        }
        variant |= {**numbers, "latency_ratio": 11.8 / ms}
        return {"name": name, "macs": 3e6, "params": 1e5, **numbers, "variants": [variant]}

    return {
        "schema": "hwnas-compare/1",
        "found": "found",
        "architecture": arch.id,
        "device": "host",
        "seeds": [0, 1],
        "notes": [],
        "matches": [{"family": "mobilenetv2", "chosen": "mobilenetv2-0.31", "ratio": 1.02}],
        "networks": [network("found", 0.91, 11.8), network("mobilenetv2-0.31", 0.9, 12.0)],
    }
