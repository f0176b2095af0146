"""Intervals against another library's, and against what they say they hold."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from scipy import stats

from hwnas.statistics.intervals import (
    NORMAL_90,
    NORMAL_95,
    beats_guessing,
    chance_of_at_least,
    chance_of_gap,
    chance_of_swaps,
    clopper_pearson,
    difference,
    paired_difference,
    right_of,
    wilson,
)


@pytest.mark.parametrize(("right", "images"), [(50, 100), (10, 10), (0, 10), (271, 287)])
def test_the_interval_of_a_share_is_wilsons(right, images):
    expected = stats.binomtest(right, images).proportion_ci(0.95, method="wilson")
    assert wilson(right / images, images) == pytest.approx((expected.low, expected.high), abs=1e-9)


def test_normal_intervals_hold_what_they_say():
    drawn = np.abs(np.random.default_rng(0).standard_normal(200_000))
    assert np.mean(drawn <= NORMAL_90) == pytest.approx(0.90, abs=0.003)
    assert np.mean(drawn <= NORMAL_95) == pytest.approx(0.95, abs=0.003)


@cache
def all_intervals(count):
    return np.array([clopper_pearson(k, count) for k in range(count + 1)])


@pytest.mark.parametrize("count", [1, 5, 97, 300])
@pytest.mark.parametrize("share", [0.0, 0.03, 0.5, 0.97, 1.0])
def test_the_exact_interval_covers_at_least_what_it_says(count, share):
    """Summed over every outcome that there is, not sampled."""
    outcomes, bounds = np.arange(count + 1), all_intervals(count)
    inside = (bounds[:, 0] <= share) & (share <= bounds[:, 1])
    assert stats.binom.pmf(outcomes, count, share)[inside].sum() >= 0.95 - 1e-9
    assert bounds.min() == 0
    assert bounds.max() == 1


def test_an_interval_of_nothing_says_nothing():
    assert clopper_pearson(0, 0) == (0.0, 1.0)


@pytest.mark.parametrize(
    ("right", "count", "share"), [(10, 10, 0.5), (100, 100, 0.97), (3, 20, 0.1), (0, 9, 0.2)]
)
def test_the_chance_of_so_many_right_answers_is_the_sum_of_its_terms(right, count, share):
    from math import comb

    terms = (comb(count, k) * share**k * (1 - share) ** (count - k) for k in range(right, count + 1))
    assert chance_of_at_least(right, count, share) == pytest.approx(sum(terms), rel=1e-9)


def test_a_perfect_network_is_not_explained_by_chance_however_few_or_unequal_the_images():
    assert chance_of_at_least(10, 10, 0.5) == pytest.approx(2**-10)
    assert chance_of_at_least(100, 100, 0.97) < 0.05
    assert chance_of_at_least(2, 2, 0.5) == pytest.approx(0.25), "two images cannot tell"


@pytest.mark.parametrize(
    ("right", "count", "guess", "expected"),
    [
        (10, 10, 0.5, True),  # five a class, all right
        (100, 100, 0.97, True),
        (33, 33, 0.97, None),  # one image of the rare class: all right is not rare enough
        (5, 10, 0.5, None),
        (2, 2, 0.5, None),
        (20, 100, 0.2, False),
        (95, 100, 0.95, None),
        (950, 1000, 0.95, False),
        (0, 50, 0.1, False),
    ],
)
def test_few_images_cannot_tell_and_many_can(right, count, guess, expected):
    assert beats_guessing(right, count, guess) is expected


def test_a_gap_is_fishers_exact_test():
    expected = stats.fisher_exact([[12, 18], [20, 10]], alternative="less").pvalue
    assert chance_of_gap(12, 20, 30) == pytest.approx(expected, rel=1e-9)
    assert chance_of_gap(30, 30, 30) == 1
    draws = np.random.default_rng(0).binomial(40, 0.9, (2, 4000))
    called = [chance_of_gap(int(a), int(b), 40) < 0.05 for a, b in draws.T]
    assert np.mean(called) <= 0.05


def test_swaps_are_mcnemars_exact_test():
    assert chance_of_swaps(0, 0) == 1
    assert chance_of_swaps(6, 0) == pytest.approx(2 * 2**-6)
    assert chance_of_swaps(5, 7) == pytest.approx(stats.binomtest(5, 12).pvalue)


def test_the_difference_of_two_shares_is_newcombes():
    """The example of the paper: 56/70 less 48/80, interval .0524 to .3339."""
    assert difference(56, 70, 48, 80) == pytest.approx((0.0524, 0.3339), abs=1e-4)
    assert difference(10, 10, 0, 10)[1] <= 1


@pytest.mark.parametrize(("gained", "lost", "count"), [(0.05, 0.05, 60), (0.2, 0.1, 40), (0.02, 0.0, 150)])
def test_the_interval_of_a_paired_difference_covers_what_it_says(gained, lost, count):
    drawn = np.random.default_rng(1).multinomial(count, [gained, lost, 1 - gained - lost], 3000)
    bounds = np.array([paired_difference(int(a), int(b), count) for a, b, _ in drawn])
    covered = (bounds[:, 0] <= gained - lost) & (gained - lost <= bounds[:, 1])
    assert covered.mean() >= 0.93


def test_a_share_becomes_the_count_that_it_came_from():
    assert [right_of(k / 7, 7) for k in range(8)] == list(range(8))
    assert right_of(1.2, 5) == 5
