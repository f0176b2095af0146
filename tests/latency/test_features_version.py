"""Models that were fitted before blocks said their own operations."""

from __future__ import annotations

import numpy as np
import pytest

from hwnas import latency, spaces
from hwnas.device import Target
from hwnas.errors import LatencyModelError
from hwnas.latency.bayes.posterior import Posterior
from hwnas.latency.features import VERSION, features
from hwnas.latency.networks import Networks
from hwnas.latency.regression import Regression
from hwnas.space import SearchSpace
from hwnas.tables.table import LatencyTable, Round

TARGET = Target("host", "litert", "int8")
FBNET = spaces.load("fbnet", resolution=64)
MNASNET = spaces.load("mnasnet", resolution=64)
REFIT = r"mbstage blocks .* fit it again"
OTHER = {FBNET.name: spaces.load("fbnet", resolution=96), MNASNET.name: spaces.load("mnasnet", resolution=96)}


def table_of(space: SearchSpace) -> LatencyTable:
    rows = [Round(w.key(), "block", "s", 0, (0.01 + features(w).sum() / 1e8,)) for w in space.workloads()]
    rng = np.random.default_rng(0)
    for _ in range(6):
        arch = space.sample(rng)
        ms = sum(0.01 + features(w).sum() / 1e8 for w in arch.workloads if not w.block.is_identity)
        rows.append(Round(arch.key(), "calibration", "s", 0, (ms,)))
    return LatencyTable(TARGET, {}, rows)


def as_saved_before(model: Regression | Posterior) -> Regression | Posterior:
    """Through the JSON that the version before wrote, which knew no versions."""
    data = latency.to_json(model)
    assert (data.get("prior") or data).pop("features_version") == VERSION
    return latency.from_json(data)


@pytest.fixture(scope="module", params=[FBNET, MNASNET], ids=lambda space: space.name)
def space(request: pytest.FixtureRequest) -> SearchSpace:
    return request.param


@pytest.fixture(scope="module")
def fitted(space: SearchSpace) -> Regression:
    return Regression.fit(table_of(space))


@pytest.mark.slow
def test_a_saved_regression(space: SearchSpace, fitted: Regression) -> None:
    again, before = latency.from_json(latency.to_json(fitted)), as_saved_before(fitted)
    indices = np.random.default_rng(1).integers(0, space.sizes, (5, len(space.sizes)))
    measured = before.predict(space, indices).mean_ms  # measured blocks need no features
    np.testing.assert_array_equal(measured, fitted.predict(space, indices).mean_ms)
    unseen = OTHER[space.name]
    expected = fitted.predict(unseen, indices)
    np.testing.assert_allclose(again.predict(unseen, indices).mean_ms, expected.mean_ms, rtol=1e-9)
    if space is FBNET:
        found = before.predict(unseen, indices)
        np.testing.assert_allclose(found.mean_ms, expected.mean_ms, rtol=1e-9)
        np.testing.assert_allclose(found.std_ms, expected.std_ms, rtol=1e-9)
    with pytest.raises(LatencyModelError, match=REFIT):  # whatever it was fitted to
        before.predict(OTHER[MNASNET.name], np.zeros((1, len(MNASNET.sizes)), int))


def test_a_saved_transfer(space: SearchSpace) -> None:
    table = table_of(space)
    fitted, _ = Posterior.transfer(table, space, {})
    indices = Networks.of_table(table, space, "calibration").indices
    expected = fitted.predict(space, indices)
    again, before = latency.from_json(latency.to_json(fitted)), as_saved_before(fitted)
    np.testing.assert_allclose(again.predict(space, indices).mean_ms, expected.mean_ms, rtol=1e-9)
    if space is FBNET:
        np.testing.assert_allclose(before.predict(space, indices).mean_ms, expected.mean_ms, rtol=1e-9)
    else:
        with pytest.raises(LatencyModelError, match=REFIT):
            before.predict(space, indices)


def test_a_posterior_of_measured_blocks_knows_no_features() -> None:
    """Its estimates of blocks that were not measured are part of the file."""
    fitted = Posterior.fit(table_of(MNASNET), MNASNET)
    assert "features_version" not in str(latency.to_json(fitted))
