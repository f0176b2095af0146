"""A recurrent policy over architectures, and its training by policy gradient.

An LSTM decides choice after choice, each decision fed into the next (Zoph & Le,
arXiv:1611.01578; MnasNet, arXiv:1807.11626). Training is proximal policy optimisation
(arXiv:1707.06347, equation 7); with one epoch a batch that is REINFORCE.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

import numpy as np
import torch
from torch import nn

from hwnas.latency.base import FloatArray, IntArray
from hwnas.search.feasible import FeasibleSampler
from hwnas.search.problem import Problem
from hwnas.search.sampling.affordable import Affordable

WIDTH = 64
"""Units of the LSTM and of the embedding of a decision."""

CLIP = 0.2
"""The probability ratio may move so far from 1 within the epochs on one batch."""


def begin_small(parameters: Iterable[nn.Parameter], rng: np.random.Generator) -> None:
    """Draw small weights, so that all candidates are nearly alike at first."""
    generator = torch.Generator().manual_seed(int(rng.integers(2**31)))
    for parameter in parameters:
        nn.init.uniform_(parameter, -0.1, 0.1, generator=generator)


def moving_average(old: float, new: float, decay: float) -> float:
    """Exponential average: ``decay`` of the old value, the rest of the new one."""
    return decay * old + (1 - decay) * new


@dataclass
class RewardBaseline:
    """Exponential moving average of rewards.

    Attributes:
        decay: Weight of the old value.
        value: The average; None before the first reward.
    """

    decay: float = 0.95
    value: float | None = field(default=None)

    def update(self, reward: float) -> None:
        """Take in one reward; the first one is the average."""
        old = reward if self.value is None else self.value
        self.value = moving_average(old, reward, self.decay)


State = tuple[torch.Tensor, ...]
"""What a policy keeps of the decisions before, a row an architecture: an LSTM its output and its memory."""

Drawn = TypeVar("Drawn", contravariant=True)
"""What a policy draws, several at once."""


class Policy(Protocol):
    """Decides choice after choice, each decision fed into the next."""

    def step(self, number: int, before: torch.Tensor, state: State | None) -> tuple[torch.Tensor, State]:
        """Log-probabilities of choice ``number``, shape (n, candidates), and the new state.

        Args:
            number: The choice to decide.
            before: Decisions on the choice before, shape (n,); ignored for the first.
            state: After the choice before; None for the first.
        """


class Trainable(Protocol[Drawn]):
    """What learns by policy gradient."""

    def score(self, drawn: Drawn, /) -> tuple[torch.Tensor, torch.Tensor]:
        """Log-probability of what was drawn and mean entropy of a decision, each of shape (n,)."""


class Controller(nn.Module):
    """Probability of each candidate, given the decisions before.

    Args:
        sizes: Candidates of each choice.
        rng: For the initial weights.
    """

    def __init__(self, sizes: tuple[int, ...], rng: np.random.Generator) -> None:
        super().__init__()
        self.sizes = sizes
        self.starts = [0, *np.cumsum(sizes).tolist()]  # the last is the embedding of the beginning
        self.embedding = nn.Embedding(sum(sizes) + 1, WIDTH)
        self.cell = nn.LSTMCell(WIDTH, WIDTH)
        self.heads = nn.ModuleList(nn.Linear(WIDTH, size) for size in sizes)
        begin_small(self.parameters(), rng)

    def step(self, number: int, before: torch.Tensor, state: State | None) -> tuple[torch.Tensor, State]:
        """As of every policy; the state is that of the LSTM."""
        token = before + self.starts[number - 1] if number else torch.full_like(before, self.starts[-1])
        hidden, memory = self.cell(self.embedding(token), state)
        return torch.log_softmax(self.heads[number](hidden), dim=1), (hidden, memory)

    def sample(self, count: int, rng: np.random.Generator) -> IntArray:
        """Independent architectures, shape (count, choices)."""
        picked = np.zeros((count, len(self.sizes)), np.int64)
        state, before = None, torch.zeros(count, dtype=torch.long)
        with torch.no_grad():
            for number, size in enumerate(self.sizes):
                logs, state = self.step(number, before, state)
                heights = logs.exp().double().numpy().cumsum(axis=1)
                at = rng.random(count) * heights[:, -1]
                picked[:, number] = np.minimum((heights <= at[:, None]).sum(axis=1), size - 1)
                before = torch.from_numpy(picked[:, number])
        return picked

    def argmax(self) -> IntArray:
        """The most probable candidate at each choice, given those before, shape (choices,)."""
        return argmax(self, len(self.sizes))

    def score(self, indices: IntArray) -> tuple[torch.Tensor, torch.Tensor]:
        """Log-probability of architectures and mean entropy of a decision, each of shape (n,)."""
        columns = torch.from_numpy(np.asarray(indices, dtype=np.int64)).T
        state, before = None, torch.zeros_like(columns[0])
        total, entropy = torch.zeros(len(before)), torch.zeros(len(before))
        for number, column in enumerate(columns):
            logs, state = self.step(number, before, state)
            total = total + logs.gather(1, column[:, None])[:, 0]
            entropy = entropy - (logs.exp() * logs).sum(dim=1)
            before = column
        return total, entropy / len(columns)


def improve(
    policy: Trainable[Drawn],
    optimizer: torch.optim.Optimizer,
    drawn: Drawn,
    advantages: FloatArray,
    old_logs: FloatArray,
    *,
    epochs: int,
    entropy: float = 0.0,
) -> None:
    """Make more probable what did better than expected.

    Args:
        policy: Changed in place.
        optimizer: Of the policy's parameters.
        drawn: What was sampled, n of them.
        advantages: Reward minus baseline, shape (n,).
        old_logs: Log-probabilities when it was sampled, shape (n,).
        epochs: Steps on this batch; 1 is REINFORCE.
        entropy: Weight of the mean entropy of a decision, which keeps the policy exploring.
    """
    gain, old = torch.from_numpy(advantages).float(), torch.from_numpy(old_logs).float()
    for _ in range(epochs):
        logs, spread = policy.score(drawn)
        ratio = torch.exp(logs - old)
        clipped = ratio.clamp(1 - CLIP, 1 + CLIP)
        loss = -torch.minimum(ratio * gain, clipped * gain).mean() - entropy * spread.mean()
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()


def argmax(policy: Policy, choices: int) -> IntArray:
    """The most probable candidate at each of so many choices, given those before, shape (choices,)."""
    state, before = None, torch.zeros(1, dtype=torch.long)
    picked = []
    with torch.no_grad():
        for number in range(choices):
            logs, state = policy.step(number, before, state)
            before = logs.argmax(dim=1)
            picked.append(int(before))
    return np.array(picked, dtype=np.int64)


def most_probable(policy: Policy, feasible: FeasibleSampler, *, width: int) -> IntArray:
    """As ``decode``; the repaired arg-max where no prefix of the beam keeps several budgets to the end."""
    found = decode(policy, feasible.problem, width=width)
    if found is None:
        found = feasible.repair(argmax(policy, len(feasible.problem.space.sizes)))
    return found


def decode(policy: Policy, problem: Problem, *, width: int) -> IntArray | None:
    """The most probable architecture within the budgets, by beam search, shape (choices,).

    A prefix that not even the cheapest rest would keep within a budget is dropped, so that with
    one budget there is always a result.

    Args:
        policy: What decides.
        problem: The budgets.
        width: Prefixes kept at each choice.

    Returns:
        None where no prefix in the beam keeps several budgets to the end.
    """
    affordable = Affordable.of(problem, "a policy that decides choice after choice")
    spent = affordable.fixed[None]
    prefixes, totals = np.zeros((1, 0), np.int64), np.zeros(1)
    state, before = None, torch.zeros(1, dtype=torch.long)
    for number in range(len(affordable.costs)):
        with torch.no_grad():
            logs, state = policy.step(number, before, state)
        scores = totals[:, None] + logs.double().numpy()
        after = affordable.after(number, spent)
        scores[~affordable.may_follow(number, after)] = -np.inf
        best = np.argsort(-scores, axis=None, kind="stable")[:width]
        best = best[np.isfinite(scores.ravel()[best])]
        if not len(best):
            return None
        parents, picked = np.unravel_index(best, scores.shape)
        prefixes = np.concatenate([prefixes[parents], picked[:, None]], axis=1)
        totals, spent = scores[parents, picked], after[parents, picked]
        state = tuple(part[parents] for part in state)
        before = torch.from_numpy(picked.astype(np.int64))
    kept = prefixes[problem.feasible(prefixes)]
    return kept[0] if len(kept) else None
