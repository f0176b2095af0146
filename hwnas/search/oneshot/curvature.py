"""How sharp the validation loss is in the gates: its dominant eigenvalue there, and when that is alarming.

Gates that settle where the loss is sharp lose most when they are made discrete, and such searches end in poor
networks although their loss is low (arXiv:1909.09656). The eigenvalue is that of the Hessian in the logits of
the soft mixture; products with the Hessian are second derivatives, not differences of
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

FIRST, LATER = 8, 3
"""Products with the Hessian from a random direction, and from that of the value before."""

_NOTHING = 1e-9

Loss = Callable[[Sequence[torch.Tensor]], torch.Tensor]
"""The loss at logits, differentiable twice."""


def dominant(
    loss: Loss, logits: Sequence[torch.Tensor], direction: np.ndarray, steps: int
) -> tuple[float, np.ndarray]:
    """The largest eigenvalue and its vector, as so many steps of Lanczos find them.

    One of a large negative one beside it does not disturb that, as it does power iteration.

    Args:
        loss: Asked once.
        logits: Where; left as they are.
        direction: To begin with, shape (all logits,); not 0.
        steps: Products with the Hessian, at least 1.
    """
    at = [each.detach().clone().requires_grad_() for each in logits]
    slope = torch.cat(torch.autograd.grad(loss(at), at, create_graph=True))
    basis, products = list[np.ndarray](), list[np.ndarray]()
    following = np.asarray(direction, float)
    for _ in range(steps):
        for each in basis * 2:  # twice, or rounding brings back what is there already
            following = following - (following @ each) * each
        if np.linalg.norm(following) < _NOTHING:
            break
        basis.append(following / np.linalg.norm(following))
        vector = torch.tensor(basis[-1], dtype=slope.dtype, device=slope.device)
        product = torch.cat(
            torch.autograd.grad(slope @ vector, at, retain_graph=True, materialize_grads=True)
        )
        ranks.average([product])  # processes look at parts of the batch
        products.append(product.double().cpu().numpy())
        following = products[-1]
    projected = np.array(basis) @ np.array(products).T
    values, vectors = np.linalg.eigh((projected + projected.T) / 2)
    return float(values[-1]), np.array(basis).T @ vectors[:, -1]


def alarm(trace: Sequence[Mapping[str, Any]]) -> str | None:
    """What to say where the loss became sharper than it should while gates were learning; else None.

    Beside the rule of the paper it must be sharper than ever before: on one batch the value goes up and down.
    """
    known = [(r["step"], r[KEY]) for r in trace if KEY in r]
    values = np.array([value for _, value in known])
    if len(values) < SMOOTHED + APART:
        return None
    smooth = np.convolve(values, np.ones(SMOOTHED) / SMOOTHED, "valid")
    steps = [step for step, _ in known][SMOOTHED - 1 :]
    for place in range(APART, len(smooth)):
        before, now = smooth[place - APART], smooth[place]
        if 0 < before < FALL * now and now == smooth[: place + 1].max():
            began = steps[place - APART]
            return (
                f"sharp valley: from step {began} to {steps[place]} the dominant eigenvalue of the loss in "
                f"the gates grew from {before:.2g} to {now:.2g}; those of step {began} may be better "
                "(arXiv:1909.09656)"
            )
    return None
