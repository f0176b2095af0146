"""Reinforcement learning on accuracy alone: NAS-RL (arXiv:1611.01578) and NASNet (arXiv:1707.07012).

A recurrent controller decides choice after choice and is rewarded by the accuracy of the network. NAS-RL goes
up the policy gradient (REINFORCE) of accuracy cubed, NASNet that of accuracy by proximal policy optimisation;
the baseline of both is an exponential moving average of past rewards.

Other than in the papers:

- They know no budget. Here candidates that cannot lead to a feasible architecture any more are masked, so
  that every sample keeps the budgets and the reward need not tell the policy of them.
- Decisions are the choices of the space, not sizes, strides and inputs of layers; so no anchor points.
- The LSTM has one layer of 64 units (35 in two layers, and 100); its weights begin within 0.1, as NASNet's.
- The papers train ten to twenty thousand networks on hundreds of GPUs which update asynchronously, here a
  hundred have to do: batches are complete before they are learnt from, and the steps are larger.
- A network that is drawn again is not trained again, but rewarded by the score that it has.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from hwnas.search.problem import Problem
from hwnas.search.sampling.loop import Sampler, SamplingStrategy, require
from hwnas.search.sampling.policy import PolicySampler
from hwnas.train.config import HIGHEST_RATE

ALGORITHMS = ("ppo", "reinforce")

EPOCHS = 4
"""Steps of proximal policy optimisation a batch, as MnasNet's here."""


def reward(algorithm: str, quality: float) -> float:
    """What the controller is rewarded for a score: accuracy, cubed in NAS-RL (section 4.1)."""
    return quality**3 if algorithm == "reinforce" else quality


@dataclass(frozen=True, kw_only=True)
class Reinforce(SamplingStrategy):
    """Policy gradient of accuracy on a recurrent controller, within the budgets.

    Attributes:
        algorithm: "ppo" (NASNet) or "reinforce" (NAS-RL).
        batch: Architectures an update.
        learning_rate: Of Adam; None takes 0.001, three times NASNet's, so that a hundred queries are
            enough to settle. Much faster it settles on the first few networks that are good. Four times as
            much for "reinforce", which takes a fourth of the steps.
        entropy: Weight of the policy's entropy; None takes the one of the paper: 1e-5, and 0 for
            "reinforce".
    """

    name: ClassVar[str] = "reinforce"
    is_anytime: ClassVar[bool] = True

    algorithm: str = "ppo"
    batch: int = 5
    learning_rate: float | None = None
    entropy: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        require(
            self.algorithm in ALGORITHMS,
            f"algorithm must be one of {ALGORITHMS}, but got {self.algorithm!r}",
        )
        require(self.batch >= 1, f"batch must be at least 1, but got {self.batch}")
        require(
            0 < self.used_rate <= HIGHEST_RATE,
            f"learning_rate must be over 0 and at most {HIGHEST_RATE:g}, but got {self.learning_rate}",
        )
        require(
            0 <= self.used_entropy < math.inf,
            f"entropy must be finite and not negative, but got {self.entropy}",
        )

    @property
    def used_rate(self) -> float:
        """The learning rate, or that of the algorithm."""
        usual = 0.004 if self.algorithm == "reinforce" else 0.001
        return usual if self.learning_rate is None else self.learning_rate

    @property
    def used_entropy(self) -> float:
        """The weight of entropy, or that of the paper."""
        usual = 0.0 if self.algorithm == "reinforce" else 1e-5
        return usual if self.entropy is None else self.entropy

    def sampler(self, problem: Problem, rng: np.random.Generator) -> Sampler:
        """An untrained controller.

        Raises:
            LatencyModelError: Two choices have costs together.
        """
        return PolicyLearner(problem, rng, self)


class PolicyLearner(PolicySampler):
    """Rewarded for accuracy.

    Args:
        problem: What is searched.
        rng: The only source of randomness.
        settings: Of the strategy.
    """

    def __init__(self, problem: Problem, rng: np.random.Generator, settings: Reinforce) -> None:
        import torch

        from hwnas.search.sampling.masked import Masked

        controller = Masked(problem, rng)
        super().__init__(
            problem,
            rng,
            controller,
            torch.optim.Adam(controller.parameters(), lr=settings.used_rate),
            batch=settings.batch,
            epochs=EPOCHS if settings.algorithm == "ppo" else 1,
            entropy=settings.used_entropy,
        )
        self.algorithm = settings.algorithm

    def ask(self) -> tuple[int, ...] | None:
        """The next new network of the policy; a converged one ends the search."""
        return self.sampled()

    def reward(self, indices: tuple[int, ...], quality: float) -> float:
        """Accuracy alone: the budgets are kept anyway."""
        return reward(self.algorithm, quality)
