"""Which differences are real: against another library, and against what they say they hold."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from hwnas.errors import DataError
from hwnas.statistics.differences import Difference, chance_of_ratio, ratio_interval
from hwnas.statistics.intervals import together


def right(count, images=200):
    return np.arange(images) < count


def test_one_training_a_side_is_mcnemars_test():
    mine, theirs = right(180), np.roll(right(150), 10)
    gained, lost = int((mine & ~theirs).sum()), int((theirs & ~mine).sum())
    found = Difference.of([mine], [theirs])
    assert found.mean == pytest.approx(0.15)
    assert found.chance == pytest.approx(stats.binomtest(gained, gained + lost).pvalue)
    assert found.is_real
    assert found.said == "real, with one training of each"


def test_eight_points_of_few_images_are_not_shown():
    rng = np.random.default_rng(0)
    theirs = rng.random(150) < 0.7
    mine = theirs.copy()
    mine[rng.permutation(np.flatnonzero(~theirs))[:30]] = True
    mine[rng.permutation(np.flatnonzero(theirs))[:18]] = False
    found = Difference.of([mine], [theirs])
    assert found.mean == pytest.approx(0.08)
    assert not found.is_real
    assert found.said == "not shown by 150 images, with one training of each"


def test_a_small_difference_of_two_trainings_says_nothing_of_the_networks():
    found = Difference.of([right(9900, 10_000)], [right(9850, 10_000)])
    assert found.is_real
    assert "another training may turn it round" in found.said


@pytest.mark.parametrize("trainings", [2, 3, 5])
def test_several_trainings_hold_the_true_difference(trainings):
    """Networks of which each training is better or worse by a point or so, judged on 400 images."""
    rng, held, worlds = np.random.default_rng(trainings), 0, 300
    for _ in range(worlds):
        hard = rng.random(400)
        sides = [
            [hard < mean + 0.01 * rng.standard_normal() for _ in range(trainings)] for mean in (0.8, 0.75)
        ]
        low, high = Difference.of(*sides).interval
        held += low <= 0.05 <= high
    assert held / worlds >= 0.93


def test_the_same_answers_are_no_difference():
    found = Difference.of([right(100)], [right(100)])
    assert (found.mean, found.chance, found.is_real) == (0.0, 1.0, False)


def test_a_difference_survives_json():
    for count in (1, 3):
        found = Difference.of([right(150)] * count, [right(120)] * count)
        assert Difference.from_json(found.to_json()) == found


def test_a_difference_is_of_the_same_images():
    for first, second in (([], []), ([right(1)], []), ([right(1, 10)], [right(1, 11)])):
        with pytest.raises(DataError, match="same images"):
            Difference.of(first, second)


def test_the_interval_of_a_ratio_holds_it():
    rng, held, worlds = np.random.default_rng(5), 0, 2000
    for _ in range(worlds):
        a, b = 2.0 * (1 + 0.05 * rng.standard_normal()), 1.0 * (1 + 0.02 * rng.standard_normal())
        low, high = ratio_interval(a, (a * (1 - 0.098), a * 1.098), b, (b * 0.9608, b * 1.0392))
        assert low < a / b < high
        held += low <= 2.0 <= high
    assert 0.93 <= held / worlds <= 0.97


def test_a_ratio_without_intervals_has_none():
    assert ratio_interval(2.0, None, 1.0, (0.9, 1.1)) is None
    assert ratio_interval(2.0, (1.9, 2.1), 1.0, None) is None
    assert ratio_interval(2.0, (0.0, 4.0), 1.0, (0.9, 1.1)) is None, "an arm without end"


def test_a_ratio_is_by_chance_as_its_interval_says():
    for ratio, interval in ((1.1, (1.0, 1.25)), (0.9, (0.8, 1.0))):
        assert chance_of_ratio(ratio, interval) == pytest.approx(0.05)
    assert chance_of_ratio(1.1, (1.01, 1.5)) < 0.05 < chance_of_ratio(1.1, (0.99, 1.11))
    assert chance_of_ratio(0.9, (0.5, 0.99)) < 0.05 < chance_of_ratio(0.9, (0.89, 1.01))
    assert (chance_of_ratio(1.0, (0.9, 1.1)), chance_of_ratio(1.0, (1.0, 1.0))) == (1.0, 1.0)
    assert chance_of_ratio(1.2, (1.2, 1.3)) == 0.0, "an arm without length"


def test_several_differences_are_wrong_together_as_rarely_as_one_alone():
    assert together([0.01, 0.04, 0.03, 0.005]) == pytest.approx((0.03, 0.06, 0.06, 0.02)), "p.adjust of R"
    assert together([]) == ()
    assert together([0.04]) == (0.04,)
    assert together([0.9, 0.8]) == (1.0, 1.0)
    rng, alone, all_of_them, worlds = np.random.default_rng(7), 0, 0, 2000
    for _ in range(worlds):
        logs = 0.05 * rng.standard_normal(9)
        ends = [(np.exp(log - 1.96 * 0.05), np.exp(log + 1.96 * 0.05)) for log in logs]
        chances = [chance_of_ratio(float(np.exp(log)), end) for log, end in zip(logs, ends, strict=True)]
        alone += min(chances) < 0.05
        all_of_them += min(together(chances)) < 0.05
    assert alone / worlds > 0.3, "what nine pairs show where there is nothing"
    assert 0.03 <= all_of_them / worlds <= 0.07
