"""Architectures as points between which one can move: the three networks of NAO (arXiv:1808.07233).

An LSTM encodes the sequence of candidates, an embedding a choice. A predictor reads their mean; a decoder,
an LSTM that attends to them, says choice after choice which candidate they stand for. All three are trained
together.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from hwnas.latency.base import FloatArray, IntArray
from hwnas.search.sampling.controller import State, begin_small

EMBEDDING, WIDTH = 32, 64
"""Units of the embedding of a candidate and of the LSTMs; the paper's are 32 and 96."""

LEARNING_RATE = 1e-3
"""Of Adam, as in the paper."""

UNSCORED = 32
"""Architectures without a score in a step of the training, at most."""


class Autoencoder(nn.Module):
    """Encoder, predictor and decoder of architectures.

    Args:
        sizes: Candidates of each choice.
        rng: For the initial weights.
    """

    def __init__(self, sizes: tuple[int, ...], rng: np.random.Generator) -> None:
        super().__init__()
        self.sizes = sizes
        self.starts = [0, *np.cumsum(sizes).tolist()]  # the last is the embedding of the beginning
        self.embedding = nn.Embedding(sum(sizes) + 1, EMBEDDING)
        self.encoder = nn.LSTM(EMBEDDING, WIDTH, batch_first=True)
        self.predictor = nn.Linear(WIDTH, 1)
        self.decoder = nn.LSTM(EMBEDDING, WIDTH, batch_first=True)
        self.attended = nn.Linear(2 * WIDTH, WIDTH)
        self.head = nn.Linear(WIDTH, sum(sizes))
        begin_small(self.parameters(), rng)

    def encode(self, indices: torch.Tensor) -> torch.Tensor:
        """Embeddings of length 1: shape (n, choices) to (n, choices, WIDTH)."""
        states, _ = self.encoder(self.embedding(indices + torch.tensor(self.starts[:-1])))
        return functional.normalize(states, dim=-1)

    def predict(self, embeddings: torch.Tensor) -> torch.Tensor:
        """Scores in (0, 1): shape (n, choices, WIDTH) to (n,)."""
        return torch.sigmoid(self.predictor(_whole(embeddings))[:, 0])

    def moved(self, embeddings: torch.Tensor, step: float) -> torch.Tensor:
        """Embeddings after one step up the gradient of the predicted score, of length 1 again."""
        start = embeddings.detach().requires_grad_()
        (slope,) = torch.autograd.grad(self.predict(start).sum(), start)
        return functional.normalize(start.detach() + step * slope, dim=-1)

    def log_probabilities(self, embeddings: torch.Tensor, indices: torch.Tensor) -> torch.Tensor:
        """Of each candidate of an architecture, given those before it: shape (n, choices)."""
        tokens = indices + torch.tensor(self.starts[:-1])
        before = functional.pad(tokens[:, :-1], (1, 0), value=self.starts[-1])
        states, _ = self.decoder(self.embedding(before), _begin(embeddings))
        logits = self.head(self._attend(states, embeddings))
        logs = torch.log_softmax(logits.masked_fill(~self._own(), -torch.inf), dim=-1)
        return logs.gather(2, tokens[..., None])[..., 0]

    def next_choice(
        self, number: int, before: torch.Tensor, state: State | None, embedding: torch.Tensor
    ) -> tuple[torch.Tensor, State]:
        """Log-probabilities of a choice of one architecture after several prefixes; see ``Policy``."""
        token = before + self.starts[number - 1] if number else torch.full_like(before, self.starts[-1])
        begin = _begin(embedding) if state is None else (state[0][None], state[1][None])
        states, (hidden, memory) = self.decoder(self.embedding(token)[:, None], begin)
        states = self._attend(states, embedding.expand(len(before), -1, -1))
        own = self.head(states[:, 0])[:, self.starts[number] : self.starts[number + 1]]
        return torch.log_softmax(own, dim=1), (hidden[0], memory[0])

    def _own(self) -> torch.Tensor:
        """Which candidates are of which choice, shape (choices, candidates) of bool."""
        numbers = torch.arange(len(self.sizes))
        return numbers.repeat_interleave(torch.tensor(self.sizes)) == numbers[:, None]

    def _attend(self, states: torch.Tensor, embeddings: torch.Tensor) -> torch.Tensor:
        """What the decoder sees of the embeddings beside its own states, shape (n, choices, WIDTH)."""
        weights = torch.softmax(states @ embeddings.transpose(1, 2), dim=-1)
        return torch.tanh(self.attended(torch.cat([weights @ embeddings, states], dim=-1)))


@dataclass(frozen=True)
class Decoder:
    """What one embedding stands for, as a policy that ``controller.decode`` takes.

    Attributes:
        model: Decodes.
        embedding: Shape (1, choices, WIDTH).
    """

    model: Autoencoder
    embedding: torch.Tensor

    def step(self, number: int, before: torch.Tensor, state: State | None) -> tuple[torch.Tensor, State]:
        """As of every policy; the state is that of the LSTM."""
        return self.model.next_choice(number, before, state, self.embedding)


@dataclass(frozen=True)
class Examples:
    """What a model is trained on.

    Attributes:
        indices: Architectures that have a score, shape (n, choices).
        scores: What the predictor is to say of them, shape (n,), in [0, 1].
        others: Architectures that the decoder is to know as well, shape (m, choices).
    """

    indices: IntArray
    scores: FloatArray
    others: IntArray


def train(
    model: Autoencoder,
    optimizer: torch.optim.Optimizer,
    examples: Examples,
    rng: np.random.Generator,
    *,
    trade_off: float,
    steps: int,
) -> None:
    """Train all three parts, in each step on all that has a score and on some of the others.

    Args:
        model: Changed in place.
        optimizer: Of its parameters.
        examples: What is learnt.
        rng: Draws the others.
        trade_off: Weight of the predictor's squared error; the rest is that of the decoder's likelihood.
        steps: How many.
    """
    wanted, count = torch.from_numpy(examples.scores).float(), len(examples.scores)
    for _ in range(steps):
        others = examples.others[rng.permutation(len(examples.others))[:UNSCORED]]
        rows = torch.from_numpy(np.concatenate([examples.indices, others]))
        embeddings = model.encode(rows)
        error = (model.predict(embeddings[:count]) - wanted).square().mean()
        unlikely = -model.log_probabilities(embeddings, rows).mean()
        loss = trade_off * error + (1.0 - trade_off) * unlikely
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()


def _whole(embeddings: torch.Tensor) -> torch.Tensor:
    """One embedding of length 1 for a whole architecture: (n, choices, WIDTH) to (n, WIDTH)."""
    return functional.normalize(embeddings.mean(dim=1), dim=-1)


def _begin(embeddings: torch.Tensor) -> State:
    """The state in which the decoder begins."""
    whole = _whole(embeddings)[None]
    return whole, whole
