"""A trained network that another one learns from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import nn

from hwnas import blocks, files, spaces, tasks
from hwnas.errors import TrainingError
from hwnas.runs import records
from hwnas.runs.folder import RunFolder
from hwnas.train import checkpoint

if TYPE_CHECKING:
    from hwnas.data import Dataset
    from hwnas.space import Architecture


@dataclass(frozen=True)
class Teacher:
    """Answers that a student is drawn to.

    Attributes:
        network: Answers the student's images.
        record: What it is, as JSON; a checkpoint is only continued under the same teacher.
        architecture: Its blocks; None of one that is only its answers.
    """

    network: nn.Module
    record: Mapping[str, Any] = field(default_factory=dict)
    architecture: Architecture | None = None


def require_teacher(run: Path) -> None:
    """Refuse what is no folder of a trained run, before anything is written.

    Raises:
        TrainingError: There is nothing, or nothing that was trained.
    """
    folder = RunFolder(run)
    if not (folder.arch.exists() and folder.weights.exists()):
        what = "has no trained network" if run.is_dir() else "is no folder"
        raise TrainingError(
            f"a teacher must be the folder of a trained run, but {run} {what}: give another one, or train it"
        )


def load_teacher(run: Path, data: Dataset) -> Teacher:
    """The trained network of a run, for students of the same images.

    Args:
        run: Folder with ``arch.json`` and ``weights.safetensors``.
        data: What the student is trained on.

    Raises:
        TrainingError: The teacher has other classes, or did not learn on the same split of the
            same images: it may have seen what the student is validated and tested on.
        HwnasError: A file is missing or damaged.
    """
    require_teacher(run)
    arch = spaces.architecture_from_json(records.arch(run, "the teacher's architecture"))
    if arch.space.num_classes != tasks.of(data).outputs(data):
        raise TrainingError(
            f"a teacher must know the student's classes, but {run} has {arch.space.num_classes} and "
            f"{data.name} has {tasks.of(data).outputs(data)}: give another run"
        )
    network = blocks.network(arch)
    weights = RunFolder(run).weights
    metadata = checkpoint.load_weights(network, weights)
    if metadata.get("data") != data.fingerprint:
        raise TrainingError(
            f"a teacher must have learnt on the same images, splits and resolution as its student, but {run} "
            f"has the fingerprint {metadata.get('data')} and the data {data.fingerprint}: train it on them"
        )
    record: dict[str, Any] = {
        "run": run.name,
        "architecture": arch.id,
        "weights_sha256": files.sha256(weights),
    }
    if RunFolder(run).train.exists() and (began_with := records.trained(run).began_with) is not None:
        record["began_with"] = dict(began_with)
    return Teacher(network, record, arch)
