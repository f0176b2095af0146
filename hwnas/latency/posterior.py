"""Block costs as a Gaussian: a prior, updated by whole networks in closed form."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from hwnas.device import Target
from hwnas.errors import LatencyModelError, SchemaMismatch
from hwnas.latency.base import AdditiveCosts, FloatArray, IntArray, Prediction
from hwnas.latency.evaluate import Evaluation
from hwnas.latency.gaussian import Belief, condition, fit_variances, non_negative
from hwnas.latency.layout import Layout
from hwnas.latency.networks import Networks
from hwnas.latency.provenance import table_sha256
from hwnas.latency.table_prior import TablePrior
from hwnas.space import SearchSpace
from hwnas.table import LatencyTable


@dataclass(frozen=True)
class Posterior:
    """Costs of one space on one target, with how sure they are.

    The object is a recipe: prior, networks and variances. The costs follow from it by one
    linear solve, which is done when they are first asked for.

    Attributes:
        target: What the predictions are true of.
        prior: What was believed before whole networks were measured.
        networks: The whole networks.
        fingerprint: Of the space.
        variances: One a component of the prior, the noise's last.
        table_sha256: Hash of the table that it was fitted on.
        evaluation: Errors on measured networks, by what those were measured for.
    """

    name = "posterior"

    target: Target
    prior: TablePrior
    networks: Networks
    fingerprint: str
    variances: tuple[float, ...]
    table_sha256: str
    evaluation: Mapping[str, Evaluation] = field(default_factory=dict)

    @classmethod
    def fit(cls, table: LatencyTable, space: SearchSpace) -> Posterior:
        """Prior from the table's blocks, updated by its calibration networks of this space.

        Raises:
            MissingEntry: A workload of the space was not measured.
        """
        prior = TablePrior({w.key(): table.lookup_ms(w) for w in space.workloads()})
        networks = Networks.of_table(table, space, "calibration")
        matrix = Layout(space.sizes).matrix(networks.indices)
        variances = fit_variances(prior.build(space), matrix, networks.latency_ms)
        return cls(
            table.target,
            prior,
            networks,
            space.fingerprint,
            tuple(variances.tolist()),
            table_sha256(table),
        )

    def belief(self, space: SearchSpace) -> Belief:
        """The Gaussian over the cost vector of the space.

        Raises:
            LatencyModelError: The model was fitted for another space.
        """
        return self._solved(space)[0]

    def costs_ms(self, space: SearchSpace) -> AdditiveCosts:
        """Most probable non-negative costs."""
        return Layout(space.sizes).additive(self._solved(space)[1])

    def predict(self, space: SearchSpace, indices: IntArray) -> Prediction:
        """Sum of costs; the standard deviation holds doubt about them and the networks' noise."""
        belief, costs = self._solved(space)
        layout = Layout(space.sizes)
        mean = layout.additive(costs).of(layout.check(indices))
        variance = layout.variance(belief.covariance, indices) + (belief.noise * mean) ** 2
        return Prediction(mean, np.sqrt(variance))

    @cached_property
    def _cache(self) -> dict[str, tuple[Belief, FloatArray]]:
        return {}

    def _solved(self, space: SearchSpace) -> tuple[Belief, FloatArray]:
        if space.fingerprint != self.fingerprint or space.name != self.networks.space:
            raise LatencyModelError(
                f"a posterior must be used on the space that it was fitted for, but {self.networks.space} "
                f"({self.fingerprint}) is not {space.name} ({space.fingerprint}): run `hwnas fit` for it"
            )
        if not self._cache:
            matrix = Layout(space.sizes).matrix(self.networks.indices)
            prior = self.prior.build(space)
            belief = condition(prior, np.array(self.variances), matrix, self.networks.latency_ms)
            self._cache[self.fingerprint] = belief, non_negative(belief)
        return self._cache[self.fingerprint]

    def to_json(self) -> dict[str, Any]:
        """The recipe, without the evaluation."""
        return {
            "target": self.target.to_json(),
            "table_sha256": self.table_sha256,
            "space": self.networks.space,
            "space_fingerprint": self.fingerprint,
            "prior": self.prior.to_json(),
            "variances": list(self.variances),
            "networks": [
                {"indices": row.tolist(), "latency_ms": float(ms)}
                for row, ms in zip(self.networks.indices, self.networks.latency_ms, strict=True)
            ],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Posterior:
        """Rebuild a model; raises SchemaMismatch where a field is missing."""
        try:
            rows = [item["indices"] for item in data["networks"]]
            indices = np.array(rows, dtype=np.int64).reshape(len(rows), -1 if rows else 0)
            latencies = np.array([float(item["latency_ms"]) for item in data["networks"]])
            return cls(
                Target.from_json(data["target"]),
                TablePrior.from_json(data["prior"]),
                Networks(str(data["space"]), indices, latencies),
                str(data["space_fingerprint"]),
                tuple(float(v) for v in data["variances"]),
                str(data["table_sha256"]),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise SchemaMismatch(
                f"a posterior must have its fields, but one is odd: {error!r}", field="recipe"
            ) from error
