"""How widths are chosen, a strategy a file: a new one is a file and a line in ``STRATEGIES``."""

from __future__ import annotations

from collections.abc import Mapping

from hwnas.adapt.strategies.amc import Amc
from hwnas.adapt.strategies.base import Indices, Make, Tell, WidthStrategy
from hwnas.adapt.strategies.gates import BudgetedGates
from hwnas.adapt.strategies.knapsack import ChannelKnapsack
from hwnas.adapt.strategies.metapruning import MetaPruning
from hwnas.adapt.strategies.netadapt import NetAdapt
from hwnas.adapt.strategies.uniform import Uniform

STRATEGIES: Mapping[str, Make] = {
    "uniform": Uniform,
    "knapsack": ChannelKnapsack,
    "netadapt": NetAdapt,
    "amc": Amc,
    "metapruning": MetaPruning,
    "gates": BudgetedGates,
}

__all__ = ["STRATEGIES", "Indices", "Make", "Tell", "WidthStrategy"]
