"""What the files of a run must hold to be read: one shape a file, and one reader for all.

Only what is read is asked for, so that files of earlier versions can be read as well.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hwnas import files
from hwnas.errors import SchemaMismatch, typed
from hwnas.runs.folder import ChainFolder, RunFolder
from hwnas.runs.shapes import NONE, Items, Range, Shape, require

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


__all__ = [
    "COMPARISON",
    "GALLERY",
    "MATCH",
    "NONE",
    "PICKABLE",
    "RIGHT",
    "Shape",
    "arch",
    "gallery",
    "read",
    "require",
    "search",
    "trained",
]
