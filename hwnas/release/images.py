"""The images behind a shipping folder: which they were, and whether they can be found again.

A manifest names them without a word about the machine that they lie on. A path of the user's is
only kept in ``train.json``, which does not ship.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hwnas import blocks, data, runtimes, spaces, tasks
from hwnas.data import Split
from hwnas.errors import DataError, HwnasError, typed
from hwnas.export import parity
from hwnas.runs import records
from hwnas.runs.folder import RunFolder
from hwnas.train import load_weights
from hwnas.train.scoring import BATCH
from hwnas.train.training import dataset_of

if TYPE_CHECKING:
    from torch import nn

    from hwnas.data import Dataset
    from hwnas.tasks.base import Predictions


def public_name(source: str) -> str:
    """A name of a source of images that tells nothing of the machine: the last part of a path."""
    return source if data.is_embedded(source) else Path(source).name or "images"


def load_data(record: Mapping[str, Any], source: str | None = None, run: Path | None = None) -> Dataset:
    """The data that a record (of search, training or export) was made with.

    Args:
        record: What ``Dataset.describe`` said.
        source: Where they are now, if they moved.
        run: Folder of the run, where it is known: for the remedy.

    Raises:
        DataError: They cannot be read, or are not the same any more.
    """
    source = source or str(record["source"])
    command = typed("train", run or "RUN", "--data", source)
    remedy = f"give those of the training with --data, or train anew with {command}"
    return dataset_of({**record, "source": source}, remedy)


def require_same_data(dataset: Dataset, record: Mapping[str, Any]) -> None:
    """Raise HwnasError where a dataset is not the one of the record."""
    if dataset.fingerprint != record["fingerprint"]:
        raise HwnasError(
            f"the data must be those that the network was trained on ({record['fingerprint']}), but "
            f"{dataset.name} has the fingerprint {dataset.fingerprint}: give the same ones with --data"
        )


def find_data(folder: Path, record: Mapping[str, Any]) -> tuple[Dataset | None, str]:
    """The data of a shipping folder where they were at training, if they are still there.

    Args:
        folder: The shipping folder; its run's folder around it, if it still is there, knows the path.
        record: What the manifest says of the data.

    Returns:
        The data; None with a sentence that says why they are not at hand.
    """
    trained = RunFolder(folder.parent).train
    places = [str(record["source"])]  # an embedded source, or the path in an older manifest
    if trained.is_file():
        places.append(str(records.trained(folder.parent).data["source"]))
    for place in places:
        if data.is_embedded(place) or (Path(place).is_absolute() and Path(place).exists()):
            try:
                return load_data(record, place), ""
            except DataError as error:
                return None, f"the data at {place} are not those of the training any more: {error}"
    return None, f"the data ({public_name(places[0])}) are not at hand: give their place with --data"


def unseen(split: Split, dataset: Dataset) -> Split:
    """The images of a split that are not, pixel by pixel, among those a network was trained by.

    Args:
        split: Of the shape that ``dataset`` has.
        dataset: What the network was trained on.
    """
    known = {image.tobytes() for part in (dataset.train, dataset.val) for image in part.images}
    fresh = np.array([image.tobytes() not in known for image in split.images], bool)
    return Split(split.images[fresh], split.labels[fresh])


def predictions_of(run: Path, dataset: Dataset) -> Predictions:
    """What the trained network of a run says of the test images, in PyTorch."""
    arch = spaces.architecture_from_json(records.arch(run))
    module = blocks.network(arch)
    load_weights(module, RunFolder(run).weights)
    return predicted(module, dataset, dataset.test)


def predicted(module: nn.Module, dataset: Dataset, split: Split) -> Predictions:
    """What a network says of images, in PyTorch.

    Args:
        module: The network.
        dataset: What it was trained on.
        split: The images.
    """
    parts = (dataset.normalize(split.images[at : at + BATCH]) for at in range(0, len(split), BATCH))
    outputs = runtimes.joined([parity.answers(module, part) for part in parts])
    return tasks.predictions(tasks.of(dataset), outputs, split.labels)
