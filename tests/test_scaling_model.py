"""The cost model of many phones and many GPUs: its closed form, its simulation, and the real session."""

from __future__ import annotations

import json
import runpy
import sys
import time
from pathlib import Path
from statistics import fmean

import pytest

from hwnas.measure import ProfileOptions, adaptive
from hwnas.measure.units import of_one_kind

TOOLS = Path(__file__).resolve().parents[1] / "tools"


@pytest.fixture(autouse=True)
def _as_called(monkeypatch):
    monkeypatch.syspath_prepend(str(TOOLS))


@pytest.mark.parametrize("units", [1, 4, 30])
def test_a_table_takes_what_its_simulation_takes(units):
    import _scaling
    import _simulated

    row = _scaling.Duration(0.1, 0.5)
    shelf = _scaling.Shelf(units, 0.5, row, 1.0, 0.5, 300.0, 60.0, 72_000.0, 6)
    waves = [(60, 9), (20, 3)]
    drawn = fmean(_simulated.profiled_s(shelf, waves, seed)["total"] for seed in range(150))
    assert _scaling.profiled_s(shelf, waves)["total"] == pytest.approx(drawn, rel=0.06)


@pytest.mark.parametrize("driver_s", [0.01, 2.0, 20.0])
def test_evaluations_take_what_their_simulation_takes(driver_s):
    import _scaling
    import _simulated

    cluster = _scaling.Cluster(20, _scaling.Duration(100.0, 0.5), 36_000.0)
    for form, drawn in (
        (_scaling.asynchronous_s, _simulated.asynchronous_s),
        (_scaling.synchronous_s, _simulated.synchronous_s),
    ):
        courses = fmean(drawn(cluster, 400, lambda _: driver_s, seed) for seed in range(20))
        assert form(cluster, 400, lambda _: driver_s) == pytest.approx(courses, rel=0.05)


def test_durations_are_what_they_say():
    import _scaling
    import numpy as np

    one = _scaling.Duration(10.0, 0.8)
    drawn = np.random.default_rng(0).lognormal(one.middle, one.shape, (20_000, 30))
    assert (drawn.mean(), drawn.std()) == pytest.approx((10.0, 8.0), rel=0.02)
    assert one.longest_s(30) == pytest.approx(drawn.max(axis=1).mean(), rel=0.02)
    assert one.at_least(9.0).mean_s == pytest.approx(np.maximum(drawn, 9.0).mean(), rel=0.02)
    assert one.longest_rest_s(1) == pytest.approx(one.rest_s, rel=0.02)
    assert one.moment(3) == pytest.approx((drawn**3).mean(), rel=0.1)


def test_the_driver_is_the_limit_from_where_workers_ask_faster():
    import _scaling

    cluster = _scaling.Cluster(10, _scaling.Duration(100.0, 0.5))
    assert _scaling.saturates_at(cluster, 1000, lambda n: n / 10) == 101
    assert _scaling.saturates_at(cluster, 50, lambda n: n / 10) is None


def test_many_units_do_not_look_for_what_is_due_at_every_row(monkeypatch):
    import _played
    import _scaling

    looks = []
    due = adaptive.due

    def counted(*rest):
        looks.append(1)
        return due(*rest)

    monkeypatch.setattr(adaptive, "due", counted)
    shelf = _scaling.Shelf(8, 0.01, _scaling.Duration(0.006, 0.01), 0.0, 0.0, 1e9, 1.0, 1e9, 6)
    _, table = _played.table(shelf, 40, ProfileOptions(rounds=3, max_rounds=3, min_round_s=0.0))
    assert sorted((r.key, r.number) for r in table.rounds) == sorted(
        (f"block{number}", turn) for number in range(40) for turn in range(3)
    )
    assert len({item.session for item in table.rounds}) == 8, "all units measured"
    assert len(looks) < 40, "once a second, and by each unit in the end"


def test_units_are_greeted_together():
    import _played
    import _scaling

    shelf = _scaling.Shelf(20, 0.2, _scaling.Duration(0.003, 0.01), 0.0, 0.0, 1e9, 1.0, 1e9, 6)
    began = time.monotonic()
    alike, _ = of_one_kind(_played.ready(shelf), _played.TARGET, ProfileOptions())
    took = time.monotonic() - began
    assert [unit.unit.serial for unit in alike] == [str(number) for number in range(20)]
    assert took < 20 * 0.2 / 2


@pytest.mark.slow
def test_the_bench_prints_where_the_time_goes(tmp_path, monkeypatch, capsys):
    asked = {"seconds": {"100": 0.001, "10000": 0.002}, "resumed_s": 1.0, "front_s": 1.0}
    known = {
        "random": asked | {"history_bytes_a_trial": 200.0},
        "evolution": asked | {"history_bytes_a_trial": 200.0},
        "surrogate": {"seconds": {"100": 0.5, "1000": 2.0, "2000": 8.0}, "matrices": 12.0},
        "written": {"network_s": 0.03, "line_s": 0.001},
        "lookups": {"looked_up_s": 1e-7},
        "table": {},
        "processes:2": {},
        "ray?num_cpus=1": {"task_s": 0.008, "network_s": 0.05},
        "played": [],
    }
    rows = tmp_path / "rows.jsonl"
    rows.write_text("".join(json.dumps(item) + "\n" for item in known.items()))
    given = ["--rows", str(rows), "--courses", "1", "--evaluations", "500", "--workers", "20"]
    monkeypatch.setattr(sys, "argv", ["bench_scaling.py", *given])
    runpy.run_path(str(TOOLS / "bench_scaling.py"), run_name="__main__")
    found = json.loads(capsys.readouterr().out)["results"]
    assert found["space"]["waves"][0] == [136, 9]
    strategies = found["evaluations"]["by_strategy"]
    assert strategies["surrogate"]["driver_alone_h"] > strategies["random"]["driver_alone_h"]
    hours = strategies["random"]["hours"]["20"]
    assert found["evaluations"]["hours_of_work_over_workers"] < hours["asynchronous"] < hours["synchronous"]
    by_units = found["table"]["seconds_by_units"]
    assert by_units["10"]["measure"] < by_units["1"]["measure"]
