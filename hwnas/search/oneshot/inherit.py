"""A found network that begins with the weights it shared in the supernet."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from hwnas import files
from hwnas.errors import TrainingError
from hwnas.evaluators.supernet.oneshot import SCHEMA
from hwnas.runs import records
from hwnas.runs.folder import RunFolder
from hwnas.train.checkpoint import read_tensors
from hwnas.train.training import Start

if TYPE_CHECKING:
    from hwnas.data import Dataset
    from hwnas.space import Architecture


def inherited(run: Path, arch: Architecture, data: Dataset) -> Start:
    """The weights that the supernet of a run has for an architecture.

    Its batch-norm statistics come along, but they are those of many paths mixed: the first
    steps of training replace them.

    Args:
        run: Folder that ``hwnas search`` wrote.
        arch: Of the space that was searched.
        data: What the network is going to be trained on.

    Raises:
        TrainingError: There is no supernet, it is of another space or of other data, or it is a
            narrower proxy, whose layers do not fit the network's.
    """
    path = RunFolder(run).supernet
    remedy = "train without --init supernet"
    if not path.exists():
        raise TrainingError(
            f"a supernet must be there to lend its weights, but {path} does not exist: {remedy}"
        )
    tensors, metadata = read_tensors(path, SCHEMA, remedy)
    if metadata.get("space") != arch.space.fingerprint or metadata.get("data") != data.fingerprint:
        raise TrainingError(
            f"a supernet must be of the network's space and data, but {path} is of others: it may have seen "
            f"validation or test images; {remedy}"
        )
    width = metadata["config"]["width"]
    if width != 1:
        raise TrainingError(
            f"a supernet must be as wide as the network to lend it weights, but {path} was made with "
            f"--proxy-width {width:g}: search into another folder with --proxy-width 1, or {remedy}"
        )
    weights = {
        f"{target}.{name.removeprefix(source)}": tensor
        for source, target in _places(arch)
        for name, tensor in tensors.items()
        if name.startswith(source)
    }
    record = {"from": "supernet", "sha256": files.sha256(path), "steps": metadata["steps"]}
    described = records.search(run).oneshot or {}
    for began in (described, described.get("teacher", {})):
        if "began_with" in began:
            record["began_with"] = began["began_with"]
    is_taught = metadata["config"].get("training") == "blockwise"
    return Start(weights, record, is_pretrained=is_taught or arch.space.is_begun)


def _places(arch: Architecture) -> Iterator[tuple[str, int]]:
    """Where the weights of each block are in the supernet, and the block's number in the network."""
    space = arch.space
    parts = [
        *(f"supernet:stem.{i}." for i in range(len(space.stem))),
        *(f"supernet:choices.{i}.candidates.{index}." for i, index in enumerate(arch.picks)),
        *(f"supernet:head.{i}." for i in range(len(space.head))),
    ]
    for number, place in enumerate(arch.flow.running):
        yield parts[place], number
