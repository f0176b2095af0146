"""Costs as a Gaussian: a prior, updated by whole networks in closed form."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from hwnas.device import Target
from hwnas.errors import LatencyModelError, SchemaMismatch, in_words
from hwnas.latency.base import Cost, IntArray, Prediction
from hwnas.latency.bayes.device_prior import DevicePrior, Known
from hwnas.latency.bayes.entries import Entries
from hwnas.latency.bayes.evidence import Variances, infer_variances, posterior_of
from hwnas.latency.bayes.gaussian import Equations, Gaussian, non_negative
from hwnas.latency.bayes.quadratic import Variance
from hwnas.latency.bayes.table_prior import TablePrior
from hwnas.latency.bayes.transfer import transfer
from hwnas.latency.fitted import FittedModel
from hwnas.latency.layout import Layout
from hwnas.latency.networks import Networks, groups
from hwnas.latency.provenance import table_sha256
from hwnas.latency.regression import Regression
from hwnas.space import SearchSpace
from hwnas.tables import places
from hwnas.tables.table import LatencyTable

ABSOLUTE_TO_STD = 1.2533
"""Standard deviation over mean absolute deviation of a normal distribution."""

PRIORS: dict[str, type[TablePrior] | type[DevicePrior]] = {p.kind: p for p in (TablePrior, DevicePrior)}


@dataclass(frozen=True)
class _Solved:
    """What a recipe comes to."""

    posterior: Gaussian
    costs: Cost
    variance: Variance


@dataclass(frozen=True, repr=False)
class Posterior(FittedModel):
    """Costs of one space on one target, with how sure they are.

    The object is a recipe: prior, networks and variances. The costs follow from it by linear
    solves, which are done when they are first asked for.

    Attributes:
        target: What the predictions are true of.
        prior: What was believed before whole networks were measured.
        networks: The whole networks.
        fingerprint: Of the space.
        variances: Of the prior's components.
        origin: Where the numbers come from: hash of the table or file, source, licence.
    """

    name = "posterior"

    target: Target
    prior: TablePrior | DevicePrior
    networks: Networks
    fingerprint: str
    variances: Variances
    origin: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def fit(cls, table: LatencyTable, space: SearchSpace) -> Posterior:
        """Prior from the table's blocks, updated by its calibration networks of this space.

        Blocks that were not measured are estimated by regression on those that were.

        Raises:
            LatencyModelError: Too few blocks were measured for that.
        """
        keys = {w.key(): w for w in space.workloads()}
        measured = {key: m.latency_ms for key, m in table.of_kind("block").items() if key in keys}
        estimated: dict[str, float] = {}
        notes: tuple[str, ...] = ()
        if len(measured) < len(keys):
            regression = _regression(table, space, len(measured), len(keys))
            missing = {key: w for key, w in keys.items() if key not in measured}
            measured |= {key: regression.estimate_ms(w) for key, w in missing.items()}
            estimated = dict.fromkeys(missing, regression.relative_error * ABSOLUTE_TO_STD)
            notes = (f"{len(missing)} of {len(keys)} blocks were not measured", *regression.notes)
        networks = Networks.of_table(table, space, "calibration")
        prior = TablePrior(measured, estimated)
        return cls.learn(table.target, space, prior, networks, {"table_sha256": table_sha256(table)}, notes)

    @classmethod
    def transfer(
        cls, table: LatencyTable, space: SearchSpace, known: Known
    ) -> tuple[Posterior, Prediction | None]:
        """Prior from physics and known devices, updated by the table's calibration networks.

        Args:
            table: Needs no blocks.
            space: What the model is for.
            known: Cost vectors of known devices of the same space, by name.

        Returns:
            The model, and what it predicts for each calibration network from the others, in ms; None
            where that was not found out.

        Raises:
            LatencyModelError: The table holds no calibration network of the space.
        """
        networks = Networks.of_table(table, space, "calibration")
        if not len(networks):
            command = places.profile_command(table.target, space.typed_name, few=10)
            raise LatencyModelError(
                f"whole networks of {space.name} must have been measured on {table.target}, but none was: "
                f"{command} measures some"
            )
        same = groups(space, networks.indices)
        entries = Entries.of_space(space)
        found = transfer(entries, networks.indices, networks.latency_ms, known, groups=same, sums_only=True)
        origin = {"table_sha256": table_sha256(table)}
        model = cls(
            table.target, found.prior, networks, space.fingerprint, found.variances, origin, notes=found.notes
        )
        return model, found.left_out

    @classmethod
    def learn(
        cls,
        target: Target,
        space: SearchSpace,
        prior: TablePrior | DevicePrior,
        networks: Networks,
        origin: Mapping[str, str],
        notes: tuple[str, ...] = (),
    ) -> Posterior:
        """Learn the prior's variances from networks of the space."""
        built = prior.build(space)
        matrix = Layout(space.sizes).matrix(networks.indices)
        sums_ms = networks.latency_ms + prior.overpaid(space, networks.indices)
        variances = infer_variances(built, Equations.of(built, matrix, sums_ms))
        return cls(target, prior, networks, space.fingerprint, variances, origin, notes=notes)

    def gaussian(self, space: SearchSpace) -> Gaussian:
        """The Gaussian over the cost vector of the space.

        Raises:
            LatencyModelError: The model was fitted for another space.
        """
        return self._solved(space).posterior

    def costs(self, space: SearchSpace) -> Cost:
        """Most probable non-negative costs."""
        return self._solved(space).costs

    def predict(self, space: SearchSpace, indices: IntArray) -> Prediction:
        """Sum of the costs of what runs; the deviation holds doubt about them and the networks' noise."""
        solved = self._solved(space)
        sums_ms = solved.costs.of(Layout(space.sizes).check(indices))
        mean = sums_ms - np.minimum(self.prior.overpaid(space, indices), sums_ms / 2)
        return Prediction(mean, np.sqrt(solved.variance(indices) + (solved.posterior.noise * mean) ** 2))

    @cached_property
    def _cache(self) -> dict[str, _Solved]:
        return {}

    def _solved(self, space: SearchSpace) -> _Solved:
        if space.fingerprint != self.fingerprint or space.name != self.networks.space:
            raise LatencyModelError(
                f"a posterior must be used on the space that it was fitted for, but {self.networks.space} "
                f"({self.fingerprint}) is not {space.name} ({space.fingerprint}): "
                f"{places.fit_command(space.name, self.target)} fits one for it"
            )
        if not self._cache:
            layout, prior = Layout(space.sizes), self.prior.build(space)
            matrix = layout.matrix(self.networks.indices)
            sums_ms = self.networks.latency_ms + self.prior.overpaid(space, self.networks.indices)
            posterior = posterior_of(prior, self.variances, Equations.of(prior, matrix, sums_ms))
            costs = layout.additive(non_negative(posterior))
            self._cache[self.fingerprint] = _Solved(posterior, costs, Variance(layout, posterior.covariance))
        return self._cache[self.fingerprint]

    def to_json(self) -> dict[str, Any]:
        """The recipe, without the evaluation."""
        return {
            "target": self.target.to_json(),
            "origin": dict(self.origin),
            "notes": list(self.notes),
            "space": self.networks.space,
            "space_fingerprint": self.fingerprint,
            "prior": self.prior.to_json(),
            "variances": self.variances.points.tolist(),
            "variance_weights": self.variances.weights.tolist(),
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
            points = np.array(data["variances"], dtype=np.float64)
            weights = np.array(data["variance_weights"], dtype=np.float64)
            if points.ndim != 2 or weights.shape != points.shape[:1]:
                raise ValueError(f"variances of the shapes {points.shape} and {weights.shape}")
            return cls(
                Target.from_json(data["target"]),
                PRIORS[data["prior"]["kind"]].from_json(data["prior"]),
                Networks(str(data["space"]), indices, latencies),
                str(data["space_fingerprint"]),
                Variances(points, weights),
                dict(data["origin"]),
                notes=tuple(str(note) for note in data["notes"]),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise SchemaMismatch(
                f"a posterior must have its fields, but one is odd: {in_words(error)}", field="recipe"
            ) from error


def _regression(table: LatencyTable, space: SearchSpace, measured: int, blocks: int) -> Regression:
    """What estimates the blocks of a space that were not measured, from all that were."""
    try:
        return Regression.fit(table)
    except LatencyModelError as error:
        command = places.profile_command(table.target, space.typed_name)
        raise LatencyModelError(
            f"most blocks of {space.name} must have been measured on {table.target}, but {measured} of "
            f"{blocks} were: {command} measures them; --model transfer goes by whole networks alone"
        ) from error
