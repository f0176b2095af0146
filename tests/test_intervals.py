"""Intervals against another library's, and against what they say they hold."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from hwnas.intervals import NORMAL_90, NORMAL_95, wilson


@pytest.mark.parametrize(("right", "images"), [(50, 100), (10, 10), (0, 10), (271, 287)])
def test_the_interval_of_a_share_is_wilsons(right, images):
    expected = stats.binomtest(right, images).proportion_ci(0.95, method="wilson")
    assert wilson(right / images, images) == pytest.approx((expected.low, expected.high), abs=1e-9)


def test_normal_intervals_hold_what_they_say():
    drawn = np.abs(np.random.default_rng(0).standard_normal(200_000))
    assert np.mean(drawn <= NORMAL_90) == pytest.approx(0.90, abs=0.003)
    assert np.mean(drawn <= NORMAL_95) == pytest.approx(0.95, abs=0.003)
