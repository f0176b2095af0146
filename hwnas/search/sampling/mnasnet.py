"""MnasNet (arXiv:1807.11626): a recurrent controller, rewarded for accuracy and latency together.

The paper's reward sees the budget only as the scale of a trade-off and does not land on it. The
absolute reward of TuNAS (arXiv:2008.06120) does. Either way the budget is kept at the end: the
policy is decoded under it, and what is returned is the best scored architecture within it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from hwnas.latency.base import FloatArray, IntArray
from hwnas.runs.trial import Trial
from hwnas.search.problem import Problem
from hwnas.search.sampling.loop import Sampler, SamplingStrategy, require
from hwnas.search.sampling.neighbours import as_tuple
from hwnas.train.config import HIGHEST_RATE

if TYPE_CHECKING:
    from hwnas.search.sampling.controller import Controller

REWARDS = ("soft", "hard", "absolute")

BEAM = 256
"""Prefixes that the constrained decoding keeps."""

GROWTH = 10.0
"""Learning rate at the end over the one at the beginning."""

STALE = 20
"""Batches without a new network after which the policy counts as converged."""


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


@dataclass
class _Batch:
    """Architectures of one policy, and the rewards that are known."""

    indices: IntArray
    logs: FloatArray
    rewards: list[float | None]
    asked: int = 0


class _Learner(Sampler):
    def __init__(self, problem: Problem, rng: np.random.Generator, settings: MnasNet) -> None:
        import torch

        from hwnas.search.sampling.controller import Controller, RewardBaseline

        super().__init__(problem, rng)
        self.settings = settings
        self.controller: Controller = Controller(problem.space.sizes, rng)
        self.optimizer = torch.optim.Adam(
            self.controller.parameters(), lr=settings.learning_rate, betas=(0.0, 0.999)
        )
        self.baseline = RewardBaseline()
        self.batches: list[_Batch] = []
        self.asked = 0
        self.seen: dict[str, float] = {}

    def ask(self) -> tuple[int, ...] | None:
        """The next new network of the policy; the last query is for the decoded one."""
        self.asked += 1
        found = self._sampled() if self.asked < self.settings.explored else None
        if found is None:  # the last query, or the policy has converged
            decoded = self._decoded()
            found = decoded if self.archive.claim(decoded) else self._sampled()
        return found

    def tell(self, trial: Trial) -> None:
        """Learn a score; a batch whose last score this is trains the controller."""
        super().tell(trial)
        self._fill()

    def state(self) -> Mapping[str, float]:
        """Mean latency and entropy of the policy's last batch."""
        return self.seen

    def report(self) -> Mapping[str, Any]:
        """The policy's arg-max and the architecture decoded under the budgets."""
        argmax = as_tuple(self.controller.argmax())
        return {"argmax": self._described(argmax), "decoded": self._described(self._decoded())}

    def _described(self, indices: tuple[int, ...]) -> dict[str, Any]:
        return {
            **self.archive.problem.told(indices),
            "budget_used": self._used(indices),
            self.score: self.archive.score(indices),
        }

    def _decoded(self) -> tuple[int, ...]:
        """The most probable architecture within the budgets."""
        from hwnas.search.sampling.controller import decode

        found = decode(self.controller, self.archive.problem, width=BEAM)
        if found is None:  # several budgets, and no prefix of the beam keeps them all
            found = self.archive.feasible.repair(self.controller.argmax())
        return as_tuple(found)

    def _sampled(self) -> tuple[int, ...] | None:
        """Claim the next network of the policy that is new; known ones are rewarded again."""
        for _ in range(STALE):
            if not self.batches or self.batches[-1].asked == self.settings.batch:
                self.batches.append(self._draw())
            batch = self.batches[-1]
            while batch.asked < len(batch.indices):
                indices = as_tuple(batch.indices[batch.asked])
                batch.asked += 1
                if self.archive.claim(indices):
                    return indices
            self._fill()
        return None

    def _draw(self) -> _Batch:
        import torch

        indices = self.controller.sample(self.settings.batch, self.rng)
        with torch.no_grad():
            logs, entropy = self.controller.score(indices)
        latencies = self.archive.problem.costs(indices)
        self.seen = {"expected_ms": float(latencies[:, 0].mean()), "entropy": float(entropy.mean())}
        return _Batch(indices, logs.double().numpy(), [None] * len(indices))

    def _fill(self) -> None:
        """Reward what has a score by now, and train on the batches that are complete."""
        for batch in list(self.batches):
            for number, indices in enumerate(map(as_tuple, batch.indices)):
                quality = self.archive.score(indices)
                if batch.rewards[number] is None and quality is not None:
                    batch.rewards[number] = reward(
                        self.settings.reward, quality, self._used(indices), self.settings.used_weight
                    )
            rewards = [r for r in batch.rewards if r is not None]
            if len(rewards) == len(batch.rewards) == batch.asked:
                self._train(batch, np.array(rewards))
                self.batches.remove(batch)

    def _train(self, batch: _Batch, rewards: FloatArray) -> None:
        from hwnas.search.sampling.controller import improve

        for group in self.optimizer.param_groups:
            group["lr"] = self.settings.learning_rate * GROWTH ** (self.asked / self.settings.queries)
        before = rewards.mean() if self.baseline.value is None else self.baseline.value
        for value in rewards:
            self.baseline.update(float(value))
        improve(
            self.controller,
            self.optimizer,
            batch.indices,
            rewards - before,
            batch.logs,
            epochs=self.settings.epochs,
        )

    def _used(self, indices: tuple[int, ...]) -> float:
        """Latency over what is allowed, for the budget that is used most."""
        problem = self.archive.problem
        limits = np.array([c.usable for c in problem.constraints])
        return float((problem.costs(np.array([indices]))[0] / limits).max())
