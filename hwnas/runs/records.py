"""What the files of a run must hold to be read: one shape a file, and one reader for all.

A shape is a type (``float`` takes whole numbers too), a ``Range``, a tuple of shapes (any of them),
``[shape]`` (a list), ``Items`` (a list of a length), ``{name: shape}`` (an object; a name that ends
in ``?`` may be missing, further names are left alone) or ``{str: shape}`` (an object of any names).
Only what is read is asked for, so that files of earlier versions can be read as well.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hwnas import files
from hwnas.errors import SchemaMismatch, typed
from hwnas.runs.folder import ChainFolder, RunFolder

Shape = Any

NONE = type(None)


@dataclass(frozen=True)
class Range:
    """A shape: a number within bounds, both included.

    Attributes:
        kind: ``int`` or ``float``.
        least: The smallest.
        most: The largest.
    """

    kind: type[int] | type[float]
    least: float
    most: float = math.inf

    def __str__(self) -> str:
        to = (
            f"from {self.least:g} to {self.most:g}" if self.most < math.inf else f"of at least {self.least:g}"
        )
        return f"{'a whole number' if self.kind is int else 'a number'} {to}"


@dataclass(frozen=True)
class Items:
    """A shape: a list of so many items.

    Attributes:
        shape: Of each item.
        least: The fewest items.
        most: The most; None for any number.
    """

    shape: Any
    least: int
    most: int | None = None

    def __str__(self) -> str:
        return f"a list of {self.least}" + ("" if self.most == self.least else " or more")


SHARE, COUNT, SOME, SIZE = Range(float, 0, 1), Range(int, 0), Range(int, 1), Range(float, 0)
_NUMBER, _INTERVAL = (SIZE, NONE), (Items(float, 2, 2), NONE)
DATA = {
    "source": str,
    "fingerprint": str,
    "resolution": SOME,
    "seed": COUNT,
    "val_share": SHARE,
    "test_share": SHARE,
    "flip": bool,
    "task?": str,
    "classes?": SOME,
    "images?": {str: COUNT},
}
_TARGET = {"device": str, "runtime": str, "precision": str}
_BUDGET = {
    "name": str,
    "target": _TARGET,
    "budget_ms": SIZE,
    "predicted_ms?": _NUMBER,
    "predicted_std_ms?": _NUMBER,
    "measured_ms?": _NUMBER,
    "interval_ms?": _INTERVAL,
    "range_ms?": Items(float, 2, 2),
}
_TRIAL = {"indices": [COUNT], "accuracy": SHARE, "latencies_ms": [SIZE]}
_READING = {"ms": SIZE}
_STEP = {
    "purpose": str,
    "seconds": {str: SIZE},
    "entries": [
        {
            "indices": [COUNT],
            "kept": (bool, NONE),
            "predicted_ms": [float],
            "predicted_std_ms": [float],
            "measured": [(_READING, NONE)],
        }
    ],
}
_PROMISE = {
    "kept?": bool,
    "targets": [{"name": str, "measured_ms?": _NUMBER, "interval_ms?": _INTERVAL}],
    "steps?": [_STEP],
}

ARCH = {"schema": str, "space": str, "indices": [COUNT]}
SEARCH = {
    "strategy": str,
    "seed": COUNT,
    "data": DATA,
    "constraints": [_BUDGET],
    "score?": str,
    "best?": [COUNT],
    "accuracy?": SHARE,
    "trials?": [_TRIAL],
    "confidence?": SHARE,
    "limits?": {str: SIZE},
    "objectives?": [str],
    "request?": dict,
    "sizes?": {str: SIZE},
    "seconds?": {str: SIZE},
    "trace?": [dict],
    "extra?": dict,
    "oneshot?": dict,
    "scratch?": dict,
    "plugins?": {str: str},
    "promise?": _PROMISE,
}
_JUDGED = {
    "accuracy?": SHARE,
    "balanced_accuracy?": (SHARE, NONE),
    "loss?": SIZE,
    "images?": COUNT,
    "interval?": Items(SHARE, 2, 2),
    "balanced_interval?": Items(SHARE, 2, 2),
    "recalls?": [(SHARE, NONE)],
}
TRAIN = {
    "config": {
        "epochs?": (SOME, NONE),
        "batch_size?": (SOME, NONE),
        "learning_rate?": SIZE,
        "seed?": COUNT,
        "distill_weight?": SHARE,
    },
    "data": DATA,
    "test_accuracy": SHARE,
    "val_accuracy": SHARE,
    "seconds": SIZE,
    "history": [{"epoch": SOME, "accuracy?": SHARE, "val_accuracy?": SHARE, "seconds?": SIZE}],
    "kept?": {"epoch": SOME},
    "val?": _JUDGED,
    "test?": _JUDGED,
    "start?": dict,
    "weights_sha256?": str,
}
GALLERY = {
    "images": COUNT,
    "targets": Items({"name": str, "target": _TARGET, "range_ms": Items(SIZE, 2, 2)}, 1),
    "entries": Items(
        {
            "indices": [COUNT],
            "accuracy": SHARE,
            "accuracy_interval": Items(SHARE, 2, 2),
            "predicted_ms": [float],
            "predicted_std_ms": [float],
            "measured_ms": [_NUMBER],
            "measured_half_ms": [_NUMBER],
        },
        1,
    ),
}
_OF_EACH_TARGET = ("predicted_ms", "predicted_std_ms", "measured_ms", "measured_half_ms")
PICKABLE = {**GALLERY, "schema": str, "space": str, "space_fingerprint": str}
_ASKED = {"against": [str], "match_latency": [str], "variants": [str], "rounds": SOME}
COMPARISON = {
    "found": str,
    "notes?": [str],
    "asked?": _ASKED,
    "used?": {str: SIZE},
    "device?": str,
    "seeds?": [COUNT],
    "matches?": [{"family": str, "chosen": str, "ratio": SIZE}],
    "networks": [{"name": str, "macs": SIZE, "variants": [{"name": str, "latency_ms": SIZE}]}],
}
MATCH = {"architecture": str, "chosen": str, "ratio": SIZE}
RIGHT = {str: {"images": COUNT, "right": str}}


def read(path: Path, what: str, shape: Shape, remedy: str) -> Any:
    """The content of a JSON file of a run.

    Args:
        path: The file.
        what: What it is, for messages.
        shape: What it must hold; see the module.
        remedy: What makes the file, or makes it anew: the end of a sentence.

    Raises:
        HwnasError: It is not there, or cannot be read.
        SchemaMismatch: It does not hold what it must.
    """
    content = files.read_json(path, what, remedy)
    require(content, shape, what, path, remedy)
    return content


def require(content: Any, shape: Shape, what: str, path: Path, remedy: str) -> None:
    """Raise SchemaMismatch where JSON is not of a shape; what is odd, and where, is named."""
    for place, wanted, found in _odd(content, shape, ""):
        place = place.removeprefix(".")
        raise SchemaMismatch(
            f"{what} must be as hwnas writes it, but {path} has {found} instead of {wanted}"
            f"{' as ' + place if place else ''}: {remedy}",
            field=place.rsplit(".", 1)[-1] or "schema",
        )


def search(run: Path) -> dict[str, Any]:
    """How the network of a run was found."""
    what, path, remedy = "the record of the search", RunFolder(run).search, search_anew(run)
    found: dict[str, Any] = read(path, what, SEARCH, remedy)
    if not found["constraints"]:
        raise SchemaMismatch(
            f"a search must have had a budget, but {path} has none: {remedy}", field="constraints"
        )
    budgets = len(found["constraints"])
    columns = Items(object, budgets, budgets)
    entry = dict.fromkeys(("predicted_ms", "predicted_std_ms", "measured"), columns)
    shape = {"trials?": [{"latencies_ms": Items(object, budgets)}]}  # limits on other things may follow
    require(found, shape | {"promise?": {"steps?": [{"entries": [entry]}]}}, what, path, remedy)
    return found


def search_anew(run: Path) -> str:
    """What makes the record and the architecture of a run: the end of a sentence.

    A folder with a record is not searched into again: it would be continued, or is refused.
    """
    if is_of_chain(run):
        return "start the `hwnas run` or `hwnas quickstart` again that it is of"
    example = ("search", "--device", "host=60%", "--out")
    if not RunFolder(run).search.exists():
        return f"{typed(*example, run)} makes it, with --device, --data and a budget of your own"
    return f"search into another folder, as {typed(*example, f'{run}-2' if run.name else 'run-2')} does"


def is_of_chain(run: Path) -> bool:
    """Whether ``hwnas run`` or ``hwnas quickstart`` made a run: they make anew what is missing."""
    return ChainFolder(run.resolve().parent).state.is_file()


def gallery(path: Path, shape: Shape, remedy: str) -> dict[str, Any]:
    """The gallery of a run: every entry has a number for each target.

    Args:
        path: The file.
        shape: ``GALLERY``, or ``PICKABLE`` where another network is to be taken from it.
        remedy: As of ``read``.
    """
    what = "the gallery of a run"
    found: dict[str, Any] = read(path, what, shape, remedy)
    targets = len(found["targets"])
    each = {name: Items(object, targets, targets) for name in _OF_EACH_TARGET}
    require(found, {"entries": [each]}, what, path, remedy)
    return found


def arch(run: Path, what: str = "the found architecture") -> dict[str, Any]:
    """The architecture of a run."""
    found: dict[str, Any] = read(RunFolder(run).arch, what, ARCH, search_anew(run))
    return found


def trained(run: Path) -> dict[str, Any]:
    """How the network of a run was trained."""
    found: dict[str, Any] = read(
        RunFolder(run).train, "the record of training", TRAIN, f"{typed('train', run)} makes it"
    )
    return found


def _odd(content: Any, shape: Shape, place: str) -> list[tuple[str, str, str]]:
    """The first place that does not fit, with what is wanted and what is there; else nothing."""
    if isinstance(shape, tuple):
        found = [_odd(content, each, place) for each in shape]
        if not all(found):
            return []
        deeper = [each for each in found if each[0][0] != place]
        return deeper[0] if deeper else [(place, _wanted(shape), _said(content))]
    if isinstance(shape, list | Items):
        among = shape if isinstance(shape, Items) else Items(shape[0], 0)
        most = among.most or math.inf
        if not isinstance(content, list) or not among.least <= len(content) <= most:
            return [(place, _wanted(shape), _said(content))]
        parts = [(f"{place}[{number}]", item, among.shape) for number, item in enumerate(content)]
    elif isinstance(shape, dict):
        if not isinstance(content, dict):
            return [(place, "an object", _said(content))]
        if str in shape:
            parts = [(f"{place}.{name}", item, shape[str]) for name, item in content.items()]
        else:
            names = {name: name.removesuffix("?") for name in shape}
            missing = [name for name in names if not name.endswith("?") and name not in content]
            if missing:
                return [(f"{place}.{missing[0]}", _wanted(shape[missing[0]]), "nothing")]
            parts = [(f"{place}.{n}", content[n], shape[key]) for key, n in names.items() if n in content]
    else:
        fits = _fits(content, shape)
        return [] if fits else [(place, _wanted(shape), _said(content))]
    for inner, item, part in parts:
        if wrong := _odd(item, part, inner.removeprefix(".")):
            return wrong
    return []


def _fits(content: Any, shape: Shape) -> bool:
    if isinstance(shape, Range):
        return _fits(content, shape.kind) and shape.least <= content <= shape.most
    kinds = (int, float) if shape is float else shape
    if not isinstance(content, kinds) or (isinstance(content, bool) and shape is not bool):
        return False
    if isinstance(content, str) and "\0" in content:  # no path has one
        return False
    return not isinstance(content, float) or math.isfinite(content)


def _wanted(shape: Shape) -> str:
    if isinstance(shape, Range | Items):
        return str(shape)
    if isinstance(shape, tuple):
        return " or ".join(map(_wanted, shape))
    if isinstance(shape, dict | list):
        return "an object" if isinstance(shape, dict) else "a list"
    words = {str: "text", int: "a whole number", float: "a number", bool: "true or false"}
    return {**words, dict: "an object", list: "a list", NONE: "null"}[shape]


def _said(content: Any) -> str:
    text = json.dumps(content, default=str)
    return text if len(text) <= 40 else f"{text[:37]}…"


__all__ = [
    "COMPARISON",
    "GALLERY",
    "MATCH",
    "PICKABLE",
    "RIGHT",
    "arch",
    "gallery",
    "read",
    "require",
    "search",
    "trained",
]
