"""Searches under a latency budget, one strategy a file.

A new strategy is one file with a class that satisfies ``base.Strategy``, and one line in
``STRATEGIES``; a plug-in has ``register`` instead. The classes are imported when they are asked for: not
all need torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeVar

from hwnas import plugins
from hwnas.errors import SpaceError

if TYPE_CHECKING:
    from hwnas.search.base import Strategy
    from hwnas.search.result import from_json, to_json

STRATEGIES = {
    "asha": "hwnas.search.sampling.asha:ASHA",
    "bananas": "hwnas.search.sampling.bananas:Bananas",
    "chamnet": "hwnas.search.sampling.chamnet:ChamNet",
    "darts": "hwnas.search.oneshot.darts:DARTS",
    "enas": "hwnas.search.oneshot.enas:ENAS",
    "evolution": "hwnas.search.sampling.evolution:Evolution",
    "exact": "hwnas.search.sampling.exact:Exact",
    "fbnet": "hwnas.search.oneshot.fbnet:FBNet",
    "gdas": "hwnas.search.oneshot.gdas:GDAS",
    "hyperband": "hwnas.search.sampling.hyperband:Hyperband",
    "irlas": "hwnas.search.sampling.irlas:IRLAS",
    "local": "hwnas.search.sampling.local:Local",
    "mnasnet": "hwnas.search.sampling.mnasnet:MnasNet",
    "nao": "hwnas.search.sampling.nao:NAO",
    "nsga2": "hwnas.search.sampling.nsga2:NSGA2",
    "petridish": "hwnas.search.oneshot.petridish:Petridish",
    "pnas": "hwnas.search.sampling.pnas:PNAS",
    "proxylessnas": "hwnas.search.oneshot.proxylessnas:ProxylessNAS",
    "qlearning": "hwnas.search.sampling.qlearning:QLearning",
    "random": "hwnas.search.sampling.random:Random",
    "reinforce": "hwnas.search.sampling.reinforce:Reinforce",
    "renas": "hwnas.search.sampling.renas:RENAS",
    "rsws": "hwnas.search.oneshot.rsws:RSWS",
    "snas": "hwnas.search.oneshot.snas:SNAS",
    "spos": "hwnas.search.oneshot.spos:SPOS",
    "surrogate": "hwnas.search.sampling.surrogate:Surrogate",
    "tpe": "hwnas.search.sampling.tpe:TPE",
}
"""Name of a strategy to module and class."""


Kind = TypeVar("Kind", bound=type[Any])


def register(kind: Kind) -> Kind:
    """Add a strategy of one's own; a decorator of its class.

    Args:
        kind: A frozen dataclass of its settings that satisfies ``base.Strategy``, named by its class
            attribute ``name``; ``hwnas.testing.check_strategy`` says what it must do.

    Raises:
        PluginError: Its name is taken, or can be none; or it is not at the top of its file.
    """
    plugins.add(STRATEGIES, getattr(kind, "name", None), plugins.reference(kind, "strategy"), "strategy")
    return kind


def strategy(name: str) -> type[Any]:
    """The class of a strategy: a frozen dataclass of its settings.

    Raises:
        SpaceError: There is no strategy of this name.
    """
    require_strategy(name)
    module, attribute = STRATEGIES[name].split(":")
    found: type[Any] = getattr(import_module(module), attribute)
    return found


def made(name: str, settings: Mapping[str, Any]) -> Strategy:
    """A strategy with settings of its own beside its defaults.

    Raises:
        SpaceError: There is no strategy of this name, it has no such setting, or one makes no sense.
    """
    kind = strategy(name)
    odd = sorted(set(settings) - {field.name for field in fields(kind)})
    if odd:
        raise SpaceError(f"{name} must only be given settings of its own, but got {odd}")
    found: Strategy = kind(**settings)
    return found


def require_strategy(name: str) -> None:
    """Raise SpaceError where there is no strategy of this name; loads none."""
    if name not in STRATEGIES:
        raise SpaceError(
            f"a strategy must be one of {sorted(STRATEGIES)}, but got {name!r}: one of your own comes with "
            "--plugin"
        )


def __getattr__(name: str) -> Any:
    """The JSON of results, imported when it is asked for: the command line knows settings without it."""
    if name in ("from_json", "to_json"):
        return getattr(import_module("hwnas.search.result"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = ["STRATEGIES", "from_json", "made", "register", "require_strategy", "strategy", "to_json"]
