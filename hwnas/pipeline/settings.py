"""What a config of ``hwnas run`` can hold: its sections, and the dataclass behind each.

A section takes the fields of dataclasses that are there anyway, so that a new field of, say,
``TrainConfig`` is a new key of ``[train]`` by itself, with its documentation.
"""

from __future__ import annotations

import dataclasses
import math
import re
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from inspect import getdoc
from typing import Any

from hwnas.errors import TrainingError
from hwnas.pipeline.comments import comment


@dataclass(frozen=True)
class Basics:
    """What every stage needs.

    Attributes:
        folder: Where everything is written.
        device: Where to measure; ``hwnas devices list`` names them.
        space: Search space; ``hwnas spaces list`` names them.
        data: "digits", "clutter", a folder of images or parquet files, or an npz file.
        seed: Where all randomness of searching and training comes from.
        plugins: Python files that register blocks, spaces, tasks, runtimes or strategies.
    """

    folder: str = "run"
    device: str = "host"
    space: str = "macro"
    data: str = "digits"
    seed: int = 0
    plugins: tuple[str, ...] = ()


@dataclass(frozen=True)
class Targets:
    """Which targets are measured and searched for: every runtime with every precision.

    Attributes:
        runtimes: Runtimes of the device; all that it has where this is not set.
        precisions: "int8" and "fp32".
    """

    runtimes: tuple[str, ...] | None = None
    precisions: tuple[str, ...] = ("int8", "fp32")


@dataclass(frozen=True)
class Fit:
    """How latency is predicted.

    Attributes:
        model: "posterior", "lookup", "regression", or "transfer" for a new device.
    """

    model: str = "posterior"


@dataclass(frozen=True)
class Search:
    """What is searched.

    Attributes:
        strategy: How to search, for example "fbnet", "evolution" or "random".
        budgets: Milliseconds, or a share of the range between the fastest and the slowest network, as
            the latency model predicts it, as "60%"; one for all, or one for each runtime and precision,
            in the order of the report: both precisions of the first runtime, then those of the next.
        confidence: Wanted chance that a budget is kept.
        training_steps: Training steps of the supernet, for strategies that only score with it.
    """

    strategy: str = "fbnet"
    budgets: tuple[str, ...] = ("60%",)
    confidence: float = 0.9
    training_steps: int = 600


@dataclass(frozen=True)
class Promise:
    """How the found network is held to its budgets, and what else the search leaves to pick from.

    Attributes:
        measure: Whether finalists are measured on the device, and repaired where they are slow.
        rank: "fp32" or "int8": by which accuracy; int8 where any target is, if not set.
        gallery_points: Budgets over the whole range that the gallery is drawn for; 0 for none.
        gallery_each: Architectures scored for each of them.
    """

    measure: bool = True
    rank: str | None = None
    gallery_points: int = 10
    gallery_each: int = 4


@dataclass(frozen=True)
class Baseline:
    """Another search under the same budgets with the same supernet, for the report.

    Attributes:
        strategy: For example "random"; none where it is not set.
    """

    strategy: str | None = None


@dataclass(frozen=True)
class Origin:
    """What a training has beside the images: first weights, and somebody to learn from.

    Attributes:
        init: First weights: from the "seed", or those of the "supernet", which needs width = 1 in
            [search.supernet].
        teacher: Run folder of a network to learn from, trained on the same data; none where it is
            not set.
    """

    init: str = "seed"
    teacher: str | None = None

    def __post_init__(self) -> None:
        if self.init not in ("seed", "supernet"):
            raise TrainingError(f'init must be "seed" or "supernet", but got {self.init!r}')


@dataclass(frozen=True)
class Export:
    """How the models are made.

    Attributes:
        calibration_images: Training images that set int8 ranges.
        licence: Of the models, which are yours; goes into the manifest.
        qat_if_worse: Drop of validation accuracy by int8 above which the network is fine-tuned under
            the rounding of int8, such as 0.01; never where it is not set.
        qat_epochs: Passes of that fine-tuning.
        int8_drop: Largest drop of validation accuracy by int8 that is accepted; more is an error.
    """

    calibration_images: int = 256
    licence: str | None = None
    qat_if_worse: float | None = None
    qat_epochs: int = 3
    int8_drop: float = 0.05


@dataclass(frozen=True)
class Verify:
    """How well the shipped models are measured.

    Attributes:
        rounds: Rounds of measurement; up to three times as many where the interval is wide.
        samples: Timed samples a round.
        min_round_s: No round begins sooner after the one before it.
        accept_noise: Whether a promise that is NOT PROVEN is taken all the same (exit code 0, not 3).
    """

    rounds: int = 9
    samples: int = 7
    min_round_s: float = 1.0
    accept_noise: bool = False


@dataclass(frozen=True)
class Key:
    """One key of a section.

    Attributes:
        name: Its name.
        hint: Type that its value must have.
        default: Its default; None where it is not set.
        doc: One paragraph.
    """

    name: str
    hint: Any
    default: Any
    doc: str


_DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    "search.supernet": {"width": 0.5, "device": "auto"},
    "train": {"device": "auto", "distill_weight": 0.5},
}
_UNSET = {("search.supernet", "seed"), ("train", "seed")}
_OF_THE_PROGRAM = {"parallel"}
_SCALARS = (bool, int, float, str)


def sections(strategy: str = "fbnet", baseline: str | None = None) -> dict[str, tuple[Key, ...]]:
    """Every section and its keys; the one of keys outside any section is "".

    Args:
        strategy: Of the search; decides the keys of ``[search.settings]``.
        baseline: Of the baseline; there is no ``[baseline.settings]`` without one.
    """
    from hwnas.evaluators.supernet.config import OneShotConfig
    from hwnas.finalists import PromiseOptions
    from hwnas.measure import ProfileOptions
    from hwnas.search import strategy as strategy_of
    from hwnas.train import TrainConfig

    kinds: dict[str, tuple[type[Any], ...]] = {
        "": (Basics,),
        "profile": (Targets, ProfileOptions),
        "fit": (Fit,),
        "search": (Search,),
        "search.supernet": (OneShotConfig,),
        "search.settings": (strategy_of(strategy),),
        "promise": (Promise, PromiseOptions),
        "promise.measuring": (ProfileOptions,),
        "baseline": (Baseline,),
        "baseline.settings": (strategy_of(baseline),) if baseline else (),
        "train": (Origin, TrainConfig),
        "export": (Export,),
        "verify": (Verify,),
    }
    return {name: tuple(key for kind in kinds[name] for key in _keys(name, kind)) for name in kinds}


def _keys(section: str, kind: type[Any]) -> list[Key]:
    hints, docs = typing.get_type_hints(kind), _documented(kind)
    found = []
    for field in dataclasses.fields(kind):
        name, hint = field.name, hints[field.name]
        if not _fits_toml(hint) or name in _OF_THE_PROGRAM:
            continue
        default = _DEFAULTS.get(section, {}).get(name, field.default)
        if (section, name) in _UNSET:
            default = None
        found.append(Key(name, hint, default, comment(section, name, docs.get(name, ""))))
    return found


def _fits_toml(hint: Any) -> bool:
    return (
        hint in _SCALARS or any(_fits_toml(part) for part in _alternatives(hint)) or _item(hint) is not None
    )


def _alternatives(hint: Any) -> tuple[Any, ...]:
    """The types of a union but None; nothing for what is no union."""
    if isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union:
        return tuple(part for part in typing.get_args(hint) if part is not types.NoneType)
    return ()


def _item(hint: Any) -> Any:
    """Type of the items of a tuple of any length; None for what is none."""
    arguments = typing.get_args(hint)
    is_tuple = typing.get_origin(hint) is tuple and len(arguments) == 2 and arguments[1] is ...
    return arguments[0] if is_tuple and arguments[0] in _SCALARS else None


def convert(value: Any, hint: Any) -> Any:
    """A value of TOML as a type wants it.

    Raises:
        TypeError: It is of another type; the message says which is wanted.
    """
    if alternatives := _alternatives(hint):
        return convert(value, alternatives[0])
    if (item := _item(hint)) is not None:
        given = value if isinstance(value, list) else [value]
        return tuple(convert(part, item) for part in given)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, float) and not math.isfinite(value):
        raise TypeError("a finite number")
    if isinstance(value, str) and "\0" in value:
        raise TypeError("text without NUL characters")
    if not isinstance(value, hint) or (hint is not bool and isinstance(value, bool)):
        raise TypeError({bool: "true or false", int: "a whole number", float: "a number", str: "text"}[hint])
    return value


def _documented(kind: type[Any]) -> dict[str, str]:
    """The ``Attributes:`` of a class and its bases."""
    found: dict[str, str] = {}
    for base in reversed(kind.__mro__):
        if base is object or "__doc__" not in vars(base):
            continue
        _, _, text = (getdoc(base) or "").partition("Attributes:\n")
        for match in re.finditer(r"^ {4}(\w+): (.*(?:\n {5,}.*)*)", text, re.MULTILINE):
            found[match[1]] = re.sub(r"\s+", " ", match[2])
    return found
