"""Six searches in quiet and beside a disturber, for ``bench_budget.py --disturb``."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from _bench import target

PHASES = ("quiet", "disturbed")
PRECISIONS, BUDGETS = ("int8", "fp32"), ("30%", "50%", "70%")


@contextmanager
def disturber(seed: int) -> Iterator[None]:
    """Burns every CPU, in random bursts of .3 s on average with pauses as long."""
    program = str(Path(__file__).with_name("bench_measurement.py"))
    burners = [
        subprocess.Popen([sys.executable, program, "--burn", str(seed + number)])
        for number in range(os.cpu_count() or 2)
    ]
    try:
        yield
    finally:
        for burner in burners:
            burner.kill()
            burner.wait()


def summary(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """What a phase came to: verdicts, budgets used, accuracy and cost."""
    told = [row for row in rows if "refused" not in row]
    return {
        "runs": len(rows),
        "refused": len(rows) - len(told),
        "verdicts": dict(Counter(row["verdict"] for row in told)),
        "false_pass": sum(row["verdict"] == "PASS" and not row["within"] for row in told),
        "mean_use": _mean(1 - row["slack"] for row in told),
        "least_use": min((1 - row["slack"] for row in told), default=None),
        "accuracy": _mean(row["accuracy"] for row in told),
        "networks_measured": _mean(row["networks_measured"] for row in told),
        "promise_seconds": _mean(row["seconds"]["promise"] for row in told),
    }


def targets(phases: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """What is asked for of both phases."""
    found = []
    for name, seen in phases.items():
        found.append(target(f"{name}: budgets said to be kept that are not", seen["false_pass"], "<=", 0))
        found.append(target(f"{name}: mean use of the budget", seen["mean_use"], ">=", 0.85))
    return found


def _mean(values: Iterator[float]) -> float | None:
    known = list(values)
    return statistics.fmean(known) if known else None
