"""FBNet (arXiv:1812.03443): soft mixtures of candidates, their gates trained by gradient."""

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

_WEIGHTS, _GATES = 1, 2  # purposes of randomness


@dataclass(frozen=True, kw_only=True)
class FBNet(Annealed):
    """Gumbel-softmax gates with an annealed temperature.

    The latency of the loss is the expectation under the gates' probabilities, without the
    Gumbel noise of the mixture: the same mean, and steadier.
    """

    name: ClassVar[str] = "fbnet"

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
