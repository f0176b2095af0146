"""What regrets come to: known numbers, computed by hand."""

from __future__ import annotations

import numpy as np
import pytest

from hwnas.bench.statistics import Pairing, least_chance, mean_interval, pairings

RISING = np.arange(1.0, 9.0)


def test_wilcoxons_chance_is_the_exact_one():
    """Of gaps -1, 2, -3, 4, 5 the negative ranks add up to 4, and 7 of 32 signs give as little: p = 14/32."""
    (found,) = pairings({"a": np.array([0.0, 2, 0, 4, 5]), "b": np.array([1.0, 0, 3, 0, 0])})
    assert (found.wins, found.equal, found.losses) == (2, 0, 3)
    assert found.chance == pytest.approx(14 / 32)
    assert not found.is_significant


def test_all_pairs_together_are_judged_by_holm():
    """Eight wins of eight are p = 2/256 alone, and three times that among three pairs."""
    found = {(p.first, p.second): p for p in pairings({"a": 0 * RISING, "b": RISING, "c": RISING})}
    assert found["a", "b"].chance == pytest.approx(3 * 2 / 256)
    assert found["a", "c"].chance == pytest.approx(3 * 2 / 256)
    assert found["a", "b"].text == "8/0/0*"


def test_who_wins_always_has_the_least_chance_there_is():
    assert least_chance(8, 3) == pytest.approx(3 * 2 / 256)
    assert least_chance(1, 3) == 1


def test_what_is_significant_alone_need_not_be_among_others():
    first = RISING[:6]
    (alone,) = pairings({"a": 0 * first, "b": first})
    assert alone.chance == pytest.approx(2 / 64)
    assert alone.is_significant
    assert not any(p.is_significant for p in pairings({"a": 0 * first, "b": first, "c": first}))


def test_searches_that_end_alike_are_equal_and_no_error():
    (found,) = pairings({"a": RISING, "b": RISING})
    assert found == Pairing("a", "b", 0, 8, 0, 1.0)


def test_sums_in_another_order_are_no_difference():
    (found,) = pairings({"a": np.array([0.1 + 0.2]), "b": np.array([0.3])})
    assert found.equal == 1


def test_a_pairing_has_another_side():
    assert Pairing("a", "b", 5, 2, 1, 0.01).swapped == Pairing("b", "a", 1, 2, 5, 0.01)


def test_intervals_are_of_seeds():
    assert mean_interval(np.array([0.4]), 7.0) == (0.0, 7.0), "one seed tells nothing"
    assert mean_interval(np.full(5, 0.25), 7.0) == pytest.approx((0.25, 0.25))
    low, high = mean_interval(np.array([0.0, 0.0, 1.0, 1.0] * 5), 7.0)
    assert low == pytest.approx(0.5 - 2.09 * 0.513 / 20**0.5, abs=0.06)
    assert high == pytest.approx(0.5 + 2.09 * 0.513 / 20**0.5, abs=0.06)
