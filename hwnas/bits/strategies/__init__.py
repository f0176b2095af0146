"""How precisions are chosen, a strategy a file: a new one is a file and a line in ``STRATEGIES``."""

from __future__ import annotations

from collections.abc import Mapping

from hwnas.bits.strategies.base import BitStrategy, Make
from hwnas.bits.strategies.haq import Haq
from hwnas.bits.strategies.mixed_dnas import MixedDnas
from hwnas.bits.strategies.ranking import NoiseRanking

STRATEGIES: Mapping[str, Make] = {"ranking": NoiseRanking, "haq": Haq, "mixed-dnas": MixedDnas}
NAMES = tuple(STRATEGIES)

__all__ = ["NAMES", "STRATEGIES", "BitStrategy", "Make"]
