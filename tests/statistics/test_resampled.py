"""Intervals of images drawn again: against theory, and against what they say they hold."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from hwnas.errors import DataError
from hwnas.statistics import resampled


def mean(sums):
    """Of one column beside how many rows there are."""
    return sums[..., 0] / sums[..., 1]


def ratio(sums):
    return sums[..., 0] / np.maximum(sums[..., 1], 1e-9)


def column(values):
    return np.stack([values, np.ones(len(values))], axis=1)


def areas(rng, images, share=0.7):
    """Areas of very different sizes, and how much of each is met."""
    union = rng.lognormal(5, 1, images)
    return np.stack([union * rng.beta(6 * share, 6 * (1 - share), images), union], axis=1)


def test_of_a_mean_it_is_students():
    for images, off in ((10, 0.25), (60, 0.1)):
        values = np.random.default_rng(1).normal(3, 2, images)
        found = resampled.interval(column(values), mean, (-np.inf, np.inf))
        half = stats.t.ppf(0.975, images - 1) * values.std(ddof=1) / np.sqrt(images)
        assert found == pytest.approx((values.mean() - half, values.mean() + half), abs=off * half)


@pytest.mark.parametrize("images", [15, 60])
def test_it_covers_a_ratio_of_sums(images):
    rng = np.random.default_rng(2)
    found = [resampled.interval(areas(rng, images), ratio) for _ in range(300)]
    covered = np.mean([low <= 0.7 <= high for low, high in found])
    assert 0.91 <= covered <= 0.99


def test_the_same_images_give_the_same_interval_however_many_columns_are_drawn_with_them():
    rows = areas(np.random.default_rng(3), 40)
    (alone,) = resampled.intervals(rows, lambda sums: ratio(sums)[..., None])
    beside = resampled.intervals(
        np.concatenate([rows, rows[::-1]], axis=1),
        lambda sums: np.stack([ratio(sums[..., :2]), ratio(sums[..., 2:])], axis=-1),
    )
    assert beside[0] == pytest.approx(alone)
    assert resampled.interval(rows, ratio) == alone


def test_one_image_tells_nothing_and_what_is_not_there_neither():
    assert resampled.interval(np.array([[2.0, 4.0]]), ratio) == (0.0, 1.0)
    missing = resampled.intervals(np.ones((5, 2)), lambda sums: np.full((*sums.shape[:-1], 1), np.nan))
    assert missing == [(0.0, 1.0)]


def test_nobody_is_better_than_himself():
    rows = areas(np.random.default_rng(4), 30)
    found = resampled.difference([rows], [rows], ratio)
    assert (found.mean, found.interval, found.chance) == (0.0, (0.0, 0.0), 1.0)
    assert not found.is_real


def test_a_difference_covers_and_its_chance_is_one():
    rng, inside, chances = np.random.default_rng(5), 0, []
    for _ in range(150):
        first, second = areas(rng, 40), areas(rng, 40)
        second[:, 0], second[:, 1] = first[:, 1] * second[:, 0] / second[:, 1], first[:, 1]  # same images
        found = resampled.difference([first], [second], ratio)
        inside += found.interval[0] <= 0 <= found.interval[1]
        chances.append(found.chance)
    assert 0.9 <= inside / 150 <= 0.99
    assert 0.01 <= np.mean(np.array(chances) < 0.05) <= 0.1
    assert stats.kstest(chances, "uniform").pvalue > 0.001


def test_what_is_better_on_every_image_is_seen_in_few_of_them():
    second = areas(np.random.default_rng(6), 20)
    first = second.copy()
    first[:, 0] += 0.2 * (first[:, 1] - first[:, 0])
    found = resampled.difference([first], [second], ratio)
    assert found.is_real
    assert found.mean == pytest.approx(ratio(first.sum(0)) - ratio(second.sum(0)))
    low, high = found.interval
    assert 0 < low < found.mean < high
    assert resampled.difference([second], [first], ratio).mean == -found.mean


def test_several_trainings_count_their_own_noise():
    rng = np.random.default_rng(7)
    base = areas(rng, 200)

    def trained(level):
        rows = base.copy()
        rows[:, 0] = rows[:, 1] * np.clip(rows[:, 0] / rows[:, 1] + level, 0, 1)
        return rows

    calm = resampled.difference([trained(0.05)] * 3, [trained(0)] * 3, ratio)
    noisy = resampled.difference([trained(x) for x in (0.0, 0.05, 0.1)], [trained(0)] * 3, ratio)
    assert calm.trainings == noisy.trainings == 3
    assert calm.chance is None
    assert calm.is_real
    assert not noisy.is_real
    assert noisy.mean == pytest.approx(calm.mean, abs=0.02)


def test_a_difference_is_of_the_same_images():
    rows = np.ones((4, 2))
    for first, second in (([], []), ([rows], []), ([rows], [rows[:3]])):
        with pytest.raises(DataError, match="as many trainings on the same images"):
            resampled.difference(first, second, ratio)
