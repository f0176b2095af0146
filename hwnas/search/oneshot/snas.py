"""SNAS (arXiv:1812.09926): weights and gates learn by the same loss on the same images.

A mixture is drawn from the concrete distribution (Gumbel-softmax), weights and logits follow the gradient of
one training loss to which the cost is added: no split of the images, no two levels. Here weights move first
and gates after them, on the same batch under the same draw, where the paper moves both at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch

from hwnas.evaluators.supernet.network import Gate
from hwnas.search.oneshot.annealing import Annealed
from hwnas.search.oneshot.gates import gumbel_softmax
from hwnas.search.oneshot.loop import SearchState
from hwnas.train.optim import check_finite

_DRAW = 1  # purpose of randomness


@dataclass(frozen=True, kw_only=True)
class SNAS(Annealed):
    """One level: what the validation images say is left to the ranking of the finalists."""

    name: ClassVar[str] = "snas"

    temperature: float = 1.0
    temperature_floor: float = 0.1

    def weight_gates(self, state: SearchState, step: int) -> Sequence[Gate]:
        """A soft mixture, one draw for the batch."""
        return self._drawn([p.detach() for p in state.gates.logits], state, step)

    def gate_step(self, state: SearchState, step: int) -> Mapping[str, float]:
        """Adam on the loss of the mixture and the batch that the weights have just learnt from."""
        gates = self._drawn(state.gates.logits, state, step)
        cross_entropy = state.oneshot.loss("train", gates, state.oneshot.steps - 1, in_weights=False)
        loss = state.latency_loss.loss(cross_entropy, state.costs.expected(state.gates.probabilities()))
        check_finite(loss, f"in search step {step + 1}")
        state.update(torch.autograd.grad(loss, state.gates.logits))
        return {"gate_loss": float(cross_entropy.detach()), "temperature": self.temperature_at(step)}

    def _drawn(self, logits: Sequence[torch.Tensor], state: SearchState, step: int) -> list[torch.Tensor]:
        return gumbel_softmax(logits, self.temperature_at(step), state.rng(step, _DRAW))
