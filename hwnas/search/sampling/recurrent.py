"""Recurrent models that foretell what a network scores from the sequence of its candidates.

The predictors of PNAS (arXiv:1712.00559): an LSTM reads the candidates, a sigmoid of its last state is the
score; several of them are fitted to parts of what is known, and averaged. They are computed
together, since each is too small to keep a processor busy.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from hwnas.latency.base import FloatArray, IntArray
from hwnas.search.sampling.controller import begin_small

WIDTH = 32
"""Units of an LSTM; the paper's 100 are for thousands of scores."""

FIRST_RATE, LATER_RATE = 0.01, 0.002
"""Learning rate of Adam in the first fit and in all that follow, as in the paper."""

STEPS = 100
"""Steps of a fit, on all that is known at once."""

LEFT_OUT = 5
"""Every model leaves out one in so many scores."""


class RecurrentEnsemble(nn.Module):
    """Several LSTMs, each fitted to most of what is known.

    Args:
        sizes: Candidates of each choice.
        models: How many.
        rng: All randomness.
    """

    def __init__(self, sizes: tuple[int, ...], models: int, rng: np.random.Generator) -> None:
        super().__init__()
        self.rng = rng
        self.starts = torch.tensor([0, *np.cumsum(sizes)[:-1].tolist()])
        # what an embedding and the input's weights make of a candidate: the four gates of the LSTM
        self.inputs = nn.Parameter(torch.empty(models, sum(sizes), 4 * WIDTH))
        self.recurrent = nn.Parameter(torch.empty(models, WIDTH, 4 * WIDTH))
        self.head = nn.Parameter(torch.empty(models, WIDTH, 1))
        self.bias = nn.Parameter(torch.zeros(models, 1, 1))
        begin_small((self.inputs, self.recurrent, self.head), rng)
        self.fits = 0

    def forward(self, indices: torch.Tensor) -> torch.Tensor:
        """What each model foretells: shape (n, choices) to (models, n), in (0, 1)."""
        inputs = self.inputs[:, indices + self.starts]
        hidden = memory = torch.zeros(len(inputs), len(indices), WIDTH)
        for gates in inputs.unbind(dim=2):
            gates = torch.baddbmm(gates, hidden, self.recurrent)
            taken, kept, shown = torch.sigmoid(gates[..., : 3 * WIDTH]).chunk(3, dim=-1)
            memory = kept * memory + taken * torch.tanh(gates[..., 3 * WIDTH :])
            hidden = shown * torch.tanh(memory)
        return torch.sigmoid(torch.baddbmm(self.bias, hidden, self.head)[..., 0])

    def fit(self, indices: IntArray, scores: FloatArray) -> None:
        """Go on from the last fit with all that is known by now, by Adam on the absolute error.

        Args:
            indices: Shape (n, choices), n at least 1.
            scores: Shape (n,), in [0, 1].
        """
        if not self.fits:  # all models begin with the mean
            mean = float(np.clip(scores.mean(), 0.01, 0.99))
            nn.init.constant_(self.bias, float(np.log(mean / (1 - mean))))
        rows, wanted = torch.from_numpy(indices), torch.from_numpy(scores).float()
        seen = torch.from_numpy(self._folds(len(scores)))
        optimizer = torch.optim.Adam(self.parameters(), lr=LATER_RATE if self.fits else FIRST_RATE)
        for _ in range(STEPS):
            errors = (self(rows) - wanted).abs()
            loss = (errors * seen).sum() / seen.sum()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        self.fits += 1

    def predict(self, indices: IntArray) -> FloatArray:
        """Mean over the models: shape (n, choices) to (n,)."""
        with torch.no_grad():
            return np.asarray(self(torch.from_numpy(indices)).mean(dim=0).double().numpy())

    def _folds(self, count: int) -> np.ndarray:
        """Which scores each model is fitted to, shape (models, count) of bool."""
        order = np.array([self.rng.permutation(count) for _ in range(len(self.inputs))])
        return np.asarray(order >= count // LEFT_OUT)
