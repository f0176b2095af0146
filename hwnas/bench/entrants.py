"""Who takes part in a bench: strategies as they are typed, and the two controls."""

from __future__ import annotations

from dataclasses import dataclass

from hwnas.errors import SpaceError
from hwnas.search import strategy as kind_of
from hwnas.search.sampling.loop import SamplingStrategy

RANDOM = "random"
"""The first control: as many queries, without any thought."""

LARGEST = "largest that fits"
"""The second: the network within the budget with the most multiply-adds, without any query."""

REMEASURED = 0.2
"""Share of the queries, the last ones, that score the leaders again, where that is asked for."""

_REMEASURE = "+remeasure"


@dataclass(frozen=True)
class Entrant:
    """A strategy with its defaults.

    Attributes:
        name: As it is typed: ``surrogate``, or ``surrogate+remeasure``.
    """

    name: str

    def __post_init__(self) -> None:
        needs = self._kind.needs
        why = None
        if needs.shared_weights or not issubclass(self._kind, SamplingStrategy):
            why = "trains a supernet"
        elif needs.block_errors:
            why = "needs errors of blocks"
        elif needs.fidelities:
            why = "trains networks for less"
        if why is not None:
            raise SpaceError(
                f"a strategy of a bench must ask a table for one network after the other, but "
                f"{self.strategy} {why}, and a table has none: leave it out"
            )

    @property
    def strategy(self) -> str:
        """Name of the strategy."""
        return self.name.removesuffix(_REMEASURE)

    @property
    def remeasures(self) -> bool:
        """Whether the last queries score the leaders again."""
        return self.name.endswith(_REMEASURE)

    @property
    def is_anytime(self) -> bool:
        """Whether one search tells what all shorter ones find."""
        return not self.remeasures and bool(self._kind.is_anytime)

    def made(self, queries: int) -> SamplingStrategy:
        """The strategy, of so many queries."""
        found: SamplingStrategy = self._kind(queries=queries, remeasure=REMEASURED * self.remeasures)
        return found

    @property
    def _kind(self) -> type[SamplingStrategy]:
        return kind_of(self.strategy)


def called(name: str) -> str:
    """A name for people, who are told which are controls."""
    return {RANDOM: f"{RANDOM} (control)", LARGEST: f"{LARGEST} (control, no query)"}.get(name, name)
