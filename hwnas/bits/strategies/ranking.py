"""Layers are ranked by the noise that their int8 brings to the answers, over what another precision adds.

As many of the first as are needed leave int8; of these, those that turn out not to be needed return, the
dearest first. Last, layers between them leave int8 as well where that saves switches. It is a search
along one ranking: a cheaper set may exist.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from hwnas.bits.prices import Indices
from hwnas.bits.rows import FINEST, WHOLE
from hwnas.bits.subject import BitSubject
from hwnas.factors import Terms, least

_NOISELESS = 1e-12  # share of noise by a layer that brings none: it is kept last
_FREE = 1e-3  # of the largest cost of a layer: what costs less than that, or saves, is ranked as if it did


@dataclass(frozen=True)
class _Entry:
    """A layer in another precision.

    Attributes:
        layer: Its number.
        state: The precision's.
        merit: Noise that it takes away, over what it adds alone.
        cost: What it adds alone, switches included.
    """

    layer: int
    state: int
    merit: float
    cost: float


@dataclass(frozen=True)
class NoiseRanking:
    """The fewest of one ranking.

    Attributes:
        subject: The network.
    """

    subject: BitSubject

    def choose(self) -> Indices:
        """As of ``BitStrategy``."""
        ranked = sorted(self._entries(), key=lambda entry: -entry.merit)
        fails, enough = 0, len(ranked)
        while enough - fails > 1:
            middle = (fails + enough) // 2
            if self._is_enough(ranked[:middle]):
                enough = middle
            else:
                fails = middle
        chosen = ranked[:enough]
        for entry in sorted(chosen, key=lambda entry: -entry.cost):
            rest = [other for other in chosen if other is not entry]
            if rest and self._cost(rest) < self._cost(chosen) and self._is_enough(rest):
                chosen = rest
        return self._widened(self._indices(chosen))

    def _entries(self) -> Iterator[_Entry]:
        """Each layer in the precision of most merit; another one than fp32 must be cheaper than that."""
        subject, states = self.subject, self.subject.prices.states
        finest = states.index(FINEST)
        alone = self._alone()
        least_cost = _FREE * float(alone[:, 1:].max())
        cheaper = [n for n in range(1, len(states)) if n != finest and (alone[:, n] < alone[:, finest]).any()]
        share = {n: [item.share for item in subject.noise(states[n])] for n in cheaper}
        for layer, noise in enumerate(subject.noise(WHOLE)):
            tried = [
                _Entry(
                    layer,
                    n,
                    max(noise.share - (share[n][layer] if n in share else 0.0), _NOISELESS)
                    / max(float(alone[layer, n]), least_cost),
                    float(alone[layer, n]),
                )
                for n in (finest, *cheaper)
                if n == finest or alone[layer, n] < alone[layer, finest]
            ]
            yield max(tried, key=lambda entry: entry.merit)

    def _alone(self) -> np.ndarray:
        """What each layer adds alone in each precision, shape (layers, states)."""
        count, states = len(self.subject.layers), len(self.subject.prices.states)
        rows = np.zeros((count, states, count), np.int64)
        for layer in range(count):
            rows[layer, :, layer] = np.arange(states)
        costs = self.subject.prices.costs
        found = costs.of(rows.reshape(-1, count)) - costs.of(np.zeros((1, count), np.int64))
        return np.asarray(found.reshape(count, states))

    def _indices(self, entries: Iterable[_Entry]) -> Indices:
        found = list(self.subject.whole)
        for entry in entries:
            found[entry.layer] = entry.state
        return tuple(found)

    def _cost(self, entries: Iterable[_Entry]) -> float:
        return self.subject.prices.of(self._indices(entries))

    def _is_enough(self, entries: Iterable[_Entry]) -> bool:
        return self.subject.lost(self._indices(entries)) <= self.subject.allowed

    def _widened(self, chosen: Indices) -> Indices:
        """The cheapest precisions in which no chosen layer is coarser, where they lose little enough."""
        costs, finest = self.subject.prices.costs, self.subject.finest[0]
        barred = 1.0 + costs.most
        singles = tuple(
            single + np.where(np.isin(np.arange(len(single)), (state, finest)) | (state == 0), 0.0, barred)
            for single, state in zip(costs.choices, chosen, strict=True)
        )
        found = tuple(map(int, least(Terms(singles, costs.pairs))))
        saves = self.subject.prices.of(found) < self.subject.prices.of(chosen)
        return found if saves and self.subject.lost(found) <= self.subject.allowed else chosen
