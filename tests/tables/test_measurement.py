"""Estimates follow from raw samples, and their intervals hold what they promise."""

from __future__ import annotations

import numpy as np
import pytest

from hwnas.device import Target
from hwnas.errors import TableError
from hwnas.tables.clock import read
from hwnas.tables.measurement import MIN_ROUNDS, Measurement, Round, Scale, median_interval
from hwnas.tables.table import LatencyTable


def a_round(ratio: float, number: int = 0, anchor: float = 2.0, **conditions: object) -> Round:
    samples = tuple(ratio * anchor * factor for factor in (0.99, 1.0, 1.0, 1.0, 1.02))
    return Round("k", "block", "s", number, samples, (anchor,) * 4, conditions)


@pytest.mark.parametrize("count", [6, 7, 8, 9, 12, 20, 27])
@pytest.mark.parametrize("draw", ["exponential", "normal", "uniform"])
def test_the_interval_holds_the_median_with_95_percent(count: int, draw: str) -> None:
    rng = np.random.default_rng(count)
    truth = {"exponential": np.log(2), "normal": 0.0, "uniform": 0.5}[draw]
    trials = getattr(rng, draw)(size=(4000, count))
    held = [low <= truth <= high for low, high in map(median_interval, trials.tolist())]
    assert 0.935 <= np.mean(held) <= 0.965


@pytest.mark.parametrize("count", [1, 2, 5])
def test_few_values_give_their_whole_range(count: int) -> None:
    values = [3.0, 1.0, 2.0, 5.0, 4.0][:count]
    assert median_interval(values) == (min(values), max(values))


def test_the_interval_is_between_its_order_statistics() -> None:
    # Of nine values [x(2), x(8)] holds 492/512 and [x(3), x(7)] 420/512: by hand, a weight of 0.2279.
    assert median_interval([float(i) for i in range(1, 10)]) == pytest.approx((2.2279, 7.7721), abs=1e-4)


def test_the_latency_is_the_median_ratio_times_the_reference() -> None:
    rounds = tuple(a_round(ratio, i) for i, ratio in enumerate((1.0, 1.5, 1.2)))
    measured = Measurement("k", "block", rounds, scale=Scale(2.0))
    assert measured.latency_ms == pytest.approx(2.4)
    assert measured.mad_ms == pytest.approx(0.4)
    assert measured.scaled(Scale(1.9)).latency_ms == pytest.approx(2.28)


def test_the_interval_that_a_user_sees_holds_the_error_between_sessions() -> None:
    rounds = tuple(a_round(1.2, i) for i in range(MIN_ROUNDS))
    measured = Measurement("k", "block", rounds, Scale(2.0))
    assert measured.ci_ms == pytest.approx((2.4, 2.4)), "rounds that agree: nothing within the session"
    assert measured.interval_ms is not None
    low, high = measured.interval_ms
    assert 0.98 * 2.4 < low < 0.995 * 2.4
    assert 1.005 * 2.4 < high < 1.02 * 2.4


@pytest.mark.parametrize("count", [1, 2, 5])
def test_few_rounds_carry_no_interval(count: int) -> None:
    rounds = tuple(a_round(1.2 + 0.1 * i, i) for i in range(count))
    assert Measurement("k", "block", rounds, Scale(2.0)).interval_ms is None


def two_anchors(truth: float, weights: float, numbers: range, session: str = "s") -> list[Round]:
    """Rounds on a machine whose clock and whose cache get slower, by amounts of their own.

    The light anchor needs 1 ms and nothing of the cache; the heavy one 8 ms and all of it.
    """
    rows = []
    for number in numbers:
        clock, cache = 1 + 0.02 * number, 1 + 0.05 * (number % 3)
        sample = truth * clock * cache**weights
        light, heavy = 1.0 * clock, 8.0 * clock * cache
        rows.append(Round("k", "block", session, number, (sample,) * 3, (light,) * 4, heavy_ms=(heavy,) * 4))
    return rows


@pytest.mark.parametrize(
    ("truth", "weights"), [(0.5, 0.0), (1.0, 0.0), (8.0**0.5, 0.5), (8.0, 1.0), (20.0, 1.0)]
)
def test_like_is_compared_with_like(truth: float, weights: float) -> None:
    rounds = two_anchors(truth, weights, range(9))
    measured = Measurement("k", "block", tuple(rounds), Scale(1.0, 8.0))
    assert measured.heavy_share == pytest.approx(weights, abs=0.02)
    assert measured.latency_ms == pytest.approx(truth, rel=0.01)
    assert measured.relative_ci < 0.005
    alone = Measurement("k", "block", tuple(rounds), Scale(1.0))
    assert (alone.relative_ci > 0.02) == (weights > 0), "the light anchor alone cannot tell"


def test_a_heavy_anchor_that_is_not_heavier_or_not_always_there_is_not_used() -> None:
    rounds = two_anchors(3.0, 1.0, range(6))
    flat = [
        Round(r.key, r.kind, r.session, r.number, r.samples_ms, r.anchor_ms, heavy_ms=r.anchor_ms)
        for r in rounds
    ]
    assert Measurement("k", "block", tuple(flat), Scale(1.0, 1.0)).heavy_share == 0
    some = [*rounds[:5], Round("k", "block", "s", 5, (3.0,), (1.0,))]
    assert Measurement("k", "block", tuple(some), Scale(1.0, 8.0)).heavy_share == 0


def test_the_heavy_anchor_is_part_of_the_row() -> None:
    item = two_anchors(3.0, 1.0, range(1))[0]
    assert Round.from_json(item.to_json()) == item
    assert Round.from_json(a_round(1.0).to_json()).heavy_ms == ()
    with pytest.raises(TableError, match="finite and positive"):
        Round("k", "block", "s", 0, (1.0,), (1.0,), heavy_ms=(-1.0,))


def test_what_slows_the_anchor_as_well_changes_nothing() -> None:
    steady = Measurement("k", "block", tuple(a_round(1.3, i, 2.0) for i in range(6)), Scale(2.0))
    drifting = Measurement("k", "block", tuple(a_round(1.3, i, 2.0 * 1.1**i) for i in range(6)), Scale(2.0))
    assert drifting.latency_ms == pytest.approx(steady.latency_ms)
    assert drifting.raw_median_ms > 1.2 * steady.raw_median_ms


def test_preempted_samples_do_not_count() -> None:
    samples, anchor = (1.0, 9.0, 1.1, 9.0, 1.2, 9.0), (2.0, 8.0, 2.0, 2.0)
    flags = {"preempted": [0, 1, 0, 1, 0, 1], "anchor_preempted": [0, 1, 0, 0]}
    item = Round("k", "block", "s", 0, samples, anchor, flags)
    assert item.clean_ms == (1.0, 1.1, 1.2)
    assert item.ratio() == pytest.approx(1.05 / 2.0)


def test_a_preempted_sample_counts_with_the_cpu_time_of_its_thread() -> None:
    flags = {"preempted": [0, 1, 1], "thread_ms": [0.9, 1.2, 1.1]}
    item = Round("k", "block", "s", 0, (1.0, 9.0, 8.0), (), flags)
    assert item.clean_ms == (1.0, 1.2, 1.1)
    assert item.samples_ms == (1.0, 9.0, 8.0), "raw samples stay"


def test_where_nearly_all_were_preempted_all_count() -> None:
    item = Round("k", "block", "s", 0, (1.0, 9.0, 9.0, 9.0), (), {"preempted": [0, 1, 1, 1]})
    assert item.clean_ms == item.samples_ms


@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), float("inf"), "1"])
def test_what_is_no_latency_is_refused(value: object) -> None:
    with pytest.raises(TableError, match="finite and positive"):
        Round("k", "block", "s", 0, (value,))  # type: ignore[arg-type]


def test_a_row_is_samples_or_a_failure() -> None:
    for samples, failed in (((), ""), ((1.0,), "died")):
        with pytest.raises(TableError, match="both or neither"):
            Round("k", "block", "s", 0, samples, failed=failed)


def a_session(
    seed: int, *, burst: float = 1.5, drift: float = 0.0, keys: int = 20, rounds: int = 18
) -> list[Round]:
    """Rows of a machine on which bursts slow the anchor more than what is measured beside it."""
    rng = np.random.default_rng(seed)
    rows: list[Round] = []
    slow = False
    for number in range(rounds):
        for key in range(keys):
            slow ^= bool(rng.random() < 0.2)
            speed = 1 + drift * len(rows) / (keys * rounds)
            anchor = speed * (burst if slow else 1.0) * rng.lognormal(0, 0.005, 8)
            sample = 3.0 * speed * (1.2 if slow else 1.0) * rng.lognormal(0, 0.005, 5)
            rows.append(Round(f"k{key}", "block", "s", number, tuple(sample), tuple(anchor)))
    return rows


@pytest.mark.parametrize("drift", [0.0, 0.05])
def test_quiet_rounds_are_those_whose_anchors_were_at_their_best_locally(drift: float) -> None:
    rows = a_session(1, drift=drift)
    speed = [1 + drift * i / len(rows) for i in range(len(rows))]
    truth = [r.anchor_level_ms / s < 1.2 for r, s in zip(rows, speed, strict=True)]
    agree = np.mean([a == b for a, b in zip(read(rows).quiet, truth, strict=True)])
    assert 0.3 < np.mean(truth) < 0.7
    assert agree > 0.95


def test_bursts_that_do_not_slow_all_alike_leave_no_trace() -> None:
    table = LatencyTable(Target("host", "litert", "int8"), {}, a_session(2))
    measured = [m for m in table.measurements.values() if len(m.used) < len(m.rounds)]
    assert len(measured) >= 15
    for m in measured:
        assert m.latency_ms == pytest.approx(3.0, rel=0.02)
    everything = [np.median([r.ratio() for r in m.rounds]) * m.reference_ms for m in measured]
    assert np.mean([abs(ms / 3.0 - 1) for ms in everything]) > 0.02


def test_on_a_quiet_machine_nearly_every_round_is_used() -> None:
    rows = a_session(3, burst=1.0)
    assert np.mean(read(rows).quiet) > 0.97


def test_rounds_are_judged_by_their_anchors_alone() -> None:
    rows = a_session(4)
    spoilt = [Round(r.key, r.kind, r.session, r.number, (9.9,), r.anchor_ms) for r in rows]
    assert read(spoilt).quiet == read(rows).quiet


def test_where_few_rounds_are_quiet_all_are_used() -> None:
    rounds = tuple(a_round(1.0 + 0.1 * i, i) for i in range(8))
    few = Measurement("k", "block", rounds, Scale(2.0), quiet=(True,) * 5 + (False,) * 3)
    enough = Measurement("k", "block", rounds, Scale(2.0), quiet=(True,) * 6 + (False,) * 2)
    assert few.used == rounds
    assert enough.used == rounds[:6]
