"""Blocks that were not measured: regression on what blocks do.

The base is a sum of physical work with non-negative factors, fitted to relative errors. Other
families correct its logarithm, smoothly or by trees. Which one is used is decided by
cross-validation over input shapes: a shape that is judged was never trained on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from hwnas.device import Target
from hwnas.errors import LatencyModelError, SchemaMismatch, in_words
from hwnas.latency.base import Cost, FloatArray, IntArray, Prediction
from hwnas.latency.bayes.entries import cost_vector
from hwnas.latency.features import VERSION, features, require_same
from hwnas.latency.fitted import FittedModel
from hwnas.latency.layout import Layout
from hwnas.latency.overpaid import overpaid
from hwnas.latency.provenance import table_sha256
from hwnas.latency.workloads import parse_workload
from hwnas.quiet import ALONE
from hwnas.space import SearchSpace, Workload
from hwnas.tables.table import LatencyTable

Predict = Callable[[FloatArray], FloatArray]
"""Features of shape (n, features) to milliseconds of shape (n,)."""

FOLDS = 5
"""Folds of the cross-validation, fewer where there are fewer input shapes."""

LEAST_ROWS = 12
"""Blocks that a regression is fitted to at least: one a feature."""


@dataclass(frozen=True, repr=False)
class Regression(FittedModel):
    """Measured blocks as they are, other blocks by regression.

    Attributes:
        target: What the numbers are true of.
        blocks_ms: Measured latency by workload key.
        family: The chosen family.
        errors: Mean absolute relative error of every family in cross-validation.
        table_sha256: Hash of the table that was trained on.
        features_version: Of the features that it was fitted to.
    """

    name = "regression"

    target: Target
    blocks_ms: Mapping[str, float]
    family: str
    errors: Mapping[str, float]
    table_sha256: str
    features_version: int = VERSION

    @classmethod
    def fit(cls, table: LatencyTable, space: SearchSpace | None = None) -> Regression:
        """Choose a family on all blocks of a table, whatever space they are of.

        Raises:
            LatencyModelError: The table holds too few blocks, or blocks of one input shape only.
        """
        blocks = {key: m.latency_ms for key, m in table.of_kind("block").items()}
        errors = cross_validate(blocks)
        family = min(errors, key=lambda name: errors[name])
        return cls(table.target, blocks, family, errors, table_sha256(table))

    def __post_init__(self) -> None:
        shown = ", ".join(f"{name} {error:.1%}" for name, error in self.errors.items())
        note = (
            f"blocks that were not measured are estimated by {self.family} (error on other shapes: {shown})"
        )
        object.__setattr__(self, "notes", (note,))

    @property
    def relative_error(self) -> float:
        """Expected absolute relative error of an estimated block."""
        return self.errors[self.family]

    @cached_property
    def _predict(self) -> Predict:
        measured = [parse_workload(key) for key in self.blocks_ms]
        require_same(self.features_version, measured)
        rows = np.array([features(w) for w in measured])
        return FAMILIES[self.family](rows, np.array(list(self.blocks_ms.values())))

    def estimate_ms(self, workload: Workload) -> float:
        """Latency by regression, even of a block that was measured; 0 for an identity.

        Raises:
            LatencyModelError: The model was fitted when features meant something else.
        """
        if workload.block.is_identity:
            return 0.0
        require_same(self.features_version, [workload])
        return float(self._predict(features(workload)[None])[0])

    def block_ms(self, workload: Workload) -> float:
        """Latency as measured, else by regression."""
        measured = self.blocks_ms.get(workload.key())
        return self.estimate_ms(workload) if measured is None else measured

    def costs(self, space: SearchSpace) -> Cost:
        """Latency of every candidate alone."""
        return Layout(space.sizes).additive(cost_vector(space, self.block_ms))

    def predict(self, space: SearchSpace, indices: IntArray) -> Prediction:
        """Sums of blocks; the standard deviation holds the errors of estimated blocks only."""
        layout = Layout(space.sizes)

        def doubt(workload: Workload) -> float:
            known = workload.key() in self.blocks_ms
            return 0.0 if known else (self.relative_error * self.estimate_ms(workload)) ** 2

        variance = layout.matrix(indices) @ cost_vector(space, doubt)
        mean = self.costs(space).of(layout.check(indices)) - overpaid(space, indices, self.block_ms)
        return Prediction(mean, np.sqrt(variance))

    def to_json(self) -> dict[str, Any]:
        """The recipe, without the evaluation."""
        return {
            "target": self.target.to_json(),
            "features_version": self.features_version,
            "table_sha256": self.table_sha256,
            "family": self.family,
            "errors": dict(self.errors),
            "blocks_ms": dict(self.blocks_ms),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Regression:
        """Rebuild a model; raises SchemaMismatch where a field is missing."""
        try:
            if data["family"] not in FAMILIES:
                raise ValueError(f"the family {data['family']!r}")
            return cls(
                Target.from_json(data["target"]),
                {str(key): float(ms) for key, ms in data["blocks_ms"].items()},
                str(data["family"]),
                {str(name): float(error) for name, error in data["errors"].items()},
                str(data["table_sha256"]),
                features_version=int(data.get("features_version", 1)),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise SchemaMismatch(
                f"a regression must have its fields, but one is odd: {in_words(error)}", field="recipe"
            ) from error


def cross_validate(blocks_ms: Mapping[str, float]) -> dict[str, float]:
    """Mean absolute relative error of every family on input shapes that it was not trained on.

    Raises:
        LatencyModelError: There are too few blocks, or all have the same input shape.
    """
    from sklearn.model_selection import GroupKFold

    workloads = [parse_workload(key) for key in blocks_ms]
    shapes = [w.read for w in workloads]
    distinct = len(set(shapes))
    if len(workloads) < LEAST_ROWS or distinct < 2:
        raise LatencyModelError(
            f"a regression must have at least {LEAST_ROWS} blocks of two input shapes, but got "
            f"{len(workloads)} of {distinct}: profile a space"
        )
    rows = np.array([features(w) for w in workloads])
    latency_ms = np.array(list(blocks_ms.values()))
    errors = {}
    for name, fit in FAMILIES.items():
        found = np.empty(len(rows))
        for train, test in GroupKFold(min(FOLDS, distinct)).split(rows, groups=shapes):
            found[test] = fit(rows[train], latency_ms[train])(rows[test])
        errors[name] = float(np.mean(np.abs(found / latency_ms - 1)))
    return errors


def _work(rows: FloatArray, latency_ms: FloatArray) -> Predict:
    """A constant and physical work with non-negative factors."""
    from sklearn.linear_model import LinearRegression

    scale = np.maximum(np.abs(rows).max(axis=0), 1.0)

    def scaled(raw: FloatArray) -> FloatArray:
        return np.concatenate([raw / scale, np.ones((len(raw), 1))], axis=1)

    model = LinearRegression(positive=True, fit_intercept=False)
    model.fit(scaled(rows) / latency_ms[:, None], np.ones(len(rows)))
    floor = float(latency_ms.min()) / 10
    return lambda raw: np.maximum(np.asarray(model.predict(scaled(raw))), floor)


def _corrected(rows: FloatArray, latency_ms: FloatArray, estimator: Any) -> Predict:
    """Physical work, and an estimator of the logarithm of what it is off by."""
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    base = _work(rows, latency_ms)
    model = make_pipeline(StandardScaler(), estimator)
    model.fit(np.log1p(rows), np.log(latency_ms / base(rows)))
    return lambda raw: np.asarray(base(raw) * np.exp(model.predict(np.log1p(raw))))


def _smooth(rows: FloatArray, latency_ms: FloatArray) -> Predict:
    """Corrected by a Gaussian process."""
    import warnings

    from sklearn.exceptions import ConvergenceWarning
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel

    kernel = ConstantKernel(0.1) * RBF(2.0) + WhiteKernel(0.01)
    with ALONE, warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # a parameter at its bound is an answer
        return _corrected(rows, latency_ms, GaussianProcessRegressor(kernel, random_state=0))


def _trees(rows: FloatArray, latency_ms: FloatArray) -> Predict:
    """Corrected by gradient boosting."""
    from sklearn.ensemble import GradientBoostingRegressor

    booster = GradientBoostingRegressor(
        n_estimators=200, max_depth=3, learning_rate=0.05, subsample=0.7, random_state=0
    )
    return _corrected(rows, latency_ms, booster)


FAMILIES: dict[str, Callable[[FloatArray, FloatArray], Predict]] = {
    "work": _work,
    "work+smooth": _smooth,
    "work+trees": _trees,
}
