"""Which layers of an int8 file are in another precision: what that costs, and strategies that choose."""

from __future__ import annotations

from hwnas.bits.prices import Indices, Prices, PricesOf, by_macs, of_target
from hwnas.bits.strategies import NAMES, STRATEGIES
from hwnas.bits.subject import BitSubject

__all__ = ["NAMES", "STRATEGIES", "BitSubject", "Indices", "Prices", "PricesOf", "by_macs", "of_target"]
