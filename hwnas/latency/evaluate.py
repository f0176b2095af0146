"""How far predictions are from measurements, on networks that the model never saw."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from hwnas.errors import LatencyModelError, SchemaMismatch
from hwnas.latency.base import FloatArray, LatencyModel, Prediction
from hwnas.latency.networks import Networks
from hwnas.space import SearchSpace
from hwnas.statistics.intervals import NORMAL_90, SIGNIFICANT, chance_of_at_most, right_of

HELDOUT, LEFT_OUT = "heldout", "leave-one-out"
"""Splits whose networks the model never saw."""

LARGE = 0.10
"""Mean relative error on networks never seen that is too large to choose networks by."""

_INTERVAL, _FAR = 0.90, 0.80  # what intervals are to hold, and what is far from that


@dataclass(frozen=True)
class Evaluation:
    """Errors of a model on measured networks. Shares and relative errors are in [0, 1].

    Attributes:
        networks: Number of networks.
        mape: Mean absolute relative error.
        bias: Mean relative error; positive where the model promises too much latency.
        rmse_ms: Root of the mean squared error.
        within_1: Share of networks predicted within ±1 %.
        within_5: Share within ±5 %.
        within_10: Share within ±10 %.
        spearman: Rank correlation; None where it is not defined.
        kendall: Rank correlation tau-b; None where it is not defined.
        coverage_90: Share of networks inside their 90 % interval.
        keys: The networks, one key each.
        measured_ms: One a network.
        predicted_ms: One a network.
        std_ms: Predictive standard deviation, one a network.
    """

    networks: int
    mape: float
    bias: float
    rmse_ms: float
    within_1: float
    within_5: float
    within_10: float
    spearman: float | None
    kendall: float | None
    coverage_90: float
    keys: tuple[str, ...]
    measured_ms: tuple[float, ...]
    predicted_ms: tuple[float, ...]
    std_ms: tuple[float, ...]

    def to_json(self) -> dict[str, Any]:
        """A JSON object that ``from_json`` turns back."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Evaluation:
        """Rebuild an evaluation; raises SchemaMismatch where fields differ."""
        odd = sorted(set(cls.__dataclass_fields__) ^ set(data))
        if odd:
            raise SchemaMismatch(f"an evaluation must have known fields, but differs in {odd}", field=odd[0])
        lists = {k: tuple(v) for k, v in data.items() if isinstance(v, list | tuple)}
        return cls(**{**data, **lists})

    @property
    def summary(self) -> dict[str, float | None]:
        """The figures without the single networks."""
        return {k: v for k, v in asdict(self).items() if not isinstance(v, tuple)}


def evaluate(model: LatencyModel, space: SearchSpace, networks: Networks) -> Evaluation:
    """Compare a model with measured networks.

    Raises:
        LatencyModelError: There is no network to compare with.
    """
    if not len(networks):
        raise LatencyModelError(
            "an evaluation must have at least one network, but got none: "
            "measure held-out networks with `hwnas profile`"
        )
    return score(model.predict(space, networks.indices), networks.latency_ms, networks.keys)


def score(prediction: Prediction, measured_ms: FloatArray, keys: tuple[str, ...]) -> Evaluation:
    """Compare predictions with measurements, both of shape (n,), n at least 1."""
    predicted = prediction.mean_ms
    relative = predicted / measured_ms - 1.0
    spearman, kendall = rank_correlations(predicted, measured_ms)
    return Evaluation(
        networks=len(measured_ms),
        mape=float(np.abs(relative).mean()),
        bias=float(relative.mean()),
        rmse_ms=float(np.sqrt(np.mean((predicted - measured_ms) ** 2))),
        within_1=float(np.mean(np.abs(relative) <= 0.01)),
        within_5=float(np.mean(np.abs(relative) <= 0.05)),
        within_10=float(np.mean(np.abs(relative) <= 0.10)),
        spearman=spearman,
        kendall=kendall,
        coverage_90=float(np.mean(np.abs(predicted - measured_ms) <= NORMAL_90 * prediction.std_ms)),
        keys=keys,
        measured_ms=tuple(measured_ms.tolist()),
        predicted_ms=tuple(predicted.tolist()),
        std_ms=tuple(prediction.std_ms.tolist()),
    )


def doubt(evaluation: Mapping[str, Evaluation]) -> str:
    """Why a model cannot be believed, as one sentence with what to do; empty where nothing speaks against it.

    Its mean error on networks that it never saw is over ``LARGE``; or its 90 % intervals hold far
    fewer of them, by an exact binomial test.

    Args:
        evaluation: By split. Errors on networks that the model was fitted to say nothing.
    """
    found = evaluation.get(HELDOUT) or evaluation.get(LEFT_OUT)
    if found is None:
        return ""
    count, held = found.networks, right_of(found.coverage_90, found.networks)
    reasons = []
    if not found.mape <= LARGE:
        reasons.append(f"it is wrong by {found.mape:.0%} in the mean")
    if held < _FAR * count and chance_of_at_most(held, count, _INTERVAL) < SIGNIFICANT:
        reasons.append(f"its 90 % intervals hold {held} of them ({found.coverage_90:.0%})")
    if not reasons:
        return ""
    return (
        f"do not trust this latency model: of {count} networks that it never saw, {' and '.join(reasons)}: "
        "profile more whole networks (--calibration-networks) in more rounds and fit again, or another "
        "--model; a search on it must measure its finalists"
    )


def rank_correlations(first: FloatArray, second: FloatArray) -> tuple[float | None, float | None]:
    """Spearman's rho and Kendall's tau-b; None for fewer than two networks or all-equal values."""
    if len(first) < 2 or np.ptp(first) == 0 or np.ptp(second) == 0:
        return None, None
    from scipy.stats import kendalltau, rankdata

    spearman = float(np.corrcoef(rankdata(first), rankdata(second))[0, 1])
    kendall = float(kendalltau(first, second).statistic)
    return (spearman if math.isfinite(spearman) else None), (kendall if math.isfinite(kendall) else None)
