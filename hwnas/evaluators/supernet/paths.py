"""Which single path a supernet is trained on, step by step.

Uniformly random ones (arXiv:1904.00420) teach a shallow supernet. A deep one of many candidates
stays at chance for thousands of steps, as no candidate ever meets the same features twice; its
paths leave one fixed path only gradually.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hwnas.space import SearchSpace

DEEP = 12
"""Choices over which uniform paths from the beginning teach a supernet nothing."""

STAY = 0.05
"""Share of a training in which anchored paths are the anchor itself."""

RELEASE = 0.95
"""Share of a training after which the paths of a deep supernet are uniform."""

_PATHS, _LEFT = 1, 2  # purposes of randomness


@dataclass(frozen=True)
class Paths:
    """The paths of one training.

    Attributes:
        space: What they lead through.
        seed: Where they come from.
        release: Share of the training after which paths are uniform; until then, more and more
            choices leave the anchor. Uniform from the beginning where it is at most ``STAY``.
    """

    space: SearchSpace
    seed: int
    release: float

    def uniform(self, step: int) -> tuple[int, ...]:
        """The uniformly random path of a step (arXiv:1904.00420)."""
        return self.space.sample(self._rng(_PATHS, step)).indices

    def at(self, step: int, steps: int) -> tuple[int, ...]:
        """The path of a step of so many."""
        path, left = self.uniform(step), self.left(step, steps)
        if left == 1:
            return path
        leaves = self._rng(_LEFT, step).random(len(path)) < left
        return tuple(p if leave else a for p, a, leave in zip(path, self.anchor, leaves, strict=True))

    def left(self, step: int, steps: int) -> float:
        """Chance of each choice to have left the anchor: 0, then a line up to 1."""
        if not self.anchored:
            return 1.0
        return float(np.clip((step / max(1, steps) - STAY) / (self.release - STAY), 0.0, 1.0))

    @property
    def anchored(self) -> bool:
        """Whether there is an anchor."""
        return self.release > STAY

    @property
    def anchor(self) -> tuple[int, ...]:
        """The path that all others are versions of: that of most MACs, where the space names no other."""
        return self.space.reference

    def _rng(self, purpose: int, step: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, purpose, step])


def release_for(space: SearchSpace) -> float:
    """The ``release`` that suits a space: none for shallow ones, whose ranking it only costs."""
    return RELEASE if len(space.decisions) > DEEP else 0.0
