"""DARTS (arXiv:1806.09055): a soft mixture of all candidates, its gates trained on validation images.

The loss on validation is a function of the gates through the weights as well, which would be others under
other gates. To first order that is left out; to second order (equation 7) weights are moved by one step
before the loss is taken, and what that step owes to the gates is a product with second derivatives. The paper
takes a difference of two gradients for it (equation 8); here it is the product itself, at the same cost:
across the kinks of ReLU the difference is off by more than it is worth, whatever the distance.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import ClassVar

import torch

from hwnas.errors import SpaceError
from hwnas.evaluators.supernet.network import Gate
from hwnas.search.oneshot.loop import OneShotStrategy, SearchState
from hwnas.train.optim import check_finite

Tensors = Sequence[torch.Tensor]


@dataclass(frozen=True, kw_only=True)
class DARTS(OneShotStrategy):
    """Gates are the softmax of their logits, without noise.

    The weights of the step ahead follow plain gradient descent at the learning rate of the moment.

    Attributes:
        order: 1 takes the weights as they are, 2 looks one weight step ahead, at about three times the cost
            of a gate step.
    """

    name: ClassVar[str] = "darts"
    gate_betas: ClassVar[tuple[float, float]] = (0.5, 0.999)

    order: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.order not in (1, 2):
            raise SpaceError(f"order must be 1 or 2, but got {self.order}")

    def weight_gates(self, state: SearchState, step: int) -> Sequence[Gate]:
        """The mixture by the probabilities."""
        return [p.detach() for p in state.gates.probabilities()]

    def gate_step(self, state: SearchState, step: int) -> Mapping[str, float]:
        """Adam on the loss of the mixture on validation images."""
        if self.order == 1:
            value, gradients, _ = _validation(state, step, ())
        else:
            value, gradients = _looking_ahead(state, step)
        state.update(gradients)
        return {"gate_loss": value}


def _validation(
    state: SearchState, step: int, weights: Sequence[torch.nn.Parameter]
) -> tuple[float, Tensors, Tensors]:
    """Cross-entropy on validation, and the loss's gradients in the logits and in weights."""
    gates = state.gates.probabilities()
    cross_entropy = state.oneshot.loss("val", gates, step, in_weights=bool(weights), exact=bool(weights))
    loss = state.latency_loss.loss(cross_entropy, state.costs.expected(gates))
    check_finite(loss, f"in search step {step + 1}")
    found = torch.autograd.grad(
        loss, [*state.gates.logits, *weights], materialize_grads=True, allow_unused=True
    )
    count = len(state.gates.logits)
    return float(cross_entropy.detach()), found[:count], found[count:]


def _looking_ahead(state: SearchState, step: int) -> tuple[float, Tensors]:
    """The gradient after a weight step, less what the step itself owes to the gates."""
    weights, rate = state.oneshot.weights, state.oneshot.rate
    with _moved(weights, _training(state), -rate):
        value, gradients, ahead = _validation(state, step, weights)
    pairs = zip(_training(state, twice=True), ahead, strict=True)
    along = torch.stack([(own * other).sum() for own, other in pairs]).sum()
    owed = torch.autograd.grad(along, state.gates.logits, materialize_grads=True, allow_unused=True)
    return value, [found - rate * less for found, less in zip(gradients, owed, strict=True)]


def _training(state: SearchState, *, twice: bool = False) -> Tensors:
    """The gradient in the weights on the next training batch; ``twice``: differentiable itself."""
    loss = state.oneshot.loss("train", state.gates.probabilities(), state.oneshot.steps, exact=True)
    return torch.autograd.grad(
        loss, state.oneshot.weights, create_graph=twice, materialize_grads=True, allow_unused=True
    )


@contextmanager
def _moved(weights: Sequence[torch.nn.Parameter], directions: Tensors, by: float) -> Iterator[None]:
    """Weights a step along a direction; afterwards exactly as before."""
    before = [weight.detach().clone() for weight in weights]
    with torch.no_grad():
        for weight, direction in zip(weights, directions, strict=True):
            weight.add_(direction, alpha=by)
    try:
        yield
    finally:
        with torch.no_grad():
            for weight, kept in zip(weights, before, strict=True):
                weight.copy_(kept)
