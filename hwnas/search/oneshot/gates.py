"""The architecture parameters of a one-shot search: logits, one vector a choice."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import log
from typing import Any

import numpy as np
import torch
from torch import nn

from hwnas.latency.base import FloatArray
from hwnas.search.decode import Decoded, decode
from hwnas.search.feasible import near_budget
from hwnas.search.oneshot import curvature
from hwnas.search.problem import Constraint, Problem
from hwnas.space import SearchSpace
from hwnas.spaces.canonical import Canonical

MAX_SKIP_SHARE = 0.8
MIN_ENTROPY = 0.05
"""Of the entropy of two equal candidates."""


class Gates:
    """A distribution over architectures in which the choices are independent.

    Args:
        space: What the gates choose from; all candidates are equally likely at first.
        device: Where the logits live.

    Attributes:
        logits: One parameter a choice, shape (candidates,).
    """

    def __init__(self, space: SearchSpace, device: torch.device | str = "cpu") -> None:
        self.space = space
        self.logits = [nn.Parameter(torch.zeros(size, device=device)) for size in space.sizes]

    def named(self) -> list[tuple[str, nn.Parameter]]:
        """The logits by the name of their choice."""
        return [(c.name, p) for c, p in zip(self.space.decisions, self.logits, strict=True)]

    @property
    def parameters(self) -> list[nn.Parameter]:
        """What is learnt."""
        return [parameter for _, parameter in self.named()]

    def preferences(self) -> list[list[float]]:
        """What a record keeps of them: a number a candidate, whose softmax is its probability."""
        return [logits.detach().cpu().tolist() for logits in self.logits]

    def probabilities(self) -> list[torch.Tensor]:
        """Softmax of the logits, differentiable; shape (candidates,) a choice."""
        return [torch.softmax(logits, 0) for logits in self.logits]

    def log_probabilities(self) -> list[FloatArray]:
        """As arrays."""
        return [torch.log_softmax(p.detach().double(), 0).cpu().numpy() for p in self.logits]

    def argmax(self) -> tuple[int, ...]:
        """The most probable architecture, whatever it costs."""
        return tuple(int(p.detach().argmax()) for p in self.logits)

    def sample(self, rng: np.random.Generator) -> tuple[int, ...]:
        """An architecture drawn from the distribution, whatever it costs."""
        return tuple(int(rng.choice(len(p), p=np.exp(p))) for p in self.log_probabilities())

    def decode(self, problem: Problem) -> Decoded:
        """The most probable architecture that keeps every budget."""
        return decode(self.log_probabilities(), problem)

    def finalists(
        self, problem: Problem, count: int, least_use: float, rng: np.random.Generator
    ) -> list[tuple[int, ...]]:
        """Feasible architectures of distinct networks: the most probable one, and others drawn.

        Draws are the best under Gumbel-perturbed log-probabilities, which without a budget is
        exact sampling (the Gumbel-max trick); with one, every draw keeps it.

        Args:
            problem: Its budgets.
            count: How many there should be; there are fewer where draws keep repeating.
            least_use: Draws spend at least this share of the tightest budget where they can.
            rng: Where the draws come from.
        """
        near = near_budget(problem, least_use)
        noisy = ([p + rng.gumbel(size=len(p)) for p in self.log_probabilities()] for _ in range(3 * count))
        drawn = (decode(scores, near).indices for scores in noisy)
        found = itertools.chain([self.decode(problem).indices], drawn)
        return Canonical(problem.blocks).distinct(found, count)

    def summary(self) -> GateSummary:
        """What to watch a search by."""
        chances = [np.exp(p) for p in self.log_probabilities()]
        entropy = [float(-(p * np.log(np.maximum(p, 1e-30))).sum()) for p in chances]
        return GateSummary(float(np.mean(entropy)), skipped(self.space, chances))


@dataclass(frozen=True)
class GateSummary:
    """What to watch a search by.

    Attributes:
        entropy: Mean over the choices, in nats.
        skip_share: Mean probability of skipping, over the choices that can be skipped.
    """

    entropy: float
    skip_share: float


def skipped(space: SearchSpace, chances: Sequence[FloatArray]) -> float:
    """Mean probability of skipping, over the choices that can be skipped; 0 where none can.

    Args:
        space: What is chosen from.
        chances: Of the candidates, shape (candidates,) a choice.
    """
    skips = [
        sum(p for p, block in zip(chance, choice.candidates, strict=True) if block.kind == "skip")
        for chance, choice in zip(chances, space.decisions, strict=True)
        if any(block.kind == "skip" for block in choice.candidates)
    ]
    return float(np.mean(skips)) if skips else 0.0


def alarms(trace: Sequence[Mapping[str, Any]]) -> list[str]:
    """What went wrong without an error: gates closed too early, on skipping, or where it is sharp."""
    alarms = []
    skipping = [r["step"] for r in trace if r["skip_share"] > MAX_SKIP_SHARE]
    if skipping:
        alarms.append(f"skip collapse: over {MAX_SKIP_SHARE:.0%} of the gates skip from step {skipping[0]}")
    closed = [r["step"] for r in trace[: len(trace) // 2] if r["entropy"] < MIN_ENTROPY * log(2)]
    if closed:
        alarms.append(f"early collapse: the gates closed by step {closed[0]} of {len(trace)}")
    sharp = curvature.alarm(trace)
    return alarms if sharp is None else [*alarms, sharp]


class CostTensors:
    """Costs as tensors, so that expected latency can be differentiated."""

    def __init__(self, constraints: Sequence[Constraint], device: torch.device | str = "cpu") -> None:
        self.constraints = tuple(constraints)
        self._choices_ms = [
            [torch.tensor(costs, dtype=torch.float32, device=device) for costs in c.costs.choices]
            for c in constraints
        ]
        self._pairs_ms = [
            [
                (p.first, p.second, torch.tensor(p.values, dtype=torch.float32, device=device))
                for p in c.costs.pairs
            ]
            for c in constraints
        ]

    def expected(self, weights: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """Latency that the supernet has on average, one scalar a constraint.

        The choices are independent, so that two of them have their costs together by the product of weights.

        Args:
            weights: One tensor a choice, shape (candidates,), summing to 1.

        ProxylessNAS, arXiv:1812.00332, equation 5; FBNet, arXiv:1812.03443, equation 9.
        """
        return [
            torch.stack(
                [(w * c).sum() for w, c in zip(weights, costs, strict=True)]
                + [weights[first] @ table @ weights[second] for first, second, table in pairs]
            ).sum()
            + constraint.costs.fixed
            for constraint, costs, pairs in zip(
                self.constraints, self._choices_ms, self._pairs_ms, strict=True
            )
        ]


def gumbel_softmax(
    logits: Sequence[torch.Tensor], temperature: float, rng: np.random.Generator
) -> list[torch.Tensor]:
    """Soft gates: softmax of perturbed logits over a temperature, differentiable in the logits.

    One draw serves the whole batch (arXiv:1812.03443, equation 7).
    """
    return [torch.softmax((p + noise) / temperature, 0) for p, noise in _with_noise(logits, rng)]


def _with_noise(
    logits: Sequence[torch.Tensor], rng: np.random.Generator
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    for p in logits:
        noise = torch.tensor(rng.gumbel(size=len(p)), dtype=p.dtype, device=p.device)
        yield torch.log_softmax(p, 0), noise
