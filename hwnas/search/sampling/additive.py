"""What a network scores, foretold from the errors of its blocks and from networks that were scored.

A loss is an offset and a factor times the sum of errors (DONNA, arXiv:2012.08859, fits such a line to a few
tuned networks), and each block may be worse or better than its error says. It is the Gaussian of the latency
models: costs that add up, of which measured networks tell.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from hwnas.latency.base import Cost, FloatArray, IntArray
from hwnas.latency.bayes.evidence import infer_variances, posterior_of
from hwnas.latency.bayes.gaussian import Component, Equations, Gaussian, Prior
from hwnas.latency.evaluate import rank_correlations
from hwnas.latency.layout import Layout
from hwnas.statistics.intervals import NORMAL_90

LEAST = 3
"""Networks that say something of errors at least."""

_NOISE = 1e-3
"""Standard deviation of a score that is expected at least: validation images are not so many."""

_BELIEVED = 0.3
"""Standard deviations of the losses that the mean sum of errors stands for where they mislead."""

_KNOWN = 0.1  # spread of a variance that is given, not inferred


@dataclass
class Additive:
    """Errors of blocks whose sum says what a network loses, corrected by networks that were scored.

    Attributes:
        errors: One array a choice, at least 0; what they are before anything is known.
        doubt: Standard deviation of a block's part of the loss over what its error says, beforehand.
        rows: Architectures that were scored.
        losses: What they lose: 1 minus their score.
    """

    errors: Sequence[FloatArray]
    doubt: float = 0.5
    rows: list[tuple[int, ...]] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)

    def add(self, indices: tuple[int, ...], score: float) -> None:
        """Learn what a network scores."""
        self.rows.append(indices)
        self.losses.append(1.0 - score)

    def sums(self) -> FloatArray:
        """Sum of the errors of what was scored, shape (n,)."""
        return Cost(0.0, tuple(self.errors), "errors").of(np.array(self.rows))

    def sum(self, indices: Sequence[int]) -> float:
        """Sum of the errors of an architecture."""
        return float(Cost(0.0, tuple(self.errors), "errors").of(np.array([indices]))[0])

    def posterior(self) -> tuple[FloatArray, ...]:
        """The errors as the networks that were scored correct them, on the scale of losses."""
        found = self._fitted()
        if found is None:
            return tuple(self.errors)
        return tuple(np.split(found.mean_ms[:-1], self._layout.offsets[1:]))  # may be below 0

    def predict(self, indices: IntArray) -> tuple[FloatArray, FloatArray]:
        """Scores that are expected of architectures of shape (n, choices), and their standard deviations.

        Where the sum of errors says nothing, that is the mean of those that were scored.
        """
        found, matrix = self._fitted(), self._layout.matrix(indices)
        if found is None:
            count, losses = len(self.losses), np.array(self.losses)
            std = float(losses.std(ddof=1)) * np.sqrt(1 + 1 / count) if count > 1 else 0.5
            mean = float(losses.mean()) if count else 0.5
            return np.full(len(matrix), 1 - mean), np.full(len(matrix), std)
        variance = np.einsum("ne,ef,nf->n", matrix, found.covariance, matrix) + found.noise**2
        return 1.0 - matrix @ found.mean_ms, np.sqrt(variance)

    def left_out(self) -> tuple[FloatArray, FloatArray]:
        """What ``predict`` says of each network that was scored, from all others, shape (n,) each."""
        found = [self._without(number).predict(np.array([row])) for number, row in enumerate(self.rows)]
        means, stds = (np.array([float(part[0]) for part in parts]) for parts in zip(*found, strict=True))
        return means, stds

    def told(self) -> dict[str, Any]:
        """How well all that foretells the networks that were scored, as JSON.

        Returns:
            ``spearman`` of the plain sums of errors and the losses, None where it is not defined; and, where
            the sums say something, ``left_out``: of the predictions for each network from the others, the
            number of ``networks``, ``spearman``, the half width of a 90 % interval in the mean,
            ``half_90``, and the share of networks inside, ``coverage_90``. Predictions that know little more
            than the mean of the others rank the wrong way round: a network of a low score raises that mean.
        """
        if len(self.rows) < LEAST:
            return {"spearman": None}
        sums, losses = self.sums(), np.array(self.losses)
        found: dict[str, Any] = {"spearman": rank_correlations(sums, losses)[0]}
        if len(self.rows) > LEAST and self._line() is not None:
            means, stds = self.left_out()
            inside = np.abs(means - (1 - losses)) <= NORMAL_90 * stds
            found["left_out"] = {
                "networks": len(losses),
                "spearman": rank_correlations(-means, losses)[0],
                "half_90": float(NORMAL_90 * stds.mean()),
                "coverage_90": float(inside.mean()),
            }
        return found

    @property
    def _layout(self) -> Layout:
        return Layout(tuple(len(part) for part in self.errors))

    def _without(self, number: int) -> Additive:
        rows, losses = list(self.rows), list(self.losses)
        del rows[number], losses[number]
        return Additive(self.errors, self.doubt, rows, losses)

    def _line(self) -> tuple[float, float] | None:
        """Slope and offset of losses over sums; None where the sums say nothing about them."""
        if len(self.rows) < LEAST or np.ptp(sums := self.sums()) == 0:
            return None
        slope, offset = np.polyfit(sums, np.array(self.losses), 1)
        return (float(slope), float(offset)) if slope > 0 else None

    def _doubted(self) -> tuple[float, float]:
        """Slope and offset where what was scored speaks against the errors, which are believed a little."""
        sums, losses = self.sums(), np.array(self.losses)
        slope = _BELIEVED * float(losses.std() / sums.mean())
        return slope, float((losses - slope * sums).mean())

    def _anything(self) -> Component:
        """That any candidate may lose more or less than its error says, however small that is."""
        each = float(np.array(self.losses).std()) / math.sqrt(len(self.errors))
        return Component("anything", np.eye(self._layout.entries)[:, :-1] * each, 1.0)

    def _fitted(self) -> Gaussian | None:
        """The errors on the scale of losses, and last the offset; None where they are all alike.

        Where networks lose less the larger their sum is, the errors are misleading: those of one choice may
        be of another kind than those of the rest, as of decoders beside blocks. What was scored speaks then.
        """
        if len(self.rows) < LEAST or np.ptp(sums := self.sums()) == 0:
            return None
        losses, layout, line = np.array(self.losses), self._layout, self._line()
        slope, offset = line or self._doubted()
        errors = np.append(slope * np.concatenate(self.errors), 0.0)
        rest = losses - offset - slope * sums
        prior = Prior(
            (
                Component("sum", errors[:, None], 1.0, np.ones(1), spread=_KNOWN),
                Component(
                    "offset",
                    np.eye(layout.entries)[:, -1:],
                    max(_NOISE, slope * float(sums.mean())),
                    np.array([offset]),
                    spread=_KNOWN,
                ),
                Component("blocks", np.diag(errors)[:, :-1], self.doubt),
                *([] if line else [self._anything()]),
            ),
            max(_NOISE, float(np.sqrt(np.mean(rest**2) / 2))),
            noise_spread=2.0,
        )
        equations = Equations.merged(layout.matrix(np.array(self.rows)), losses)
        return posterior_of(prior, infer_variances(prior, equations), equations)
