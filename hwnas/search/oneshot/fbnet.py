"""FBNet (arXiv:1812.03443): soft mixtures of candidates, their gates trained by gradient."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf
from typing import ClassVar

import torch

from hwnas.errors import SpaceError
from hwnas.evaluators.supernet.network import Gate
from hwnas.search.oneshot.gates import gumbel_softmax
from hwnas.search.oneshot.loop import OneShotStrategy, SearchState
from hwnas.train.optim import check_finite

_WEIGHTS, _GATES = 1, 2  # purposes of randomness


@dataclass(frozen=True, kw_only=True)
class FBNet(OneShotStrategy):
    """Gumbel-softmax gates with an annealed temperature.

    The latency of the loss is the expectation under the gates' probabilities, without the
    Gumbel noise of the mixture: the same mean, and steadier.

    Attributes:
        temperature: Of the Gumbel-softmax in the first step.
        temperature_floor: Reached after four fifths of the steps, then kept: lower ones end
            in NaN and collapse.
    """

    name: ClassVar[str] = "fbnet"

    temperature: float = 5.0
    temperature_floor: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0.1 <= self.temperature_floor <= self.temperature < inf:
            raise SpaceError(
                "temperature_floor must be in [0.1, temperature], but got "
                f"{self.temperature_floor} for a temperature of {self.temperature}"
            )

    def temperature_at(self, step: int) -> float:
        """Falls exponentially, never below the floor."""
        progress = min(1.0, step / max(1, 0.8 * self.steps))
        fallen = self.temperature * float((self.temperature_floor / self.temperature) ** progress)
        return max(self.temperature_floor, fallen)

    def weight_gates(self, state: SearchState, step: int) -> Sequence[Gate]:
        """A soft mixture, one Gumbel draw for the batch."""
        logits = [p.detach() for p in state.gates.logits]
        return gumbel_softmax(logits, self.temperature_at(step), state.rng(step, _WEIGHTS))

    def gate_step(self, state: SearchState, step: int) -> Mapping[str, float]:
        """Adam on the loss of a soft mixture; the weights get no gradient at all."""
        temperature = self.temperature_at(step)
        gates = gumbel_softmax(state.gates.logits, temperature, state.rng(step, _GATES))
        cross_entropy = state.oneshot.loss("val", gates, step)
        expected = state.costs.expected(state.gates.probabilities())
        loss = state.latency_loss.loss(cross_entropy, expected)
        check_finite(loss, f"in search step {step + 1}")
        state.update(torch.autograd.grad(loss, state.gates.logits))
        return {"gate_loss": float(cross_entropy.detach()), "temperature": temperature}
