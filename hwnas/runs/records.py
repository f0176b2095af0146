"""What the files of a run must hold to be read: one shape a file, and one reader for all.

Only what is read is asked for, so that files of earlier versions can be read as well.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hwnas import files
from hwnas.errors import typed
from hwnas.runs.folder import ChainFolder, RunFolder
from hwnas.runs.found import SEARCH, SearchRecord
from hwnas.runs.parts import DATA, METRIC, TARGET, metric_of
from hwnas.runs.training import TRAIN, TrainingRecord
from hwnas.runs.trial import quality_of, score_of
from hwnas.shapes import COUNT, NONE, SHARE, SIZE, SOME, Items, Shape, require
from hwnas.statistics.metric import ACCURACY

ARCH = {"schema": str, "space": str, "indices": [COUNT]}
_NUMBER = (SIZE, NONE)
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


def search(run: Path) -> SearchRecord:
    """How the network of a run was found."""
    path, remedy = RunFolder(run).search, search_anew(run)
    return SearchRecord.from_json(files.read_json(path, SEARCH, remedy), path, remedy)


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
        "targets": Items({"name": str, "target": TARGET, "range_ms": Items(SIZE, 2, 2)}, 1),
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


def arch(run: Path, what: str = "the found architecture") -> dict[str, Any]:
    """The architecture of a run."""
    found: dict[str, Any] = read(RunFolder(run).arch, what, ARCH, search_anew(run))
    return found


def trained(run: Path) -> TrainingRecord:
    """How the network of a run was trained, and what it came to by the metric that the record names."""
    path, remedy = RunFolder(run).train, f"{typed('train', run)} makes it"
    return TrainingRecord.from_json(files.read_json(path, TRAIN, remedy), path, remedy)


__all__ = [
    "COMPARISON",
    "DATA",
    "MATCH",
    "METRIC",
    "NONE",
    "OUTCOMES",
    "Shape",
    "arch",
    "gallery",
    "metric_of",
    "quality_of",
    "read",
    "require",
    "score_of",
    "search",
    "trained",
]
