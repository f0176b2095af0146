"""What the files of a run must hold to be read: one shape a file, and one reader for all.

Only what is read is asked for, so that files of earlier versions can be read as well.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hwnas import files
from hwnas.errors import typed
from hwnas.runs.adapting import ADAPTED, AdaptRecord
from hwnas.runs.comparison import COMPARISON, ComparisonRecord
from hwnas.runs.folder import ChainFolder, RunFolder
from hwnas.runs.found import SEARCH, SearchRecord
from hwnas.runs.gallery import GALLERY, GalleryRecord
from hwnas.runs.parts import DATA, METRIC, metric_of
from hwnas.runs.training import TRAIN, TrainingRecord
from hwnas.shapes import COUNT, NONE, Shape, require

_NAMED = 3  # of runs in a folder
ARCH = {"schema": str, "space": str, "indices": [COUNT]}


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

    A folder with a record is not searched into again: it would be continued, or is refused. Of a folder
    around runs, which it is that is meant.
    """
    if elsewhere := runs_inside(run):
        return elsewhere
    if RunFolder(run).imported.exists():
        again = typed("train", "RUN", "--from", run, "--data", "DIR")
        return f"of an imported network, {again} makes a run that all other commands take"
    if RunFolder(run).adapting.exists():
        return (
            "of an adaptation in which nothing kept the budget, `hwnas adapt` with a higher one makes a run"
        )
    if is_of_chain(run):
        return "start the `hwnas run` or `hwnas quickstart` again that it is of"
    example = ("search", "--device", "host=60%", "--out")
    if not RunFolder(run).search.exists():
        return f"{typed(*example, run)} makes it, with --device, --data and a budget of your own"
    return f"search into another folder, as {typed(*example, f'{run}-2' if run.name else 'run-2')} does"


def runs_inside(folder: Path, verb: str = "") -> str:
    """Which runs are in a folder that is none itself: the end of a sentence; empty where there are none.

    Args:
        folder: Where a run was looked for.
        verb: For what.
    """
    own, found = RunFolder(folder), ChainFolder(folder).runs
    if not found or own.arch.exists() or own.search.exists():
        return ""
    names = [str(run.path) for run in found[:_NAMED]]
    hold = f"{' and '.join(names)} {'does' if len(found) == 1 else 'do'}"
    give = f"give {names[0]}, for example" if len(found) > 1 else f"give {names[0]}"
    return f"{folder} holds no run, {hold}: {f'type {typed(verb, names[0])}' if verb else give}"


def chain_of(run: Path) -> ChainFolder | None:
    """The folder of the ``hwnas run`` or ``hwnas quickstart`` that made a run; None where neither did."""
    chain = ChainFolder(run.resolve().parent)
    return chain if chain.state.is_file() else None


def is_of_chain(run: Path) -> bool:
    """Whether ``hwnas run`` or ``hwnas quickstart`` made a run: they make anew what is missing."""
    return chain_of(run) is not None


def gallery(run: Path, remedy: str, *, is_pickable: bool = False) -> GalleryRecord:
    """What else a search had to offer.

    Args:
        run: Folder of the run.
        remedy: As of ``read``.
        is_pickable: Whether another network is to be taken from it.
    """
    path = RunFolder(run).gallery
    found = files.read_json(path, GALLERY, remedy)
    return GalleryRecord.from_json(found, path, remedy, is_pickable=is_pickable)


def comparison(run: Path) -> ComparisonRecord:
    """Known networks that were trained and measured beside the network of a run."""
    path, remedy = RunFolder(run).comparison, "compare again, or delete it"
    return ComparisonRecord.from_json(files.read_json(path, COMPARISON, remedy), path, remedy)


def adapting(run: Path) -> AdaptRecord:
    """What was tried to make a network keep a budget."""
    path, remedy = RunFolder(run).adapting, "adapt the network into another folder"
    return AdaptRecord.from_json(files.read_json(path, ADAPTED, remedy), path, remedy)


def arch(run: Path, what: str = "the found architecture") -> dict[str, Any]:
    """The architecture of a run."""
    found: dict[str, Any] = read(RunFolder(run).arch, what, ARCH, search_anew(run))
    return found


def trained(run: Path) -> TrainingRecord:
    """How the network of a run was trained, and what it came to by the metric that the record names."""
    path, remedy = RunFolder(run).train, runs_inside(run) or f"{typed('train', run)} makes it"
    return TrainingRecord.from_json(files.read_json(path, TRAIN, remedy), path, remedy)


__all__ = [
    "DATA",
    "METRIC",
    "NONE",
    "Shape",
    "adapting",
    "arch",
    "comparison",
    "gallery",
    "metric_of",
    "read",
    "require",
    "search",
    "trained",
]
