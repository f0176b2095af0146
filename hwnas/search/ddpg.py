"""An agent that learns actions from what whole episodes were worth: DDPG (arXiv:1509.02971), as in AMC."""

from __future__ import annotations

import copy
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import exp, log

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from hwnas.latency.base import FloatArray
from hwnas.seeding import Seeded

_UNITS = 300
_ACTOR_RATE, _CRITIC_RATE = 1e-4, 1e-3
_TRACKING = 0.01
"""Share that the target networks move towards the learning ones in a step."""
_REMEMBERED = 2000
_BATCH = 64
_BASELINE_DECAY = 0.95

LEAST_LEARNING = 16
"""Batches that an agent learns from an episode; AMC's one a step, where there are more steps."""

_NOISE, _LEFT = 0.5, 0.05
_EXPLORING = 0.25
"""Share of the episodes that begin with the whole noise; it then falls to a twentieth."""
SETTLED = _NOISE * _LEFT
"""Noise of an agent that has learnt."""

Step = tuple[FloatArray, float]
"""A state, shape (features,), and the action in [0, 1] that was taken there."""


@dataclass(frozen=True)
class _Transition:
    state: FloatArray
    action: float
    reward: float
    following: FloatArray
    goes_on: float


@dataclass
class Agent:
    """Actor and critic of 300 and 300 units, and what they remember.

    Every step of an episode is rewarded with what the episode was worth, less a moving average, and worth is
    not discounted (arXiv:1802.03494, section 3.3).

    Attributes:
        features: Of a state.
        rng: Where all randomness comes from.
        baseline: Moving average of what episodes were worth; None before the first.
    """

    features: int
    rng: np.random.Generator
    baseline: float | None = None
    _memory: deque[_Transition] = field(default_factory=lambda: deque(maxlen=_REMEMBERED), repr=False)

    def __post_init__(self) -> None:
        with Seeded(int(self.rng.integers(2**31))):
            self._actor = nn.Sequential(_layers(self.features), nn.Sigmoid())
            self._critic = _layers(self.features + 1)
        self._targets = copy.deepcopy(nn.ModuleList([self._actor, self._critic]))
        self._acting = torch.optim.Adam(self._actor.parameters(), _ACTOR_RATE)
        self._judging = torch.optim.Adam(self._critic.parameters(), _CRITIC_RATE)

    @torch.no_grad()
    def act(self, state: FloatArray, noise: float = 0.0) -> float:
        """An action in [0, 1], drawn around what is best; ``noise`` is the deviation before truncation."""
        best = float(self._actor(torch.from_numpy(state).float()))
        return best if noise <= 0 else _truncated_normal(best, noise, self.rng)

    def remember(self, episode: Sequence[Step], reward: float) -> None:
        """Take in the steps of an episode, and what it was worth."""
        for number, (state, action) in enumerate(episode):
            goes_on = number + 1 < len(episode)
            following = episode[number + 1][0] if goes_on else np.zeros_like(state)
            self._memory.append(_Transition(state, action, reward, following, float(goes_on)))
        old = reward if self.baseline is None else self.baseline
        self.baseline = _BASELINE_DECAY * old + (1 - _BASELINE_DECAY) * reward

    def learn(self, steps: int) -> None:
        """Learn from random memories, a batch a step."""
        for _ in range(steps if self._memory else 0):
            rows = self.rng.integers(len(self._memory), size=min(_BATCH, len(self._memory)))
            self._step([self._memory[row] for row in rows])

    def _step(self, batch: Sequence[_Transition]) -> None:
        states, following = (
            torch.from_numpy(np.stack(each)).float()
            for each in ([t.state for t in batch], [t.following for t in batch])
        )
        actions, rewards, goes_on = (
            torch.tensor(each)[:, None]
            for each in ([t.action for t in batch], [t.reward for t in batch], [t.goes_on for t in batch])
        )
        actor, critic = self._targets
        with torch.no_grad():
            ahead = goes_on * critic(torch.cat([following, actor(following)], 1))
            wanted = rewards - (self.baseline or 0.0) + ahead
        self._judging.zero_grad()
        functional.mse_loss(self._critic(torch.cat([states, actions], 1)), wanted).backward()  # type: ignore[no-untyped-call]
        self._judging.step()
        self._acting.zero_grad()
        (-self._critic(torch.cat([states, self._actor(states)], 1)).mean()).backward()
        self._acting.step()
        learning = [*self._actor.parameters(), *self._critic.parameters()]
        with torch.no_grad():
            for target, parameter in zip(self._targets.parameters(), learning, strict=True):
                target.lerp_(parameter, _TRACKING)


def cooled(progress: float) -> float:
    """Noise after a share of the episodes."""
    falling = max(0.0, progress - _EXPLORING) / (1 - _EXPLORING)
    return _NOISE * exp(log(_LEFT) * falling)


def _layers(inputs: int) -> nn.Sequential:
    last = nn.Linear(_UNITS, 1)
    nn.init.uniform_(last.weight, -3e-3, 3e-3)  # so that first actions are in the middle, whatever the state
    nn.init.zeros_(last.bias)
    return nn.Sequential(nn.Linear(inputs, _UNITS), nn.ReLU(), nn.Linear(_UNITS, _UNITS), nn.ReLU(), last)


def _truncated_normal(mean: float, deviation: float, rng: np.random.Generator) -> float:
    """Drawn from a normal distribution cut to [0, 1], by its inverse."""
    from scipy.special import ndtr, ndtri

    low, high = ndtr((np.array([0.0, 1.0]) - mean) / deviation)
    return float(np.clip(mean + deviation * ndtri(rng.uniform(low, high)), 0.0, 1.0))
