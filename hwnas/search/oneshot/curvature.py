"""How sharp the validation loss is in the gates: its dominant eigenvalue there, and when that is alarming.

Gates that settle where the loss is sharp lose most when they are made discrete, and such searches end in poor
networks although their loss is low (arXiv:1909.09656). The eigenvalue is that of the Hessian in the logits of
the soft mixture, by power iteration; products with the Hessian are second derivatives, not differences of
gradients, which in float32 tell nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from hwnas.train import ranks

KEY = "curvature"
"""Of the eigenvalue in the record of a step."""

SMOOTHED, APART, FALL = 5, 5, 0.75
"""Values of which the mean is taken, how many of them lie between two that are compared, and the ratio of the
earlier over the later one below which the search should have stopped (section 5.1 there)."""

FIRST = 5
"""Power iterations from a random direction; a later value goes on from the direction of the one before."""

Loss = Callable[[Sequence[torch.Tensor]], torch.Tensor]
"""The loss at logits, differentiable twice."""


def dominant(
    loss: Loss, logits: Sequence[torch.Tensor], direction: np.ndarray, iterations: int
) -> tuple[float, np.ndarray]:
    """The eigenvalue of largest magnitude, and its eigenvector, after so many power iterations.

    Args:
        loss: Asked once.
        logits: Where; left as they are.
        direction: To begin with, shape (all logits,); not 0.
        iterations: At least 1.
    """
    at = [each.detach().clone().requires_grad_() for each in logits]
    slope = torch.cat(torch.autograd.grad(loss(at), at, create_graph=True))
    value, vector = 0.0, torch.tensor(direction, dtype=slope.dtype, device=slope.device)
    for _ in range(iterations):
        vector = vector / vector.norm()
        product = torch.cat(
            torch.autograd.grad(slope @ vector, at, retain_graph=True, materialize_grads=True)
        )
        ranks.average([product])  # processes look at parts of the batch
        value = float(vector @ product)
        if not product.norm() > 0:
            break
        vector = product
    return value, (vector / vector.norm()).double().cpu().numpy()


def alarm(trace: Sequence[Mapping[str, Any]]) -> str | None:
    """What to say where the loss became sharper than it should while gates were learning; else None."""
    known = [(r["step"], r[KEY]) for r in trace if KEY in r]
    values = np.array([value for _, value in known])
    if len(values) < SMOOTHED + APART:
        return None
    smooth = np.convolve(values, np.ones(SMOOTHED) / SMOOTHED, "valid")
    steps = [step for step, _ in known][SMOOTHED - 1 :]
    for place in range(APART, len(smooth)):
        before, now = smooth[place - APART], smooth[place]
        if 0 < before < FALL * now:
            began = steps[place - APART]
            return (
                f"sharp valley: from step {began} to {steps[place]} the dominant eigenvalue of the loss in "
                f"the gates grew from {before:.2g} to {now:.2g}; those of step {began} may be better "
                "(arXiv:1909.09656)"
            )
    return None
