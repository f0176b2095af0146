"""Gates learn what noise each precision brings and what it costs: mixed-precision DNAS (arXiv:1812.00090).

As in the paper, each layer of a stochastic super net has a distribution over precisions, drawn by
Gumbel-softmax at a temperature that falls, and its objective holds what networks cost on average; what is
most probable, and others drawn, are then scored. Unlike there, costs are rows and switches of a runtime, and
weights stay as they are: what gates learn by is the distance to the answers of fp32. The price of costs is
raised, by halves, as far as the most probable file still loses no more than is allowed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import sqrt

import numpy as np
import torch

from hwnas.bits.gated import GatedPrecisions
from hwnas.bits.prices import Indices
from hwnas.bits.subject import BitSubject
from hwnas.export import parity
from hwnas.runtimes.base import arrays
from hwnas.search.oneshot.gates import CostTensors, gumbel_softmax
from hwnas.train.optim import check_finite

_BATCH = 32
_RATE = 0.1
_HOT, _COLD = 5.0, 0.5
"""Temperature of the first step, and of the last."""
_PRICES = 1e-4, 1e2
"""Of all layers in fp32 over int8, in noise over signal: a network without signal has 1."""


@dataclass
class MixedDnas:
    """The cheapest of what gates found that loses no more than is allowed.

    Attributes:
        subject: The network.
        prices: How often gates learn, each time at another price.
        steps: Batches that they learn from.
        drawn: Networks that are drawn from what they learnt, beside the most probable one.
    """

    subject: BitSubject
    prices: int = 6
    steps: int = 40
    drawn: int = 3

    def choose(self) -> Indices:
        """As of ``BitStrategy``."""
        low, high = _PRICES
        rng, tried = np.random.default_rng(self.subject.seed), list[Indices]()
        for number in range(self.prices):
            price = sqrt(low * high)
            chances = self._learnt(price, rng)
            probable = tuple(int(each.argmax()) for each in chances)
            tried.append(probable)
            tried += [tuple(int(rng.choice(len(p), p=p)) for p in chances) for _ in range(self.drawn)]
            lost = self.subject.glance(probable)
            low, high = (price, high) if lost <= self.subject.allowed else (low, price)
            said = f"{self.subject.prices.said_added(probable)}, {lost:.2f} lost"
            self.subject.tell(f"mixed-dnas: price {number + 1} of {self.prices}: {said}")
        return self.subject.cheapest_of(tried)

    def _learnt(self, price: float, rng: np.random.Generator) -> list[np.ndarray]:
        """Probabilities that gates learnt at a price, shape (states,) a layer."""
        logits = [torch.zeros(size, requires_grad=True) for size in self.subject.sizes]
        learning = torch.optim.Adam(logits, _RATE)
        images, costs = torch.from_numpy(self.subject.images), self._costs
        span = abs(self.subject.prices.added(self.subject.finest)) or 1.0
        for step in range(self.steps):
            temperature = _HOT * (_COLD / _HOT) ** (step / max(1, self.steps - 1))
            drawn = torch.from_numpy(rng.integers(len(images), size=_BATCH))
            answers = self._network(images[drawn], gumbel_softmax(logits, temperature, rng))
            noise = _noise(answers, [exact[drawn] for exact in self._exact])
            check_finite(noise, "of gates over precisions")
            expected = costs.expected([torch.softmax(each, 0) for each in logits])[0] / span
            gradients = torch.autograd.grad(noise + price * expected, logits)
            for each, gradient in zip(logits, gradients, strict=True):
                each.grad = gradient
            learning.step()
        chances = [torch.softmax(each.detach().double(), 0).numpy() for each in logits]
        return [each / each.sum() for each in chances]

    @cached_property
    def _exact(self) -> tuple[torch.Tensor, ...]:
        """What the network answers all images in fp32."""
        answers = parity.answers(self.subject.network, self.subject.images)
        return tuple(map(torch.from_numpy, arrays(answers)))

    @cached_property
    def _network(self) -> GatedPrecisions:
        subject = self.subject
        images = torch.from_numpy(subject.images)
        return GatedPrecisions(subject.network, subject.prices.states, subject.runtime, images)

    @cached_property
    def _costs(self) -> CostTensors:
        subject = self.subject
        return CostTensors(subject.within(subject.prices.costs.range[1]).constraints)


def _noise(answers: Sequence[torch.Tensor], exact: Sequence[torch.Tensor]) -> torch.Tensor:
    """Noise over signal, of several answers the mean."""
    each = [
        (found - right).square().sum() / right.square().sum().clamp(min=1e-12)
        for found, right in zip(answers, exact, strict=True)
    ]
    return torch.stack(each).mean()
