"""A policy over mutations: which choice of an architecture changes, and to which candidate.

A bidirectional LSTM reads the architecture, so that what it knows of each choice depends on those before and
after. One head picks the place by that, another the candidate that comes there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from hwnas.search.sampling.controller import WIDTH, begin_small
from hwnas.search.sampling.masked import masked

Allowed = tuple[np.ndarray, ...]
"""Which changes of an architecture may be made: an array of bool a choice, shape (candidates,)."""


@dataclass(frozen=True, eq=False)
class Mutation:
    """One choice of an architecture that takes another candidate.

    Attributes:
        parent: The architecture before.
        allowed: What it was picked among.
        place: The choice that changes.
        candidate: What comes there.
    """

    parent: tuple[int, ...]
    allowed: Allowed
    place: int
    candidate: int

    @property
    def child(self) -> tuple[int, ...]:
        """The architecture afterwards."""
        return (*self.parent[: self.place], self.candidate, *self.parent[self.place + 1 :])


class Mutator(nn.Module):
    """Probability of each mutation of an architecture.

    Args:
        sizes: Candidates of each choice.
        rng: For the initial weights.
    """

    def __init__(self, sizes: tuple[int, ...], rng: np.random.Generator) -> None:
        super().__init__()
        self.starts = torch.from_numpy(np.concatenate([[0], np.cumsum(sizes)[:-1]]))
        self.embedding = nn.Embedding(sum(sizes), WIDTH)
        self.encoder = nn.LSTM(WIDTH, WIDTH, bidirectional=True)
        self.router = nn.Linear(2 * WIDTH, 1)
        self.heads = nn.ModuleList(nn.Linear(2 * WIDTH, size) for size in sizes)
        begin_small(self.parameters(), rng)

    def places(self, parent: tuple[int, ...], allowed: Allowed) -> tuple[torch.Tensor, torch.Tensor]:
        """Log-probability of each place, shape (choices,), and what is known of it, (choices, 2 x WIDTH)."""
        states, _ = self.encoder(self.embedding(torch.tensor(parent) + self.starts))
        return masked(self.router(states)[:, 0], np.array([part.any() for part in allowed])), states

    def candidates(self, states: torch.Tensor, place: int, allowed: Allowed) -> torch.Tensor:
        """Log-probability of each candidate that may come to a place, shape (candidates,)."""
        return masked(self.heads[place](states[place]), allowed[place])

    def sample(self, parent: tuple[int, ...], allowed: Allowed, rng: np.random.Generator) -> Mutation:
        """One mutation of those that are allowed, of which there is one at least."""
        with torch.no_grad():
            places, states = self.places(parent, allowed)
            place = _drawn(places, rng)
            return Mutation(parent, allowed, place, _drawn(self.candidates(states, place, allowed), rng))

    def score(self, births: Sequence[Sequence[Mutation]], /) -> tuple[torch.Tensor, torch.Tensor]:
        """Log-probability of what led to each child, and mean entropy of a place, each of shape (n,)."""
        logs, entropies = zip(*(self._score(mutations) for mutations in births), strict=True)
        return torch.stack(logs), torch.stack(entropies)

    def _score(self, mutations: Sequence[Mutation]) -> tuple[torch.Tensor, torch.Tensor]:
        total, entropy = torch.zeros(()), torch.zeros(())
        for mutation in mutations:
            places, states = self.places(mutation.parent, mutation.allowed)
            candidates = self.candidates(states, mutation.place, mutation.allowed)
            total = total + places[mutation.place] + candidates[mutation.candidate]
            entropy = entropy - (places.exp() * places).sum()
        return total, entropy / len(mutations)


def _drawn(logs: torch.Tensor, rng: np.random.Generator) -> int:
    """A number drawn with the given log-probabilities, shape (n,)."""
    chances = logs.exp().double().numpy()
    return int(rng.choice(len(chances), p=chances / chances.sum()))
