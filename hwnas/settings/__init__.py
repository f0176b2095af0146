"""The one list of settings: what a config of ``hwnas run`` holds, an option sets, a report repeats.

A section takes the fields of dataclasses that are there anyway, so that a new field of, say,
``TrainConfig`` is a new key of ``[train]`` and a new option of ``hwnas train`` by itself, with its
documentation. ``options`` says how keys are written on the command line.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from hwnas.search.settings import STRATEGY
from hwnas.settings.keys import Key, keys_of
from hwnas.settings.kinds import Baseline, Basics, Export, Finalists, Fit, Origin, Search, Targets, Verify

Kinds = tuple[type[Any], ...]


def sections(strategy: str = STRATEGY, baseline: str | None = None) -> dict[str, tuple[Key, ...]]:
    """Every section and its keys; the one of keys outside any section is "".

    Args:
        strategy: Of the search; decides the keys of ``[search.settings]``, and how networks are scored where
            that is not set.
        baseline: Of the baseline; there is no ``[baseline.settings]`` without one.
    """
    kinds: Mapping[str, Callable[[], Kinds]] = {
        **_KINDS,
        "search.settings": partial(_of_strategy, strategy),
        "baseline.settings": partial(_of_strategy, baseline),
    }
    found = {name: tuple(key for kind in kinds[name]() for key in keys_of(name, kind)) for name in _ORDER}
    usual_of = {"evaluate": evaluated(strategy), **_epochs(strategy)}
    found["search"] = tuple(
        replace(key, default=usual_of[key.name]) if key.name in usual_of else key for key in found["search"]
    )
    return found


def _epochs(strategy: str) -> dict[str, Any]:
    """Where networks are trained for less, the whole training is so long that the shortest is an epoch."""
    from hwnas.search import strategy as strategy_of

    kind = strategy_of(strategy)
    return {"evaluate_epochs": round(1 / kind().share_of(0))} if kind.needs.fidelities else {}


def evaluated(strategy: str) -> str:
    """How networks are scored where that is not set: blockwise, unless the strategy trains its own.

    Blocks that learn from a teacher rank at least as well as a supernet of equal CPU time, and in deep spaces
    are right where the supernet is at chance (``tools/bench_blockwise.py``, ``tools/bench_deep.py``).
    """
    from hwnas.search import strategy as strategy_of

    needs = strategy_of(strategy).needs
    if needs.fidelities:
        return "scratch"
    return "supernet" if needs.shared_weights else "blockwise"


def section(name: str) -> dict[str, Key]:
    """The keys of a section that depends on no strategy; imports nothing but their classes."""
    return {key.name: key for kind in _KINDS[name]() for key in keys_of(name, kind)}


def usual(name: str) -> dict[str, Any]:
    """The settings of such a section where nothing is said."""
    return {key.name: key.default for key in section(name).values()}


def _supernet() -> Kinds:
    from hwnas.evaluators.supernet.config import OneShotConfig

    return (OneShotConfig,)


def _finalists() -> Kinds:
    from hwnas.finalists import FinalistsOptions

    return Finalists, FinalistsOptions


def _profile() -> Kinds:
    return Targets, *_measuring()


def _measuring() -> Kinds:
    from hwnas.measure import ProfileOptions

    return (ProfileOptions,)


def _train() -> Kinds:
    from hwnas.train import TrainConfig

    return Origin, TrainConfig


def _of_strategy(name: str | None) -> Kinds:
    from hwnas.search import strategy

    return (strategy(name),) if name else ()


_KINDS: Mapping[str, Callable[[], Kinds]] = {
    "": lambda: (Basics,),
    "profile": _profile,
    "fit": lambda: (Fit,),
    "search": lambda: (Search,),
    "search.supernet": _supernet,
    "promise": _finalists,
    "promise.measuring": _measuring,
    "baseline": lambda: (Baseline,),
    "train": _train,
    "export": lambda: (Export,),
    "verify": lambda: (Verify,),
}
_ORDER = (
    *("", "profile", "fit", "search", "search.supernet", "search.settings", "promise", "promise.measuring"),
    *("baseline", "baseline.settings", "train", "export", "verify"),
)

__all__ = [
    "Baseline",
    "Basics",
    "Export",
    "Finalists",
    "Fit",
    "Key",
    "Origin",
    "Search",
    "Targets",
    "Verify",
    "keys_of",
    "section",
    "sections",
    "usual",
]
