"""What the files of a run must hold to be read: one shape a file, and one reader for all.

Only what is read is asked for, so that files of earlier versions can be read as well.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hwnas import files
from hwnas.errors import SchemaMismatch, typed
from hwnas.runs.folder import ChainFolder, RunFolder
from hwnas.runs.shapes import NONE, Items, Range, Shape, require
from hwnas.statistics.metric import ACCURACY, Metric

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
METRIC = {"name": str, "is_higher_better": bool, "is_share": bool}
TRAIN = {
    "config": {
        "epochs?": (SOME, NONE),
        "batch_size?": (SOME, NONE),
        "learning_rate?": SIZE,
        "seed?": COUNT,
        "distill_weight?": SHARE,
    },
    "data": DATA,
    "metric?": METRIC,
    "seconds": SIZE,
    "history": [{"epoch": SOME, "seconds?": SIZE}],
    "kept?": {"epoch": SOME},
    "start?": dict,
    "weights_sha256?": str,
}
_OF_EACH_TARGET = ("predicted_ms", "predicted_std_ms", "measured_ms", "measured_half_ms")
_SPACE = {"schema": str, "space": str, "space_fingerprint": str}
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
OUTCOMES = {str: dict}


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
    score = score_of(found)
    trial = {"indices": [COUNT], score: SHARE, "latencies_ms": [SIZE]}
    require(found, {f"{score}?": SHARE, "trials?": [trial]}, what, path, remedy)
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


def device_of(record: Mapping[str, Any]) -> str:
    """The device of the first budget of a search."""
    return str(record["constraints"][0]["target"]["device"])


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


def gallery(path: Path, remedy: str, *, is_pickable: bool = False) -> dict[str, Any]:
    """The gallery of a run: every entry has a number for each target.

    Args:
        path: The file.
        remedy: As of ``read``.
        is_pickable: Whether another network is to be taken from it.
    """
    what = "the gallery of a run"
    found: dict[str, Any] = read(path, what, dict, remedy)
    entries = found.get("entries")
    first = entries[0] if isinstance(entries, list) and entries and isinstance(entries[0], dict) else {}
    shape = _gallery(score_of(first))
    require(found, shape | (_SPACE if is_pickable else {}), what, path, remedy)
    targets = len(found["targets"])
    each = {name: Items(object, targets, targets) for name in _OF_EACH_TARGET}
    require(found, {"entries": [each]}, what, path, remedy)
    return found


def _gallery(score: str) -> dict[str, Shape]:
    interval = Items(SHARE, 2, 2)
    return {
        "images": COUNT,
        "targets": Items({"name": str, "target": _TARGET, "range_ms": Items(SIZE, 2, 2)}, 1),
        "entries": Items(
            {
                "indices": [COUNT],
                score: SHARE,
                f"{score}_interval": interval if score == ACCURACY.score_key else (interval, NONE),
                "predicted_ms": [float],
                "predicted_std_ms": [float],
                "measured_ms": [_NUMBER],
                "measured_half_ms": [_NUMBER],
            },
            1,
        ),
    }


def score_of(record: Mapping[str, Any]) -> str:
    """What the scores in a record of a search are called: "accuracy", or of another task "quality"."""
    return "quality" if "quality" in record else ACCURACY.score_key


def quality_of(record: Mapping[str, Any]) -> Any:
    """The score of an architecture in a record of a search."""
    return record[score_of(record)]


def arch(run: Path, what: str = "the found architecture") -> dict[str, Any]:
    """The architecture of a run."""
    found: dict[str, Any] = read(RunFolder(run).arch, what, ARCH, search_anew(run))
    return found


def trained(run: Path) -> dict[str, Any]:
    """How the network of a run was trained, and what it came to by the metric that the record names."""
    path, what, remedy = RunFolder(run).train, "the record of training", f"{typed('train', run)} makes it"
    found: dict[str, Any] = read(path, what, TRAIN, remedy)
    require(found, _judged(metric_of(found)), what, path, remedy)
    return found


def metric_of(record: Mapping[str, Any]) -> Metric:
    """What the numbers of a record of training, a manifest or a verification are; accuracy in older ones."""
    found = record.get("metric")
    return ACCURACY if found is None else Metric(**{name: found[name] for name in METRIC})


def _judged(metric: Metric) -> Shape:
    """What a training came to, by the name of the metric."""
    key = metric.key
    value: Shape = SHARE if metric.is_share else float
    judged = {
        f"{key}?": value,
        f"balanced_{key}?": (value, NONE),
        "loss?": SIZE,
        "images?": COUNT,
        "interval?": Items(value, 2, 2),
        "balanced_interval?": Items(value, 2, 2),
        "recalls?": [(SHARE, NONE)],
    }
    return {
        f"test_{key}": value,
        f"val_{key}": value,
        "history": [{f"{key}?": value, f"val_{key}?": value}],
        "val?": judged,
        "test?": judged,
    }


__all__ = [
    "COMPARISON",
    "MATCH",
    "METRIC",
    "NONE",
    "OUTCOMES",
    "Shape",
    "arch",
    "device_of",
    "gallery",
    "metric_of",
    "quality_of",
    "read",
    "require",
    "score_of",
    "search",
    "trained",
]
