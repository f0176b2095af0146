"""The bench script judges simulated sessions as it should."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from hwnas.device import Target
from hwnas.tables.table import LatencyTable, Round

SCRIPT = Path(__file__).resolve().parents[2] / "tools" / "bench_measurement.py"
KEYS = [f"k{i}" for i in range(40)]


@pytest.fixture(scope="module")
def bench() -> Iterator[ModuleType]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(SCRIPT.parent))  # as where it is called
        yield importlib.import_module("bench_measurement")


def a_session(number: int, noise: float) -> LatencyTable:
    rng = np.random.default_rng(number)
    rounds = []
    for turn in range(12):
        for i, key in enumerate(KEYS):
            sample = (i + 1) * rng.lognormal(0, noise)
            rounds.append(Round(key, "finalist", f"s{number}", turn, (sample,), (rng.lognormal(0, 0.002),)))
    return LatencyTable(Target("host", "litert", "int8"), {}, rounds)


def test_repeatability_is_that_of_the_simulation(bench: ModuleType) -> None:
    tables = [a_session(number, 0.02) for number in range(6)]
    usual = [dict.fromkeys(KEYS, 1.0 + 0.1 * (number % 2)) for number in range(6)]
    found = bench.judge(tables, tables, usual, {"networks": KEYS})["networks"]
    # The median of 12 lognormals has a deviation of 1.25 · 0.02 / √12; |difference| a median of 0.95 of it.
    assert found["ours"]["median"] == pytest.approx(0.95 * 1.25 * 0.02 / 12**0.5, rel=0.3)
    assert found["ours"]["n"] == 3 * len(KEYS)
    assert found["usual"]["median"] == pytest.approx(0.1 / 1.05)
    # These rounds do not resemble each other, and sessions do not differ: the intervals leave room for both.
    assert found["coverage"] > 0.95


def test_targets_take_the_worst_of_all(bench: ModuleType) -> None:
    def phase(ours: float, usual: float) -> dict[str, object]:
        kinds = {
            "ours": {"median": ours, "p95": 2 * ours, "n": 10},
            "usual": {"median": usual},
            "coverage": 0.95,
        }
        return {"networks": kinds, "blocks": kinds}

    results = {
        "litert-fp32": {"quiet": phase(0.005, 0.1), "disturbed": phase(0.01, 0.1)},
        "litert-int8": {"quiet": phase(0.02, 0.1), "disturbed": phase(0.01, 0.03)},
    }
    targets = {t["name"]: t for t in bench.targets_of(results)}
    assert targets["quiet: median difference of networks"]["value"] == 0.02
    assert not targets["quiet: median difference of networks"]["met"]
    assert targets["quiet: median difference of blocks"]["met"]
    ratio = targets["disturbed: error of the usual practice over ours (networks)"]
    assert ratio["value"] == pytest.approx(3.0)
    assert not ratio["met"]
    assert targets["coverage of the 95 % intervals"]["met"]


def test_the_same_blocks_and_networks_for_the_same_seed(bench: ModuleType) -> None:
    chosen = bench.choose(5, 3, 64, seed=1)
    assert [item.kind for item in chosen] == ["block"] * 5 + ["calibration"] * 3
    assert chosen == bench.choose(5, 3, 64, seed=1)
    assert chosen != bench.choose(5, 3, 64, seed=2)
