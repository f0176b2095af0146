"""ENAS (arXiv:1802.03268): a recurrent controller and the weights that its networks share learn in turns.

Weights are trained on paths that the controller draws, the controller by REINFORCE on how these do on
validation images: the gradient of its log-likelihood, weighed by reward minus a moving average. The reward is
exp(-loss), which is one over the perplexity, the paper's for language; of images the paper takes the accuracy
of the batch, a coarser look at the same. Other than in the paper:

- It knows no budget. Here the controller can only draw what keeps the budgets (``sampling/masked.py``).
- Turns are one step each, as of all strategies here, not an epoch of weights and 2,000 steps of the
  controller; and it takes ``samples`` architectures a step instead of one, and a larger learning rate, since
  it is to settle within hundreds of steps and not 300,000.
- Its logits have no temperature and no tanh; weights are warm before it moves.
- In the end the most probable architecture is among those that are scored, not only drawn ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf
from typing import ClassVar

import torch

from hwnas.errors import SpaceError
from hwnas.evaluators.supernet.network import Gate
from hwnas.search.oneshot.loop import OneShotStrategy, SearchState
from hwnas.search.oneshot.recurrent import RecurrentGates
from hwnas.search.problem import Problem
from hwnas.search.sampling.controller import moving_average
from hwnas.search.sampling.masked import Masked
from hwnas.train import ranks
from hwnas.train.optim import check_finite

_WEIGHTS, _CONTROLLER = 1, 2  # purposes of randomness


@dataclass(frozen=True, kw_only=True)
class ENAS(OneShotStrategy):
    """Policy gradient on a controller, by the rewards of networks with shared weights.

    Attributes:
        gate_learning_rate: Of Adam on the controller; the paper's 0.00035 is for a thousand times as many
            steps.
        loss: Always "none": the controller cannot draw what breaks a budget.
        curvatures: Always 0: there is no soft mixture whose loss could be sharp.
        samples: Architectures a step of the controller; the paper's one.
        entropy: Weight of the policy's entropy beside the reward, the paper's.
        baseline_decay: Of the exponential average of rewards that is subtracted.
    """

    name: ClassVar[str] = "enas"

    gate_learning_rate: float = 0.005
    loss: str = "none"
    curvatures: int = 0
    samples: int = 4
    entropy: float = 1e-4
    baseline_decay: float = 0.95

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.loss != "none":
            raise SpaceError(
                'loss must be "none" for enas, which only draws what keeps the budgets, but got '
                f"{self.loss!r}: leave it out"
            )
        if self.curvatures:
            raise SpaceError(
                f"curvatures must be 0 for enas, which has no soft mixture, but got {self.curvatures}: "
                "leave it out"
            )
        if self.samples < 1:
            raise SpaceError(f"samples must be at least 1, but got {self.samples}")
        if not 0 <= self.entropy < inf:
            raise SpaceError(f"entropy must be finite and not negative, but got {self.entropy}")
        if not 0.5 <= self.baseline_decay < 1:
            raise SpaceError(f"baseline_decay must be in [0.5, 1), but got {self.baseline_decay}")

    def weight_gates(self, state: SearchState, step: int) -> Sequence[Gate]:
        """One path, drawn by the controller."""
        return state.gates.sample(state.rng(step, _WEIGHTS))

    def gate_step(self, state: SearchState, step: int) -> Mapping[str, float]:
        """Move the controller towards what did better on a validation batch than was expected."""
        policy = _policy(state)
        drawn = policy.sample(self.samples, state.rng(step, _CONTROLLER))
        with torch.no_grad():
            losses = torch.stack([state.oneshot.loss("val", indices.tolist(), step) for indices in drawn])
        ranks.average([losses])
        loss = check_finite(losses.mean(), f"in search step {step + 1}")
        rewards = torch.exp(-losses).cpu()
        baseline = state.memory.get("baseline", float(rewards.mean()))
        logs, entropy = policy.score(drawn)
        objective = ((rewards - baseline) * logs).mean() + self.entropy * entropy.mean()
        gradients = torch.autograd.grad(-objective, state.gates.parameters)
        for parameter, gradient in zip(state.gates.parameters, gradients, strict=True):
            parameter.grad = gradient  # of losses that are averaged: every process comes to the same
        state.optimizer.step()
        state.memory["baseline"] = moving_average(baseline, float(rewards.mean()), self.baseline_decay)
        return {"gate_loss": loss, "baseline": state.memory["baseline"]}

    def _gates(self, problem: Problem, device: torch.device, seed: int) -> RecurrentGates:
        """An untrained controller.

        Raises:
            LatencyModelError: Two choices have costs together.
        """
        return RecurrentGates(problem, seed, device)


def _policy(state: SearchState) -> Masked:
    """The controller of a search that has one."""
    if not isinstance(state.gates, RecurrentGates):
        raise TypeError(f"gates must be those of a controller, but got {type(state.gates).__name__}")
    return state.gates.policy
