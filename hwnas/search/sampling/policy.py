"""A sampler that asks for what a policy draws, batch after batch, and trains it on the scores.

What a policy draws again is not scored again: it is rewarded by the score that it has.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hwnas.latency.base import FloatArray, IntArray
from hwnas.runs.trial import Trial
from hwnas.search.problem import Problem
from hwnas.search.sampling.loop import Sampler
from hwnas.search.sampling.neighbours import as_tuple

if TYPE_CHECKING:
    import torch

    from hwnas.search.sampling.controller import Controller

STALE = 20
"""Batches without a new network after which the policy counts as converged."""


@dataclass(eq=False)  # it holds arrays
class Batch:
    """Architectures of one policy, and the rewards that are known."""

    indices: IntArray
    logs: FloatArray
    rewards: list[float | None]
    asked: int = 0


class PolicySampler(Sampler):
    """Learns a recurrent policy.

    Args:
        problem: What is searched.
        rng: The only source of randomness.
        controller: The policy, not yet trained.
        optimizer: Of its parameters.
        batch: Architectures an update.
        epochs: Steps of proximal policy optimisation an update; 1 is REINFORCE.
        entropy: Weight of the policy's entropy beside the reward.
    """

    def __init__(
        self,
        problem: Problem,
        rng: np.random.Generator,
        controller: Controller,
        optimizer: torch.optim.Optimizer,
        *,
        batch: int,
        epochs: int,
        entropy: float = 0.0,
    ) -> None:
        from hwnas.search.sampling.controller import RewardBaseline

        super().__init__(problem, rng)
        self.controller = controller
        self.optimizer = optimizer
        self.size, self.epochs, self.entropy = batch, epochs, entropy
        self.baseline = RewardBaseline()
        self.batches: list[Batch] = []
        self.seen: dict[str, float] = {}

    @abstractmethod
    def reward(self, indices: tuple[int, ...], quality: float) -> float:
        """What the policy is rewarded for an architecture of this score."""

    def tell(self, trial: Trial) -> None:
        """Learn a score; a batch whose last score this is trains the controller."""
        super().tell(trial)
        self._fill()

    def state(self) -> Mapping[str, float]:
        """Mean latency and entropy of the policy's last batch."""
        return self.seen

    def report(self) -> Mapping[str, Any]:
        """The policy's arg-max."""
        return {"argmax": self.described(as_tuple(self.controller.argmax()))}

    def described(self, indices: tuple[int, ...]) -> dict[str, Any]:
        """An architecture with what is known of it, as records have it."""
        return {
            **self.archive.problem.told(indices),
            "budget_used": self.used(indices),
            self.score: self.archive.score(indices),
        }

    def used(self, indices: tuple[int, ...]) -> float:
        """Latency over what is allowed, for the budget that is used most."""
        return float(self.archive.problem.used(np.array([indices]))[0])

    def sampled(self) -> tuple[int, ...] | None:
        """Claim the next network of the policy that is new; None where it has converged."""
        for _ in range(STALE):
            if not self.batches or self.batches[-1].asked == self.size:
                self.batches.append(self._draw())
            batch = self.batches[-1]
            while batch.asked < len(batch.indices):
                indices = as_tuple(batch.indices[batch.asked])
                batch.asked += 1
                if self.archive.claim(indices):
                    return indices
            self._fill()
        return None

    def train(self, batch: Batch, rewards: FloatArray) -> None:
        """Learn from a whole batch, by how much better each did than those before on average."""
        from hwnas.search.sampling.controller import improve

        before = rewards.mean() if self.baseline.value is None else self.baseline.value
        for value in rewards:
            self.baseline.update(float(value))
        improve(
            self.controller,
            self.optimizer,
            batch.indices,
            rewards - before,
            batch.logs,
            epochs=self.epochs,
            entropy=self.entropy,
        )

    def _draw(self) -> Batch:
        import torch

        indices = self.controller.sample(self.size, self.rng)
        with torch.no_grad():
            logs, entropy = self.controller.score(indices)
        latencies = self.archive.problem.costs(indices)
        self.seen = {"expected_ms": float(latencies[:, 0].mean()), "entropy": float(entropy.mean())}
        return Batch(indices, logs.double().numpy(), [None] * len(indices))

    def _fill(self) -> None:
        """Reward what has a score by now, and train on the batches that are complete."""
        for batch in list(self.batches):
            for number, indices in enumerate(map(as_tuple, batch.indices)):
                quality = self.archive.score(indices)
                if batch.rewards[number] is None and quality is not None:
                    batch.rewards[number] = self.reward(indices, quality)
            rewards = [r for r in batch.rewards if r is not None]
            if len(rewards) == len(batch.rewards) == batch.asked:
                self.train(batch, np.array(rewards))
                self.batches.remove(batch)
