"""NAO (arXiv:1808.07233): gradient steps on the embedding of good architectures, decoded into new ones.

An encoder, a predictor and a decoder are trained together on what was scored. The embeddings of the best
networks are moved up the gradient of the predicted score, and decoded; the step grows until what is decoded
is new. Departures from the paper:

* What is decoded is the most probable architecture within the budgets (a beam search that drops what not
  even the cheapest rest keeps), not the most probable one: the gradient knows nothing of budgets and mostly
  points beyond them. Where costs are not additive, or the beam keeps no architecture, it is repaired.
* The predictor learns the rank of a score, scaled to [0, 1], instead of the score: networks that hardly
  learn at all would else leave no room between the good ones.
* The decoder also learns random feasible architectures that have no score. The paper's thousand sequences
  teach it what embeddings mean; a hundred it knows by heart, and decodes anything else at random.
* The step doubles instead of growing by one, up to seven times. Where that leads from one of the best to
  nothing new, a random network takes the place of what it would have become.
* Sizes are for a hundred scores and not a thousand: fewer units, and a model that goes on from the last
  fit.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from hwnas.latency.base import FloatArray, IntArray
from hwnas.search.problem import Problem
from hwnas.search.sampling.loop import Sampler, SamplingStrategy, require
from hwnas.search.sampling.neighbours import as_tuple

if TYPE_CHECKING:
    import torch

    from hwnas.search.sampling.autoencoder import Autoencoder

STEPS = tuple(10.0 * 2**doubled for doubled in range(7))
"""Lengths of the step along the gradient that are tried one after the other; the first is the paper's."""

BEAM = 16
"""Prefixes that decoding keeps."""

FIRST_FIT = 6
"""Fits that the first one is as long as."""

LEAST = 2
"""Scores below which there is nothing to learn from."""


def ranked(scores: FloatArray) -> FloatArray:
    """Scores by their rank, evenly from 0 to 1; equal ones share theirs. Shape (n,)."""
    below = (scores[:, None] > scores).sum(axis=1)
    equal = (scores[:, None] == scores).sum(axis=1)
    return np.asarray((below + (equal - 1) / 2) / max(len(scores) - 1, 1))


@dataclass(frozen=True, kw_only=True)
class NAO(SamplingStrategy):
    """Neural architecture optimisation.

    Attributes:
        initial: Random architectures to begin with.
        batch: Architectures between two fits, each from another one of the best.
        trade_off: Weight of the predictor in the loss; what it lacks to 1 is that of the decoder.
        fit_steps: Of Adam in a fit; the first has six times as many.
        unscored: Random architectures that the decoder learns besides; none in the paper.
    """

    name: ClassVar[str] = "nao"
    is_anytime: ClassVar[bool] = True

    initial: int = 20
    batch: int = 10
    trade_off: float = 0.9
    fit_steps: int = 50
    unscored: int = 500

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.initial >= LEAST, f"initial must be at least {LEAST}, but got {self.initial}")
        require(self.batch >= 1, f"batch must be at least 1, but got {self.batch}")
        require(0 < self.trade_off < 1, f"trade_off must be over 0 and below 1, but got {self.trade_off}")
        require(self.fit_steps >= 1, f"fit_steps must be at least 1, but got {self.fit_steps}")
        require(self.unscored >= 0, f"unscored must be at least 0, but got {self.unscored}")

    def sampler(self, problem: Problem, rng: np.random.Generator) -> Sampler:
        """A model that has seen nothing."""
        return _Optimiser(problem, rng, self)


class _Optimiser(Sampler):
    def __init__(self, problem: Problem, rng: np.random.Generator, settings: NAO) -> None:
        import torch

        from hwnas.search.sampling.autoencoder import LEARNING_RATE, Autoencoder

        super().__init__(problem, rng)
        self.settings = settings
        self.model: Autoencoder = Autoencoder(problem.space.sizes, rng)
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=LEARNING_RATE)
        self.is_additive = all(c.costs.is_additive for c in problem.constraints)
        self.started = 0
        self.is_fitted = False
        self.queue: deque[tuple[int, ...]] = deque()

    def ask(self) -> tuple[int, ...] | None:
        """Random at first, then what the embeddings of the best decode to, uphill of them."""
        if self.started < self.settings.initial or len(self.archive.scored()) < LEAST:
            self.started += 1
            return self.archive.fresh(self.rng)
        if not self.queue:
            self._fit()
            self.queue.extend(self._uphill())
            self._fill()
        return self.queue.popleft() if self.queue else None

    def _fit(self) -> None:
        from hwnas.search.sampling.autoencoder import Examples, train

        rows, scores = self._seen()
        examples = Examples(self.archive.canonical(rows), ranked(scores), self._unscored)
        train(
            self.model,
            self.optimizer,
            examples,
            self.rng,
            trade_off=self.settings.trade_off,
            steps=self.settings.fit_steps * (1 if self.is_fitted else FIRST_FIT),
        )
        self.is_fitted = True

    @cached_property
    def _unscored(self) -> IntArray:
        """Architectures that the decoder is to know, whatever they score."""
        return self.archive.canonical(self.archive.feasible.sample(self.settings.unscored, self.rng))

    def _fill(self) -> None:
        """Random architectures for those of the best from which nothing new was reached."""
        while len(self.queue) < self.settings.batch:
            found = self.archive.fresh(self.rng)
            if found is None:
                return
            self.queue.append(found)

    def _seen(self) -> tuple[IntArray, FloatArray]:
        """Every network that has a score, and its mean."""
        rows = self.archive.scored()
        return rows, np.array([self.archive.score(as_tuple(row)) for row in rows])

    def _uphill(self) -> list[tuple[int, ...]]:
        """Claim a new architecture for each of the best, the best first; none where it leads to none."""
        import torch

        rows, scores = self._seen()
        best = rows[np.argsort(-scores, kind="stable")[: self.settings.batch]]
        with torch.no_grad():
            embeddings = self.model.encode(torch.from_numpy(self.archive.canonical(best)))
        found = (self._new_from(embedding[None]) for embedding in embeddings)
        return [indices for indices in found if indices is not None]

    def _new_from(self, embedding: torch.Tensor) -> tuple[int, ...] | None:
        """Claim the first new architecture along the gradient."""
        for step in STEPS:
            indices = self._decoded(self.model.moved(embedding, step))
            if self.archive.claim(indices):
                return indices
        return None

    def _decoded(self, embedding: torch.Tensor) -> tuple[int, ...]:
        """The most probable architecture within the budgets that an embedding stands for."""
        from hwnas.search.sampling.autoencoder import Decoder
        from hwnas.search.sampling.controller import argmax, most_probable

        decoder, feasible = Decoder(self.model, embedding), self.archive.feasible
        if self.is_additive:
            return as_tuple(most_probable(decoder, feasible, width=BEAM))
        return as_tuple(feasible.repair(argmax(decoder, len(feasible.problem.space.sizes))))
