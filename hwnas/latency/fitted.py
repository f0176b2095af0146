"""What fitting a latency model gives, whichever model it is: predictions, and how far they are off."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from hwnas.device import Target
from hwnas.latency.base import Cost, IntArray, LatencyModel, Prediction
from hwnas.latency.evaluate import HELDOUT, LEFT_OUT, Evaluation
from hwnas.shown import Display, ShownTable, low_high
from hwnas.space import SearchSpace
from hwnas.statistics.intervals import NORMAL_95


@dataclass(frozen=True, kw_only=True, repr=False)
class FittedModel(ShownTable):
    """A latency model that was fitted to a table: ``LatencyModel``, with its errors on measured networks.

    Attributes:
        name: What models of this kind are called.
        target: What the predictions are true of.
        notes: What a user of the model should know, one sentence each.
        evaluation: Errors on measured networks, by what those were measured for: the model never saw those
            of "heldout" and "leave-one-out".
        energy: The same fitted to the table's energies, in mJ; None where it holds none.
    """

    name: ClassVar[str]

    target: Target
    notes: tuple[str, ...] = ()
    evaluation: Mapping[str, Evaluation] = field(default_factory=dict)
    energy: LatencyModel | None = None

    def predict(self, space: SearchSpace, indices: IntArray) -> Prediction:
        """Latency of architectures given as indices of shape (n, choices)."""
        raise NotImplementedError

    def costs(self, space: SearchSpace) -> Cost:
        """The additive part in ms, for differentiable search and exact decoding."""
        raise NotImplementedError

    def to_json(self) -> dict[str, Any]:
        """The recipe, without the evaluation."""
        raise NotImplementedError

    def flat(self) -> list[dict[str, Any]]:
        """One flat object a measured network, as for a data frame: what was measured and predicted."""
        return [
            {
                "split": split,
                "network": key,
                "measured_ms": measured_ms,
                "predicted_ms": predicted_ms,
                **low_high(
                    (predicted_ms - NORMAL_95 * std_ms, predicted_ms + NORMAL_95 * std_ms), "_predicted_ms"
                ),
            }
            for split, found in self.evaluation.items()
            for key, measured_ms, predicted_ms, std_ms in zip(
                found.keys, found.measured_ms, found.predicted_ms, found.std_ms, strict=True
            )
        ]

    def view(self) -> Display:
        """Its mean error on networks that it never saw, and all errors by what networks were measured for."""
        unseen = self.evaluation.get(HELDOUT) or self.evaluation.get(LEFT_OUT)
        said = "was not held against networks that it never saw"
        if unseen is not None:
            said = f"is off by {unseen.mape:.1%} in the mean on {unseen.networks} networks that it never saw"
        rows = [
            (
                split,
                str(found.networks),
                f"{found.mape:.1%}",
                f"{found.bias:+.1%}",
                f"{found.within_5:.0%}",
                "" if found.spearman is None else f"{found.spearman:.3f}",
                f"{found.coverage_90:.0%}",
            )
            for split, found in self.evaluation.items()
        ]
        columns = ("split", "networks", "mean error", "bias", "within 5 %", "Spearman", "in 90 % interval")
        return Display(f"latency model {self.name} of {self.target} {said}", columns, rows)
