"""Strategies of sampling side by side, on a table of trained networks, at equal cost. See ``bench``."""

from __future__ import annotations

from hwnas.bench.asked import BenchAsked
from hwnas.bench.entrants import Entrant
from hwnas.bench.results import StrategyBench
from hwnas.bench.running import bench

__all__ = ["BenchAsked", "Entrant", "StrategyBench", "bench"]
