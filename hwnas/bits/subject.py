"""A network some of whose layers must leave int8: all that strategies know of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hwnas.bits.prices import Indices, Prices
from hwnas.bits.rows import FINEST
from hwnas.budget import Budget
from hwnas.export.mixed import NetworkLayer
from hwnas.export.noise import LayerNoise
from hwnas.search.problem import Constraint, Problem

if TYPE_CHECKING:
    from torch import nn

Lost = Callable[[Indices], float]
"""How much worse than fp32 the file with layers in some precisions is, in the unit of what is allowed."""


@dataclass(frozen=True)
class BitSubject:
    """A network, and files of it. As ``Slots``: a slot a layer, a state a precision.

    Attributes:
        layers: In running order.
        prices: What their precisions cost.
        allowed: Most that may be lost.
        lost: On all validation images that count.
        glance: On a part of them.
        noise: Of a precision: what each layer alone in it does to the answers.
        network: What files are made of.
        images: Normalised training images, shape (n, channels, height, width).
        runtime: What the files are for.
        seed: Of all randomness.
        tell: Told now and then.
    """

    layers: tuple[NetworkLayer, ...]
    prices: Prices
    allowed: float
    lost: Lost
    glance: Lost
    noise: Callable[[str], Sequence[LayerNoise]]
    network: nn.Module
    images: np.ndarray
    runtime: str
    seed: int = 0
    tell: Callable[[str], None] = lambda _: None

    @property
    def name(self) -> str:
        """As of ``Slots``."""
        return f"precisions of {len(self.layers)} layers"

    @property
    def sizes(self) -> tuple[int, ...]:
        """As of ``Slots``."""
        return self.prices.costs.sizes

    @property
    def whole(self) -> Indices:
        """All layers in int8."""
        return (0,) * len(self.layers)

    @property
    def finest(self) -> Indices:
        """All layers in fp32."""
        return (self.prices.states.index(FINEST),) * len(self.layers)

    @property
    def cheapest(self) -> Indices:
        """The precisions that cost least, whatever they lose; not always int8."""
        return tuple(map(int, self.prices.costs.ends[0]))

    def kept(self, indices: Indices) -> dict[str, str]:
        """Layers that are not int8, as ``lower`` takes them."""
        states = self.prices.states
        return {layer.name: states[n] for layer, n in zip(self.layers, indices, strict=True) if n}

    def within(self, limit: float) -> Problem:
        """All precisions that cost at most so much.

        Raises:
            InfeasibleBudget: None do.
        """
        unit = self.prices.costs.unit
        return Problem(self, (Constraint(Budget(self.runtime, limit, unit), self.prices.costs),))

    def cheapest_of(self, tried: Iterable[Indices]) -> Indices:
        """The cheapest of some that loses no more than is allowed on all images; fp32 throughout does not."""
        for indices in sorted(dict.fromkeys(tried), key=self.prices.of):
            if self.glance(indices) <= self.allowed and self.lost(indices) <= self.allowed:
                return indices
        return self.finest
