"""Gates that open at random learn widths, depths and their cost: Budgeted Super Networks (arXiv:1706.00046).

Each group of channels has a distribution over its widths; a width opens the gates of the channels that matter
most. As in the paper, the objective is the expected loss plus a price times what is expected beyond the
limit, gates learn by REINFORCE and weights at the same time. Unlike there, several networks are drawn for
the same images, so that each is compared with the others; draws of costs alone are cheap, and there are many
a step; and the price rises for as long as the limit is exceeded. A residual block is left out where no
channel of its own is open.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from hwnas.adapt.strategies.base import Indices, Tell, nearest, within
from hwnas.adapt.subject import Subject
from hwnas.latency.base import Cost, FloatArray, IntArray
from hwnas.search.decode import decode
from hwnas.search.feasible import near_budget
from hwnas.train import optim
from hwnas.train.config import TAUGHT
from hwnas.train.loss import TrainingLoss
from hwnas.widths.gated import Gated, masks

_BATCH = 32
_NETWORKS, _COSTS = 4, 256
"""Draws a step."""
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
    steps: int = 150
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
        learning = torch.optim.Adam(logits, _GATES_RATE)
        weights = optim.sgd(
            network.network.parameters(),
            learning_rate=_WEIGHTS_RATE,
            momentum=_MOMENTUM,
            weight_decay=_DECAY,
        )
        rng, price = np.random.default_rng(subject.seed), 1.0
        for step in range(self.steps):
            images, targets = subject.batches.step("train", _BATCH, subject.seed, step)
            drawn, losses = _drawn(logits, _NETWORKS, rng), []
            for number, row in enumerate(drawn):
                network.gates = {name: open_at[name][index] for name, index in zip(open_at, row, strict=True)}
                with torch.set_grad_enabled(number == 0):  # weights learn from the first one
                    losses.append(loss(network.train(), images, targets, rng).loss)
            values = [optim.check_finite(lost, "of gates over widths") for lost in losses]
            costly = _drawn(logits, _COSTS, rng)
            excess = np.maximum(self.costs.of(costly) / limit_ms - 1, 0.0)
            learning.zero_grad()
            weights.zero_grad()
            expected = _expected(logits, drawn, np.array(values))
            (losses[0] + expected + price * _expected(logits, costly, excess)).backward()  # type: ignore[no-untyped-call]
            learning.step()
            weights.step()
            over = float(excess.mean())
            price += _PRICE_RATE * over
            if (step + 1) % max(1, self.steps // 4) == 0:
                self.tell(f"gates: {step + 1} of {self.steps} steps, {over:.1%} over {limit_ms:.3f} ms")
        return [torch.log_softmax(each.detach().double(), 0).numpy() for each in logits]

    def _loss(self) -> TrainingLoss:
        subject = self.subject
        return TrainingLoss(subject.criterion, subject.teacher.network.eval(), TAUGHT)


def _drawn(logits: Sequence[torch.Tensor], count: int, rng: np.random.Generator) -> IntArray:
    """Widths from the gates, shape (count, slots)."""
    chances = [torch.softmax(each.detach().double(), 0).numpy() for each in logits]
    return np.stack([rng.choice(len(each), count, p=each / each.sum()) for each in chances], axis=1)


def _expected(logits: Sequence[torch.Tensor], drawn: IntArray, values: FloatArray) -> torch.Tensor:
    """A scalar with the gradient, in the logits, of the expectation of what was drawn (REINFORCE).

    Args:
        logits: One tensor a slot.
        drawn: Shape (n, slots).
        values: Of each draw, shape (n,), n at least 2; the mean is the baseline.
    """
    logs = [torch.log_softmax(each, 0) for each in logits]
    columns = zip(logs, drawn.T, strict=True)
    likelihood = torch.stack([each[torch.from_numpy(column)] for each, column in columns]).sum(0)
    better = torch.from_numpy(values - values.mean()).float()
    return (better * likelihood).sum() / (len(values) - 1)
