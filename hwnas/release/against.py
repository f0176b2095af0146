"""A trained network beside another run's, on the same test images."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from hwnas import files, tasks
from hwnas.release.images import predictions_of
from hwnas.runs import records
from hwnas.runs.folder import RunFolder
from hwnas.statistics.differences import Difference

if TYPE_CHECKING:
    from hwnas.data import Dataset

SCHEMA = "hwnas-against/1"
_SHAPE = {
    "weights_sha256": str,
    "other_sha256": str,
    "difference": {
        "mean": float,
        "interval": [float],
        "chance": (float, records.NONE),
        "images": int,
        "trainings": int,
    },
}


def write(run: Path, other: Path, dataset: Dataset) -> Difference:
    """Compare two trained runs on the test split and keep the result in the first one's folder.

    Args:
        run: Folder of the trained network.
        other: Folder of the one that it is compared with.
        dataset: What both were trained on.
    """
    mine, theirs = (predictions_of(folder, dataset) for folder in (run, other))
    found = tasks.of(dataset).difference([mine], [theirs])
    hashes = {
        name: files.sha256(RunFolder(folder).weights)
        for name, folder in (("weights_sha256", run), ("other_sha256", other))
    }
    record = {"schema": SCHEMA, "other": other.name, **hashes, "difference": found.to_json()}
    files.write_json(RunFolder(run).against, record)
    return found


def read(run: Path, other: Path | None = None) -> Difference | None:
    """What ``write`` found; None where it was not written, or for other weights than are there now.

    Args:
        run: Folder of the trained network.
        other: Folder of the one that it must have been compared with; any by default.
    """
    path = RunFolder(run).against
    if not path.is_file():
        return None
    record = records.read(
        path, "the comparison of two runs", _SHAPE, "start the `hwnas run` again that it is of, or delete it"
    )
    known = [(run, "weights_sha256"), *([(other, "other_sha256")] if other else [])]
    for folder, name in known:
        weights = RunFolder(folder).weights
        if not weights.is_file() or files.sha256(weights) != record[name]:
            return None
    return Difference.from_json(record["difference"])
