"""Error figures against known answers."""

from __future__ import annotations

import numpy as np
import pytest

from hwnas.latency.base import Prediction
from hwnas.latency.evaluate import Evaluation, rank_correlations, score


def test_known_answers() -> None:
    measured = np.array([1.0, 2.0, 4.0, 10.0])
    predicted = np.array([1.005, 2.08, 3.68, 12.0])  # +0.5 %, +4 %, -8 %, +20 %
    found = score(Prediction(predicted, np.array([0.01, 0.01, 1.0, 1.0])), measured, ("a", "b", "c", "d"))
    assert found.mape == pytest.approx((0.005 + 0.04 + 0.08 + 0.2) / 4)
    assert found.bias == pytest.approx((0.005 + 0.04 - 0.08 + 0.2) / 4)
    assert (found.within_1, found.within_5, found.within_10) == (0.25, 0.5, 0.75)
    assert found.rmse_ms == pytest.approx(np.sqrt((0.005**2 + 0.08**2 + 0.32**2 + 4) / 4))
    assert (found.spearman, found.kendall) == pytest.approx((1.0, 1.0))
    assert found.coverage_90 == 0.5
    assert Evaluation.from_json(found.to_json()) == found


def test_rank_correlations_with_one_swap_and_with_ties() -> None:
    spearman, kendall = rank_correlations(np.array([1.0, 2, 3, 4]), np.array([1.0, 3, 2, 4]))
    assert spearman == pytest.approx(0.8)
    assert kendall == pytest.approx(4 / 6)
    spearman, kendall = rank_correlations(np.array([1.0, 2, 3]), np.array([1.0, 1, 2]))
    assert spearman == pytest.approx(np.sqrt(3) / 2)
    assert kendall == pytest.approx(2 / np.sqrt(6))


@pytest.mark.parametrize("values", [[1.0], [2.0, 2.0]])
def test_undefined_rank_correlations_are_none(values: list[float]) -> None:
    assert rank_correlations(np.array(values), np.arange(len(values), dtype=float)) == (None, None)
