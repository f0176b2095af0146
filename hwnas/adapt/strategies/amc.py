"""An agent narrows group after group and learns from what the whole is worth untuned: AMC (arXiv:1802.03494).

As in the paper, the agent goes from front to back, says for each group which share of its channels stays, and
may not ask for so much that what follows could no longer keep the limit (its algorithm 1, with predicted
milliseconds for operations). What a network is worth is the task's metric without tuning, on a fixed part of
the validation images. Unlike there, shares become the nearest width that the space has, channels stay by
importance to the loss, and batch norms are estimated anew in the place of fitting weights to features.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from hwnas.adapt.glance import Glance
from hwnas.adapt.strategies.base import Indices, Tell, nearest, within
from hwnas.adapt.subject import Subject
from hwnas.latency.base import Cost, FloatArray
from hwnas.search.ddpg import LEAST_LEARNING, SETTLED, Agent, Step, cooled
from hwnas.search.problem import Problem
from hwnas.widths.layers import layers_of

_AGAIN = 0.05
"""Share of the episodes for a limit close to one that an agent has learnt for."""


@dataclass
class Amc:
    """The best widths that an agent comes upon, or ends with.

    Attributes:
        subject: The network.
        costs: Of its widths, in ms.
        tell: Told now and then.
        episodes: Networks that are scored for a limit; one to three seconds each on one core for a
            network of the size of EfficientNet-Lite0 at 96 pixels. The paper's are 400.
        images: Validation images that networks are scored by.
    """

    subject: Subject
    costs: Cost
    tell: Tell
    episodes: int = 120
    images: int = 256
    _agents: dict[float, Agent] = field(default_factory=dict, repr=False)
    _answers: dict[float, Indices] = field(default_factory=dict, repr=False)
    _worth: dict[Indices, float] = field(default_factory=dict, repr=False)

    def propose(self, limit_ms: float) -> Indices:
        """As of ``WidthStrategy``."""
        problem = within(self.subject, self.costs, limit_ms)
        if limit_ms not in self._answers:
            self._learn(limit_ms)
            tried = np.array(list(self._worth))
            kept = [tuple(map(int, row)) for row in tried[problem.feasible(tried)]]
            self._answers[limit_ms] = max(kept, key=self._worth.__getitem__)
        return self._answers[limit_ms]

    def _learn(self, limit_ms: float) -> None:
        near = nearest(self._agents, limit_ms)
        count = self.episodes if near is None else max(1, round(_AGAIN * self.episodes))
        if near is None:
            rng = np.random.default_rng([self.subject.seed, len(self._agents)])
            self._agents[limit_ms] = Agent(self._track.features, rng)
        agent = self._agents[limit_ms if near is None else near]
        for number in range(count):
            noise = SETTLED if near is not None else cooled(number / count)
            indices, steps = self._episode(agent, limit_ms, noise)
            agent.remember(steps, self._worth_of(indices))
            agent.learn(max(len(steps), LEAST_LEARNING))
            if (number + 1) % max(1, count // 4) == 0:
                self.tell(f"amc: {number + 1} of {count} episodes, best {max(self._worth.values()):.4f}")
        self._worth_of(self._episode(agent, limit_ms, 0.0)[0])

    def _episode(self, agent: Agent, limit_ms: float, noise: float) -> tuple[Indices, list[Step]]:
        """Widths from front to back, and the steps there."""
        problem = within(self.subject, self.costs, limit_ms)
        chosen, steps, last = Indices(), list[Step](), 1.0
        for size in self.subject.space.sizes:
            if size > 1:
                state = self._track.state(chosen, limit_ms, last)
                index = self._track.bounded(chosen, agent.act(state, noise), problem)
                last = self._track.shares[len(chosen)][index]
                steps.append((state, last))
            else:
                index = 0
            chosen = (*chosen, index)
        return chosen, steps

    def _worth_of(self, indices: Indices) -> float:
        if indices not in self._worth:
            self._worth[indices] = self._glance.of(indices)
        return self._worth[indices]

    @cached_property
    def _glance(self) -> Glance:
        return Glance(self.subject, self.images)

    @cached_property
    def _track(self) -> _Track:
        return _Track(self.subject, self.costs)


@dataclass(frozen=True)
class _Track:
    """What an agent sees on its way through the groups, and how far it may go.

    Attributes:
        subject: The network.
        costs: Of its widths, in ms.
    """

    subject: Subject
    costs: Cost

    @cached_property
    def shares(self) -> tuple[tuple[float, ...], ...]:
        """Of each group the share of channels at each width."""
        return tuple(tuple(width / widths[-1] for width in widths) for widths in self.subject.space.widths)

    @property
    def features(self) -> int:
        """Of a state."""
        return int(self._fixed.shape[1]) + 4

    def state(self, chosen: Indices, limit_ms: float, last: float) -> FloatArray:
        """Where an agent is: what is known of the group, and of what the groups before it left.

        Args:
            chosen: Widths of the groups before.
            limit_ms: To be kept.
            last: Share of the channels that the group before has.

        Returns:
            Shape (features,), about in [0, 1].
        """
        slot = len(chosen)
        wide, narrow = self._costs(
            [(*chosen, *self.subject.space.whole[slot:]), (*chosen, *self._fastest[slot:])]
        )
        whole = self._costs([self.subject.space.whole])[0]
        moving = np.array([whole - wide, wide - narrow, max(0.0, wide - limit_ms)]) / whole
        return np.array([*self._fixed[slot], *moving, last])

    def bounded(self, chosen: Indices, share: float, problem: Problem) -> int:
        """The width nearest to a share with which the groups that follow can still keep the limit.

        Args:
            chosen: Widths of the groups before, which can keep it.
            share: Of the channels.
            problem: The limit.
        """
        slot = len(chosen)
        rest = self._fastest[slot + 1 :]
        every = np.array([(*chosen, index, *rest) for index in range(self.subject.space.sizes[slot])])
        possible = np.flatnonzero(problem.feasible(every))
        away = np.abs(np.array(self.shares[slot])[possible] - share)
        return int(possible[away.argmin()])

    @cached_property
    def _fastest(self) -> Indices:
        return tuple(int(index) for index in self.costs.ends[0])

    def _costs(self, rows: Sequence[Indices]) -> FloatArray:
        return self.costs.of(np.array(rows))

    @cached_property
    def _fixed(self) -> FloatArray:
        """What does not change, the largest of each column 1: shape (groups, features).

        Number of the group, its channels, those that its first layer reads, height, width, stride and kernel
        of that, how many layers make the group, how many hand it on, and what its widest costs over its
        fastest with all else whole.
        """
        layers = {layer.path: layer for layer in reversed(layers_of(self.subject.found))}
        rows = []
        for slot, group in enumerate(self.subject.space.groups):
            layer = layers[group.name]
            form: Any = layer.workload.block
            fewer = (
                *self.subject.space.whole[:slot],
                self._fastest[slot],
                *self.subject.space.whole[slot + 1 :],
            )
            wide, narrow = self._costs([self.subject.space.whole, fewer])
            rows.append(
                [
                    slot,
                    group.channels,
                    layer.in_channels,
                    *layer.in_size,
                    form.strides[0],
                    form.kernel[0],
                    len(group.makers),
                    len(group.handed_on),
                    max(0.0, wide - narrow),
                ]
            )
        table = np.array(rows, np.float64)
        most: FloatArray = np.maximum(table.max(axis=0), 1e-12)
        return table / most
