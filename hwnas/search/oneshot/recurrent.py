"""Gates of a recurrent policy: choices that are decided one after the other, within the budgets."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from hwnas.latency.base import FloatArray, IntArray
from hwnas.search.decode import Decoded
from hwnas.search.feasible import FeasibleSampler
from hwnas.search.oneshot.gates import Gates, GateSummary, skipped
from hwnas.search.problem import Problem
from hwnas.search.sampling.controller import most_probable
from hwnas.search.sampling.masked import Masked
from hwnas.search.sampling.neighbours import as_tuple
from hwnas.spaces.canonical import Canonical

WATCHED = 64
"""Architectures that are drawn to see what the policy does."""

BEAM = 256
"""Prefixes that decoding keeps."""


class RecurrentGates(Gates):
    """A distribution over what keeps the budgets, in which a choice depends on those before it.

    It has no logits of its own: what it says of one choice is seen in what it draws.

    Args:
        problem: What is searched, under which budgets.
        seed: Of the weights, and of what is drawn to look at.
        device: Where probabilities are wanted; the policy itself is too small for anything but a processor.

    Attributes:
        policy: The controller.
    """

    def __init__(self, problem: Problem, seed: int, device: torch.device | str = "cpu") -> None:
        super().__init__(problem.blocks, device)
        self.policy = Masked(problem, np.random.default_rng(seed))
        self._seed, self._device = seed, device

    def named(self) -> list[tuple[str, nn.Parameter]]:
        """The weights of the controller."""
        return list(self.policy.named_parameters())

    def preferences(self) -> list[list[float]]:
        """Logarithms of how often each candidate is drawn, where each was drawn once more."""
        return [row.tolist() for row in self.log_probabilities()]

    def probabilities(self) -> list[torch.Tensor]:
        """How often each candidate is drawn, not differentiable; shape (candidates,) a choice.

        Costs are sums over choices here, so that their expectation under these is the mean of what was drawn.
        """
        shares = (counts / WATCHED for counts in self._counts(self._drawn()))
        return [torch.tensor(share, dtype=torch.float32, device=self._device) for share in shares]

    def log_probabilities(self) -> list[FloatArray]:
        """As arrays; a candidate that was not drawn is not impossible."""
        counts = self._counts(self._drawn())
        return [np.log((count + 1) / (WATCHED + len(count))) for count in counts]

    def argmax(self) -> tuple[int, ...]:
        """The most probable candidate at each choice, given those before."""
        return as_tuple(self.policy.argmax())

    def sample(self, rng: np.random.Generator) -> tuple[int, ...]:
        """An architecture drawn from the policy; it keeps the budgets."""
        return as_tuple(self.policy.sample(1, rng)[0])

    def decode(self, problem: Problem) -> Decoded:
        """The most probable architecture that keeps every budget, by beam search, which proves no gap."""
        indices = most_probable(self.policy, FeasibleSampler(problem), width=BEAM)
        with torch.no_grad():
            score = float(self.policy.score(indices[None])[0])
        return Decoded(as_tuple(indices), score, gap=float(-score))

    def finalists(
        self, problem: Problem, count: int, least_use: float, rng: np.random.Generator
    ) -> list[tuple[int, ...]]:
        """The most probable architecture, and drawn ones: those first that spend what they should."""
        drawn = self.policy.sample(10 * count, rng)
        ordered = drawn[np.argsort(problem.used(drawn) < least_use, kind="stable")]
        found = [self.decode(problem).indices, *map(as_tuple, ordered)]
        return Canonical(problem.blocks).distinct(found, count)

    def summary(self) -> GateSummary:
        """Entropy of a decision given those before, and how often choices are skipped."""
        drawn = self._drawn()
        with torch.no_grad():
            entropy = float(self.policy.score(drawn)[1].mean())
        chances = [count / WATCHED for count in self._counts(drawn)]
        return GateSummary(entropy, skipped(self.space, chances))

    def _drawn(self) -> IntArray:
        """What is looked at, shape (WATCHED, choices): the same noise every time."""
        return self.policy.sample(WATCHED, np.random.default_rng(self._seed))

    def _counts(self, drawn: IntArray) -> list[FloatArray]:
        """How often each candidate was drawn, shape (candidates,) a choice."""
        columns = zip(drawn.T, self.space.sizes, strict=True)
        return [np.bincount(column, minlength=size).astype(np.float64) for column, size in columns]
