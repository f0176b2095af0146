"""ProxylessNAS (arXiv:1812.00332): binarised paths, at about the cost of training one network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch

from hwnas.errors import SpaceError
from hwnas.evaluators.supernet.network import Branch, Gate
from hwnas.search.oneshot.loop import OneShotStrategy, SearchState
from hwnas.search.sampling.controller import moving_average
from hwnas.train import ranks
from hwnas.train.optim import check_finite

_WEIGHTS, _GATES = 1, 2  # purposes of randomness
FORMS = ("gradient", "reinforce")


@dataclass(frozen=True, kw_only=True)
class ProxylessNAS(OneShotStrategy):
    """Weights are trained on one sampled path, gates by two paths or by REINFORCE.

    Adam runs without its first moment: momentum would move the logits of paths that were not
    sampled.

    Attributes:
        form: "gradient": of two sampled paths, one runs and the other is computed for the
            gradient of its gate (section 3.2.1). "reinforce": whole architectures are sampled
            and their losses weigh the log-likelihood (section 3.3.2); latency, which is known
            exactly, keeps its exact gradient.
        samples: Architectures a step of the "reinforce" form.
        baseline_decay: Of the exponential average of losses that "reinforce" subtracts; near 1,
            so that it *is* an average.
    """

    name: ClassVar[str] = "proxylessnas"
    gate_betas: ClassVar[tuple[float, float]] = (0.0, 0.999)

    form: str = "gradient"
    samples: int = 4
    baseline_decay: float = 0.95

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.form not in FORMS:
            raise SpaceError(f"form must be one of {FORMS}, but got {self.form!r}")
        if self.samples < 1:
            raise SpaceError(f"samples must be at least 1, but got {self.samples}")
        if not 0.5 <= self.baseline_decay < 1:
            raise SpaceError(f"baseline_decay must be in [0.5, 1), but got {self.baseline_decay}")

    def weight_gates(self, state: SearchState, step: int) -> Sequence[Gate]:
        """One path, drawn from the gates."""
        return state.gates.sample(state.rng(step, _WEIGHTS))

    def gate_step(self, state: SearchState, step: int) -> Mapping[str, float]:
        """Move the logits by one validation batch."""
        rng = state.rng(step, _GATES)
        return (
            self._two_paths(state, step, rng)
            if self.form == "gradient"
            else self._reinforce(state, step, rng)
        )

    def _two_paths(self, state: SearchState, step: int, rng: np.random.Generator) -> Mapping[str, float]:
        pairs = [draw_pair(p, rng) for p in state.gates.log_probabilities()]
        before = [p.detach().clone() for p in state.gates.logits]
        cross_entropy, gradients = _pair_gradients(state, step, pairs)
        state.update(
            torch.zeros_like(parameter).index_put((torch.tensor(pair, device=parameter.device),), gradient)
            for parameter, pair, gradient in zip(state.gates.logits, pairs, gradients, strict=True)
        )
        for parameter, old, pair in zip(state.gates.logits, before, pairs, strict=True):
            rescale(parameter, old, pair)
        return {"gate_loss": cross_entropy}

    def _reinforce(self, state: SearchState, step: int, rng: np.random.Generator) -> Mapping[str, float]:
        drawn = [state.gates.sample(rng) for _ in range(self.samples)]
        with torch.no_grad():
            losses = torch.stack([state.oneshot.loss("val", indices, step) for indices in drawn])
        ranks.average([losses])
        mean = losses.mean()
        value = check_finite(mean, f"in search step {step + 1}")
        baseline = state.memory.get("baseline", value)
        log_probabilities = [torch.log_softmax(p, 0) for p in state.gates.logits]
        likelihoods = torch.stack(
            [
                torch.stack([p[i] for p, i in zip(log_probabilities, indices, strict=True)]).sum()
                for indices in drawn
            ]
        )
        # A stand-in with the value of the mean loss and the score-function gradient.
        stand_in = mean + ((losses - baseline) * (likelihoods - likelihoods.detach())).mean()
        expected = state.costs.expected([p.exp() for p in log_probabilities])
        loss = state.latency_loss.loss(stand_in, expected)
        state.update(torch.autograd.grad(loss, state.gates.logits))
        state.memory["baseline"] = moving_average(baseline, value, self.baseline_decay)
        return {"gate_loss": value, "baseline": state.memory["baseline"]}


def draw_pair(log_probabilities: np.ndarray, rng: np.random.Generator) -> tuple[int, ...]:
    """Two different candidates, the one that runs first; a choice of one candidate gives one.

    Both are drawn by probability; which of them runs, by their share of the pair's.
    """
    if len(log_probabilities) == 1:
        return (0,)
    chances = np.maximum(np.exp(log_probabilities), 1e-12)
    first, second = (int(i) for i in rng.choice(len(chances), 2, replace=False, p=chances / chances.sum()))
    swap = rng.random() * (chances[first] + chances[second]) >= chances[first]
    return (second, first) if swap else (first, second)


def _pair_gradients(
    state: SearchState, step: int, pairs: Sequence[tuple[int, ...]]
) -> tuple[float, list[torch.Tensor]]:
    """Cross-entropy, and the loss's gradient in the logits of each pair.

    The gate's gradient dL/dg of equation 4 comes from the network; latency adds its own, with
    the probability of the pair as a whole held fixed. Both go through the softmax over the pair.
    """
    device = state.oneshot.device
    binary = [torch.eye(len(pair), device=device)[0].requires_grad_() for pair in pairs]
    gates = [
        tuple(
            Branch(i, weight, inert=number > 0)
            for number, (i, weight) in enumerate(zip(pair, g, strict=True))
        )
        for pair, g in zip(pairs, binary, strict=True)
    ]
    shares = [
        torch.softmax(p.detach()[list(pair)], 0).requires_grad_()
        for p, pair in zip(state.gates.logits, pairs, strict=True)
    ]
    cross_entropy = state.oneshot.loss("val", gates, step)
    loss = state.latency_loss.loss(cross_entropy, state.costs.expected(_with_shares(state, pairs, shares)))
    check_finite(loss, f"in search step {step + 1}")
    found = torch.autograd.grad(loss, [*binary, *shares], allow_unused=True, materialize_grads=True)
    gradients = []
    for share, by_gate, by_share in zip(shares, found[: len(pairs)], found[len(pairs) :], strict=True):
        total, share = by_gate + by_share, share.detach()
        gradients.append(share * (total - (share * total).sum()))
    return float(cross_entropy.detach()), gradients


def _with_shares(
    state: SearchState, pairs: Sequence[tuple[int, ...]], shares: Sequence[torch.Tensor]
) -> list[torch.Tensor]:
    """Probabilities in which each pair divides its own mass by ``shares``."""
    mixed = []
    for parameter, pair, share in zip(state.gates.logits, pairs, shares, strict=True):
        chances = torch.softmax(parameter.detach(), 0)
        rows = torch.tensor(pair, device=chances.device)
        mixed.append(chances.index_put((rows,), chances[rows].sum() * share))
    return mixed


@torch.no_grad()
def rescale(logits: torch.Tensor, before: torch.Tensor, pair: Sequence[int]) -> None:
    """Shift the updated pair so that the probabilities of all other candidates stay as they were.

    Args:
        logits: After the update, changed in place.
        before: Before it.
        pair: The candidates that were updated.
    """
    rows = list(pair)
    logits[rows] += torch.logsumexp(before[rows], 0) - torch.logsumexp(logits[rows], 0)
