"""MnasNet (arXiv:1807.11626): a recurrent controller, rewarded for accuracy and latency together.

The paper's reward sees the budget only as the scale of a trade-off and does not land on it. The
absolute reward of TuNAS (arXiv:2008.06120) does. Either way the budget is kept at the end: the
policy is decoded under it, and what is returned is the best scored architecture within it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from hwnas.latency.base import FloatArray
from hwnas.search.problem import Problem
from hwnas.search.sampling.loop import Sampler, SamplingStrategy, require
from hwnas.search.sampling.neighbours import as_tuple
from hwnas.search.sampling.policy import Batch, PolicySampler
from hwnas.train.config import HIGHEST_RATE

REWARDS = ("soft", "hard", "absolute")

BEAM = 256
"""Prefixes that the constrained decoding keeps."""

GROWTH = 10.0
"""Learning rate at the end over the one at the beginning."""


def reward(kind: str, quality: float, used: float, weight: float) -> float:
    """What the controller is rewarded for one architecture.

    Args:
        kind: "soft": quality * used^weight (MnasNet, equation 2, w = -0.07); "hard": the same
            only above the budget (equation 3, w = -1); "absolute": quality + weight *
            |used - 1| (TuNAS, equation 3).
        quality: In [0, 1].
        used: Latency over what the budget allows.
        weight: Negative.
    """
    if kind == "absolute":
        return quality + weight * abs(used - 1.0)
    if kind == "hard" and used <= 1.0:
        return quality
    return quality * math.pow(used, weight)


@dataclass(frozen=True, kw_only=True)
class MnasNet(SamplingStrategy):
    """Policy gradient on a recurrent controller.

    Attributes:
        reward: "soft", "hard" or "absolute".
        weight: Of latency in the reward; None takes the one of its paper: -0.07, -1, -0.1.
        batch: Architectures an update.
        epochs: Steps of proximal policy optimisation a batch; 1 is REINFORCE.
        learning_rate: Of Adam, with a beta_1 of 0, at the beginning; it grows tenfold to the
            end, so that the policy explores first and settles last (both as in TuNAS).
    """

    name: ClassVar[str] = "mnasnet"

    reward: str = "absolute"
    weight: float | None = None
    batch: int = 5
    epochs: int = 4
    learning_rate: float = 3e-4

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.reward in REWARDS, f"reward must be one of {REWARDS}, but got {self.reward!r}")
        require(-math.inf < self.used_weight < 0, f"weight must be negative, but got {self.weight}")
        require(self.batch >= 1, f"batch must be at least 1, but got {self.batch}")
        require(self.epochs >= 1, f"epochs must be at least 1, but got {self.epochs}")
        require(
            0 < self.learning_rate <= HIGHEST_RATE,
            f"learning_rate must be over 0 and at most {HIGHEST_RATE:g}, but got {self.learning_rate}",
        )

    @property
    def used_weight(self) -> float:
        """The weight, or that of the paper."""
        return {"soft": -0.07, "hard": -1.0}.get(self.reward, -0.1) if self.weight is None else self.weight

    def sampler(self, problem: Problem, rng: np.random.Generator) -> Sampler:
        """An untrained controller."""
        return _Learner(problem, rng, self)


class _Learner(PolicySampler):
    def __init__(self, problem: Problem, rng: np.random.Generator, settings: MnasNet) -> None:
        import torch

        from hwnas.search.sampling.controller import Controller

        controller = Controller(problem.space.sizes, rng)
        optimizer = torch.optim.Adam(controller.parameters(), lr=settings.learning_rate, betas=(0.0, 0.999))
        super().__init__(problem, rng, controller, optimizer, batch=settings.batch, epochs=settings.epochs)
        self.settings = settings
        self.asked = 0

    def ask(self) -> tuple[int, ...] | None:
        """The next new network of the policy; the last query is for the decoded one."""
        self.asked += 1
        found = self.sampled() if self.asked < self.settings.explored else None
        if found is None:  # the last query, or the policy has converged
            decoded = self._decoded()
            found = decoded if self.archive.claim(decoded) else self.sampled()
        return found

    def report(self) -> Mapping[str, Any]:
        """The policy's arg-max and the architecture decoded under the budgets."""
        return {**super().report(), "decoded": self.described(self._decoded())}

    def reward(self, indices: tuple[int, ...], quality: float) -> float:
        """Accuracy and latency weighed."""
        return reward(self.settings.reward, quality, self.used(indices), self.settings.used_weight)

    def train(self, batch: Batch, rewards: FloatArray) -> None:
        """The later, the faster."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.settings.learning_rate * GROWTH ** (self.asked / self.settings.queries)
        super().train(batch, rewards)

    def _decoded(self) -> tuple[int, ...]:
        """The most probable architecture within the budgets."""
        from hwnas.search.sampling.controller import most_probable

        return as_tuple(most_probable(self.controller, self.archive.feasible, width=BEAM))
