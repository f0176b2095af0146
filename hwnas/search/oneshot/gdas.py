"""GDAS (arXiv:1910.04465): one drawn path runs, and its gate has the gradient of the soft draw.

Costs as much as training one network. The gate of the candidate that runs is 1 in the forward pass and the
Gumbel-softmax backwards (straight through); candidates that do not run have no gradient of their own, only
that of the softmax over all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch

from hwnas.evaluators.supernet.network import Branch, Gate
from hwnas.search.oneshot.annealing import Annealed
from hwnas.search.oneshot.gates import gumbel_softmax
from hwnas.search.oneshot.loop import SearchState
from hwnas.train.optim import check_finite

_WEIGHTS, _GATES = 1, 2  # purposes of randomness


@dataclass(frozen=True, kw_only=True)
class GDAS(Annealed):
    """Hard Gumbel draws; weights on training images, gates on validation images, in turns.

    Attributes:
        temperature: As of ``Annealed``; the paper's, 10 to 0.1, falling linearly over all steps.
        temperature_floor: The same.
    """

    name: ClassVar[str] = "gdas"
    gate_betas: ClassVar[tuple[float, float]] = (0.5, 0.999)

    temperature: float = 10.0
    temperature_floor: float = 0.1

    def temperature_at(self, step: int) -> float:
        """Falls linearly from the first step to the last."""
        progress = step / max(1, self.steps - 1)
        return self.temperature + (self.temperature_floor - self.temperature) * min(1.0, progress)

    def weight_gates(self, state: SearchState, step: int) -> Sequence[Gate]:
        """One path: the candidates of the largest perturbed logits."""
        logits = [p.detach() for p in state.gates.logits]
        return [int(soft.argmax()) for soft in gumbel_softmax(logits, 1.0, state.rng(step, _WEIGHTS))]

    def gate_step(self, state: SearchState, step: int) -> Mapping[str, float]:
        """Adam on the loss of one drawn path, straight through its gates."""
        temperature = self.temperature_at(step)
        soft = gumbel_softmax(state.gates.logits, temperature, state.rng(step, _GATES))
        gates = [straight_through(each) for each in soft]
        cross_entropy = state.oneshot.loss("val", gates, step)
        loss = state.latency_loss.loss(cross_entropy, state.costs.expected(state.gates.probabilities()))
        check_finite(loss, f"in search step {step + 1}")
        state.update(torch.autograd.grad(loss, state.gates.logits))
        return {"gate_loss": float(cross_entropy.detach()), "temperature": temperature}


def straight_through(soft: torch.Tensor) -> tuple[Branch, ...]:
    """The largest of soft gates alone, 1 forwards and soft backwards.

    Args:
        soft: Shape (candidates,), differentiable in the logits.
    """
    index = int(soft.detach().argmax())
    return (Branch(index, 1 + (soft[index] - soft[index].detach())),)
