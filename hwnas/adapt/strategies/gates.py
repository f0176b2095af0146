"""Gates that open at random learn widths and what they cost: Budgeted Super Networks (arXiv:1706.00046).

Each group of channels has a distribution over its widths; a width leaves open the gates of the channels that
matter most. As in the paper, the objective is the expected loss plus a price times what is expected beyond
the limit, weights learn at the same time as gates, and the gradient of the cost is that of REINFORCE. Draws
of costs are cheap, so there are many a step. Unlike there, the loss reaches the gates through the one network
that is drawn a step (Gumbel-softmax, straight through, arXiv:1611.01144), which needs fewer steps than
REINFORCE, and the price rises for as long as the limit is exceeded. Depths stay: widths cannot say them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch.nn import functional

from hwnas import tasks
from hwnas.adapt.strategies.base import Indices, Tell, nearest, within
from hwnas.adapt.subject import Subject
from hwnas.latency.base import Cost, FloatArray
from hwnas.search.decode import decode
from hwnas.search.feasible import near_budget
from hwnas.tasks.base import LossSettings
from hwnas.train import optim
from hwnas.train.config import TAUGHT
from hwnas.train.loss import TrainingLoss
from hwnas.widths.gated import Gated, masks

_BATCH = 32
_DRAWS = 256
"""Of costs a step."""
_WEIGHTS_RATE, _MOMENTUM, _DECAY = 0.005, 0.9, 1e-5
_GATES_RATE = 0.1
_PRICE_RATE = 1.0
"""By how much the price of a limit rises a step, for each time that the limit is exceeded by once itself."""
_LEANING = 3.0
"""Logit of all channels at first, over that of none: the network begins nearly whole, as it was trained."""
_LEAST_USE = 0.97
"""Of the limit, where there are widths that use so much: a network that takes longer knows more."""


@dataclass
class BudgetedGates:
    """The most probable widths that keep the limit.

    Attributes:
        subject: The network.
        costs: Of its widths, in ms.
        tell: Told now and then.
        steps: Batches that gates and weights learn from for a limit.
    """

    subject: Subject
    costs: Cost
    tell: Tell
    steps: int = 240
    _learnt: dict[float, list[FloatArray]] = field(default_factory=dict, repr=False)

    def propose(self, limit_ms: float) -> Indices:
        """As of ``WidthStrategy``."""
        problem = within(self.subject, self.costs, limit_ms)
        near = nearest(self._learnt, limit_ms)
        if near is None:
            self._learnt[limit_ms] = self._log_probabilities(limit_ms)
        scores = self._learnt[limit_ms if near is None else near]
        return decode(scores, near_budget(problem, _LEAST_USE)).indices

    def _log_probabilities(self, limit_ms: float) -> list[FloatArray]:
        """Gates that have learnt for a limit."""
        subject, space = self.subject, self.subject.space
        network, loss = Gated(subject.found), self._loss()
        open_at = {
            group.name: masks(subject.importance[group.name], widths)
            for group, widths in zip(space.groups, space.widths, strict=True)
        }
        logits = [
            torch.tensor([_LEANING * width / widths[-1] for width in widths], requires_grad=True)
            for widths in space.widths
        ]
        learning = torch.optim.Adam(logits, _GATES_RATE, betas=(0.5, 0.999))
        weights = optim.sgd(
            network.network.parameters(),
            learning_rate=_WEIGHTS_RATE,
            momentum=_MOMENTUM,
            weight_decay=_DECAY,
        )
        rng, price = np.random.default_rng(subject.seed), 1.0
        for step in range(self.steps):
            drawn = [_one_hot(each, rng) for each in logits]
            network.gates = {
                name: one @ table for one, (name, table) in zip(drawn, open_at.items(), strict=True)
            }
            images, targets = subject.batches.step("train", _BATCH, subject.seed, step)
            lost = loss(network.train(), images, targets, rng).loss
            optim.check_finite(lost, "of gates over widths")
            excess, surrogate = self._excess(logits, limit_ms, rng)
            price += _PRICE_RATE * excess
            learning.zero_grad()
            weights.zero_grad()
            (lost + price * surrogate).backward()  # type: ignore[no-untyped-call]
            learning.step()
            weights.step()
            if (step + 1) % max(1, self.steps // 4) == 0:
                self.tell(f"gates: {step + 1} of {self.steps} steps, {excess:.1%} over {limit_ms:.3f} ms")
        return [torch.log_softmax(each.detach().double(), 0).numpy() for each in logits]

    def _excess(
        self, logits: Sequence[torch.Tensor], limit_ms: float, rng: np.random.Generator
    ) -> tuple[float, torch.Tensor]:
        """By which share of itself the limit is exceeded on average, and a scalar with that gradient."""
        logs = [torch.log_softmax(each, 0) for each in logits]
        drawn = np.stack([_drawn(each.detach(), _DRAWS, rng) for each in logs], axis=1)
        excess = np.maximum(self.costs.of(drawn) / limit_ms - 1, 0.0)
        columns = zip(logs, drawn.T, strict=True)
        likelihood = torch.stack([each[torch.from_numpy(column)] for each, column in columns]).sum(0)
        advantage = torch.from_numpy(excess - excess.mean()).float()
        return float(excess.mean()), (advantage * likelihood).mean()

    def _loss(self) -> TrainingLoss:
        subject = self.subject
        criterion = tasks.of(subject.data).criterion(subject.data, LossSettings(), torch.device("cpu"))
        return TrainingLoss(criterion, subject.teacher.network.eval(), TAUGHT)


def _drawn(logs: torch.Tensor, count: int, rng: np.random.Generator) -> np.ndarray:
    chances = logs.double().exp().numpy()
    return rng.choice(len(chances), count, p=chances / chances.sum())


def _one_hot(logits: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """One width drawn, as a vector with a 1 whose gradient is that of the softmax of the same noise."""
    noise = torch.from_numpy(rng.gumbel(size=len(logits))).float()
    soft = torch.softmax(logits + noise, 0)
    hard = functional.one_hot(soft.argmax(), len(logits))
    return hard + soft - soft.detach()
