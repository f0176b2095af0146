"""Estimates follow from raw samples, and their intervals hold what they promise."""

from __future__ import annotations

from statistics import median

import numpy as np
import pytest

from hwnas.errors import TableError
from hwnas.measurement import Measurement, Round, median_interval


def a_round(ratio: float, number: int = 0, anchor: float = 2.0, **conditions: object) -> Round:
    samples = tuple(ratio * anchor * factor for factor in (0.99, 1.0, 1.02))
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
    measured = Measurement("k", "block", rounds, reference_ms=10.0)
    assert measured.latency_ms == pytest.approx(12.0)
    assert measured.mad_ms == pytest.approx(2.0)
    assert measured.scaled(5.0).latency_ms == pytest.approx(6.0)


def test_what_slows_the_anchor_as_well_changes_nothing() -> None:
    steady = Measurement("k", "block", tuple(a_round(1.3, i, 2.0) for i in range(6)), 2.0)
    drifting = Measurement("k", "block", tuple(a_round(1.3, i, 2.0 * 1.1**i) for i in range(6)), 2.0)
    assert drifting.latency_ms == pytest.approx(steady.latency_ms)
    assert drifting.raw_median_ms > 1.2 * steady.raw_median_ms


def test_preempted_samples_do_not_count() -> None:
    samples, anchor = (1.0, 9.0, 1.1, 9.0, 1.2, 9.0), (2.0, 8.0, 2.0, 8.0)
    flags = {"preempted": [0, 1, 0, 1, 0, 1], "anchor_preempted": [0, 1, 0, 1]}
    item = Round("k", "block", "s", 0, samples, anchor, flags)
    assert item.clean_ms == (1.0, 1.1, 1.2)
    assert item.ratio == pytest.approx(1.1 / 2.0)


def test_where_nearly_all_were_preempted_all_count() -> None:
    item = Round("k", "block", "s", 0, (1.0, 9.0, 9.0, 9.0), (), {"preempted": [0, 1, 1, 1]})
    assert item.clean_ms == item.samples_ms
    assert item.ratio == median(item.samples_ms)


@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), float("inf"), "1"])
def test_what_is_no_latency_is_refused(value: object) -> None:
    with pytest.raises(TableError, match="finite and positive"):
        Round("k", "block", "s", 0, (value,))  # type: ignore[arg-type]


def test_a_row_is_samples_or_a_failure() -> None:
    for samples, failed in (((), ""), ((1.0,), "died")):
        with pytest.raises(TableError, match="both or neither"):
            Round("k", "block", "s", 0, samples, failed=failed)
