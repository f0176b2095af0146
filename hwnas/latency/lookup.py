"""The plain table sum: every block as it was measured alone. Strict, and a baseline."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from hwnas.device import Target
from hwnas.errors import SchemaMismatch, in_words
from hwnas.latency.base import Cost, IntArray, Prediction
from hwnas.latency.bayes.entries import cost_vector
from hwnas.latency.fitted import FittedModel
from hwnas.latency.layout import Layout
from hwnas.latency.overpaid import overpaid
from hwnas.latency.provenance import table_sha256
from hwnas.space import SearchSpace
from hwnas.tables.table import LatencyTable, Round

MAD_TO_STD = 1.4826
"""Standard deviation over median absolute deviation of a normal distribution."""


@dataclass(frozen=True, repr=False)
class Lookup(FittedModel):
    """Sums isolated measurements; never interpolates.

    Attributes:
        target: What the numbers are true of.
        blocks_ms: Latency and its standard error, by workload key.
        table_sha256: Hash of the table that they were read from.
    """

    name = "lookup"

    target: Target
    blocks_ms: Mapping[str, tuple[float, float]]
    table_sha256: str

    @classmethod
    def fit(cls, table: LatencyTable, space: SearchSpace) -> Lookup:
        """Read the blocks of a table.

        Raises:
            MissingEntry: A workload of the space was not measured.
        """
        for workload in space.workloads():
            table.lookup_ms(workload, space.typed_name)
        blocks = {
            key: (m.latency_ms, MAD_TO_STD * m.mad_ms / len(m.rounds) ** 0.5)
            for key, m in table.of_kind("block").items()
        }
        return cls(table.target, blocks, table_sha256(table))

    @cached_property
    def _table(self) -> LatencyTable:
        rounds = (Round(key, "block", "fit", 0, (ms,)) for key, (ms, _) in self.blocks_ms.items())
        return LatencyTable(self.target, {}, rounds)

    def costs(self, space: SearchSpace) -> Cost:
        """Isolated latency of every candidate; raises MissingEntry where one was not measured."""
        return Layout(space.sizes).additive(cost_vector(space, self._table.lookup_ms))

    def predict(self, space: SearchSpace, indices: IntArray) -> Prediction:
        """Table sums; the standard deviation knows of the blocks' measuring errors only."""
        layout = Layout(space.sizes)
        variance = cost_vector(space, lambda w: self.blocks_ms.get(w.key(), (0.0, 0.0))[1] ** 2)
        sums_ms = self.costs(space).of(layout.check(indices))
        mean = sums_ms - overpaid(space, indices, self._table.lookup_ms)
        return Prediction(mean, np.sqrt(layout.matrix(indices) @ variance))

    def to_json(self) -> dict[str, Any]:
        """The recipe, without the evaluation."""
        return {
            "target": self.target.to_json(),
            "table_sha256": self.table_sha256,
            "blocks_ms": {key: list(pair) for key, pair in self.blocks_ms.items()},
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Lookup:
        """Rebuild a model; raises SchemaMismatch where a field is missing."""
        try:
            blocks = {str(k): (float(ms), float(std)) for k, (ms, std) in data["blocks_ms"].items()}
            return cls(Target.from_json(data["target"]), blocks, str(data["table_sha256"]))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise SchemaMismatch(
                f"a lookup model must have its fields, but one is odd: {in_words(error)}", field="recipe"
            ) from error
