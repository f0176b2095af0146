"""An agent says precision after precision and learns from what whole files lose: HAQ (arXiv:1811.08886).

As in the paper, the agent (DDPG) goes from front to back and says of each layer how fine it is to be; a
network that costs too much is lowered layer by layer until it keeps the limit; reward is the metric of the
file relative to fp32. Unlike there, layers are lowered first that the agent wants coarsest, and not the last
ones: where few layers matter, that would leave the first ones alone. Precisions are those of a runtime, costs
its rows and switches, and weights stay as they are. No limit is given: it is moved by halves to the least at
which the loss is allowed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from hwnas.bits.prices import Indices
from hwnas.bits.subject import BitSubject
from hwnas.latency.base import FloatArray
from hwnas.runtimes.base import PRECISIONS
from hwnas.search.ddpg import LEAST_LEARNING, Agent, Step, cooled


@dataclass
class Haq:
    """The cheapest precisions that an agent came upon and that lose no more than is allowed.

    Attributes:
        subject: The network.
        limits: How often the limit is moved.
        episodes: Files that are scored for each. The paper's are 600 for one.
    """

    subject: BitSubject
    limits: int = 5
    episodes: int = 30

    def __post_init__(self) -> None:
        self._agent = Agent(self._fixed.shape[1] + 3, np.random.default_rng(self.subject.seed))
        self._seen: dict[Indices, float] = {}

    def choose(self) -> Indices:
        """As of ``BitStrategy``."""
        prices, allowed = self.subject.prices, self.subject.allowed
        low, high = prices.of(self.subject.cheapest), prices.of(self.subject.finest)
        for number in range(self.limits):
            limit = (low + high) / 2
            if limit >= high:  # fp32 throughout costs least
                break
            self._learn(limit)
            held = [prices.of(each) for each, lost in self._seen.items() if lost <= allowed]
            least = min(held, default=high)
            low, high = (low, min(high, least)) if least <= limit else (limit, min(high, least))
            said = prices.said_added(self._cheapest_held())
            self.subject.tell(f"haq: limit {number + 1} of {self.limits}: {said}")
        return self.subject.cheapest_of(self._seen)

    def _cheapest_held(self) -> Indices:
        held = [each for each, lost in self._seen.items() if lost <= self.subject.allowed]
        return min(held, key=self.subject.prices.of, default=self.subject.finest)

    def _learn(self, limit: float) -> None:
        """Episodes of one limit."""
        for number in range(self.episodes):
            said, steps = self._episode(limit, cooled(number / self.episodes))
            indices = self._lowered(said, [action for _, action in steps], limit)
            if indices not in self._seen:
                self._seen[indices] = self.subject.glance(indices)
            self._agent.remember(steps, -self._seen[indices] / 100)
            self._agent.learn(max(len(steps), LEAST_LEARNING))

    def _episode(self, limit: float, noise: float) -> tuple[Indices, list[Step]]:
        """What the agent says, from front to back."""
        said, steps, last = list(self.subject.whole), list[Step](), 0.0
        for layer in range(len(said)):
            state = np.array([*self._fixed[layer], *self._spent(tuple(said), limit), last])
            last = self._agent.act(state, noise)
            steps.append((state, last))
            count = len(self._by_fineness)
            said[layer] = self._by_fineness[min(int(last * count), count - 1)]
        return tuple(said), steps

    def _lowered(self, said: Indices, actions: Sequence[float], limit: float) -> Indices:
        """Layer by layer one step coarser, those of the least action first, until the limit is kept."""
        prices, found = self.subject.prices, list(said)
        order = sorted(range(len(found)), key=actions.__getitem__)
        while any(found):
            for layer in order:
                if prices.of(tuple(found)) <= limit:
                    return tuple(found)
                fineness = self._by_fineness.index(found[layer])
                found[layer] = self._by_fineness[max(0, fineness - 1)]
        return tuple(found) if prices.of(tuple(found)) <= limit else self.subject.cheapest

    def _spent(self, said: Indices, limit: float) -> tuple[float, float]:
        """What the layers so far add, and what the limit leaves: of what fp32 throughout would."""
        most = self._most
        return self.subject.prices.added(said) / most, (limit - self.subject.prices.of(said)) / most

    @cached_property
    def _most(self) -> float:
        return max(abs(self.subject.prices.added(self.subject.finest)), 1e-12)

    @cached_property
    def _by_fineness(self) -> tuple[int, ...]:
        """Numbers of the precisions, the coarsest first: fp32 is the finest, and 16x8 is finer than int8."""
        states = self.subject.prices.states
        return tuple(sorted(range(len(states)), key=lambda n: (n > 0, not PRECISIONS[states[n]].is_whole)))

    @cached_property
    def _fixed(self) -> FloatArray:
        """What the paper's state says of a layer, the largest of each column 1: shape (layers, features).

        Its number, channels that it reads and makes, kernel, stride, places, weights, and whether it is
        depthwise.
        """
        rows = []
        for number, layer in enumerate(self.subject.layers):
            form: Any = layer.workload.block
            _, height, width = layer.workload.in_shapes[0]
            is_depthwise = form.groups == form.in_channels > 1
            sizes = (form.in_channels, form.out_channels, form.kernel[0], form.strides[0], height * width)
            rows.append([number, *sizes, form.params(), float(is_depthwise)])
        table = np.array(rows, np.float64)
        return np.asarray(table / np.maximum(table.max(axis=0), 1e-12))
