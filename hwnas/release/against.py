"""A trained network beside another run's, on the same test images."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hwnas import files
from hwnas.release.images import answers_of
from hwnas.runs import records
from hwnas.statistics.differences import Difference
from hwnas.train.run import WEIGHTS

if TYPE_CHECKING:
    from hwnas.data import Dataset

FILE = "against.json"
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
    labels = dataset.test.labels
    mine, theirs = (np.equal(answers_of(folder, dataset), labels) for folder in (run, other))
    found = Difference.of([mine], [theirs])
    hashes = {"weights_sha256": files.sha256(run / WEIGHTS), "other_sha256": files.sha256(other / WEIGHTS)}
    record = {"schema": SCHEMA, "other": other.name, **hashes, "difference": found.to_json()}
    files.write_json(run / FILE, record)
    return found


def read(run: Path, other: Path | None = None) -> Difference | None:
    """What ``write`` found; None where it was not written, or for other weights than are there now.

    Args:
        run: Folder of the trained network.
        other: Folder of the one that it must have been compared with; any by default.
    """
    path = run / FILE
    if not path.is_file():
        return None
    record = records.read(path, "the comparison of two runs", _SHAPE, "`hwnas run` makes it")
    known = [(run, "weights_sha256"), *([(other, "other_sha256")] if other else [])]
    for folder, name in known:
        if not (folder / WEIGHTS).is_file() or files.sha256(folder / WEIGHTS) != record[name]:
            return None
    return Difference.from_json(record["difference"])
