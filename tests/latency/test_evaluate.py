"""Error figures against known answers."""

from __future__ import annotations

import numpy as np
import pytest

from hwnas.latency.base import Prediction
from hwnas.latency.evaluate import Evaluation, doubt, rank_correlations, score


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


def judged(count: int, held: int, mape: float = 0.01) -> Evaluation:
    """An evaluation in which intervals hold so many of the networks."""
    measured = np.full(count, 1.0)
    predicted = measured * (1 + mape)
    std = np.where(np.arange(count) < held, mape, mape / 1e3)
    return score(Prediction(predicted, std), measured, tuple(map(str, range(count))))


@pytest.mark.parametrize(
    ("count", "held", "mape", "words"),
    [
        (20, 9, 0.01, "of 20 networks that it never saw, its 90 % intervals hold 9 of them (45%)"),
        (20, 20, 0.24, "of 20 networks that it never saw, it is wrong by 24% in the mean"),
        (20, 0, 0.24, "it is wrong by 24% in the mean and its 90 % intervals hold 0 of them (0%)"),
        (20, 16, 0.01, ""),  # 16 of 20 is no proof of less than 90 %
        (3, 2, 0.01, ""),
        (2, 0, 0.01, "hold 0 of them"),  # a chance of one in a hundred
        (400, 345, 0.01, ""),  # 86 % is surely not 90 %, but not far from it either
    ],
)
def test_a_model_that_fails_on_networks_never_seen_is_doubted(count, held, mape, words) -> None:
    found = doubt({"heldout": judged(count, held, mape)})
    assert words in found
    assert bool(found) == bool(words)
    if words:
        assert found.startswith("do not trust this latency model")
        assert "--calibration-networks" in found


def test_errors_on_networks_that_were_fitted_raise_no_doubt() -> None:
    bad, good = judged(20, 0, 0.5), judged(20, 20)
    assert doubt({"calibration": bad}) == doubt({}) == ""
    assert doubt({"heldout": good, "leave-one-out": bad}) == ""
    assert doubt({"leave-one-out": bad}) != ""
