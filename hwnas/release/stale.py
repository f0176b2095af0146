"""What in the folder of a run is of something that is no more."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hwnas import files, spaces
from hwnas.errors import HwnasError, typed
from hwnas.release.folder import MANIFEST, read_json
from hwnas.runs import records
from hwnas.runs.folder import RunFolder
from hwnas.runs.training import TrainingRecord

_SHOWN = 8  # digits of a hash that people compare


def run_of(folder: Path) -> Path | None:
    """The run whose shipping folder this is; None where it lies alone."""
    run = RunFolder(folder.resolve().parent)
    is_of_run = folder.resolve() == run.export and run.arch.is_file()
    return run.path if is_of_run and run.train.is_file() else None


def shipping_of(folder: Path) -> Path:
    """The shipping folder that is meant: that of a run where its folder is given."""
    run = RunFolder(folder)
    return run.export if run.shipping.manifest.exists() else folder


def owner_of(folder: Path) -> Path:
    """Whose folder must not be worked in by another process: the run around a shipping folder, or itself."""
    return folder.parent if RunFolder(folder.parent).arch.exists() else folder


def stale(run: Path) -> tuple[str, ...]:
    """Sentences on every stage whose input was made again after it; empty where all fit together.

    An architecture is trained, weights are exported, an export is verified and reported: each stage
    keeps the name or the hash of what it was made of.

    Args:
        run: Folder with at least ``arch.json``.
    """
    found = [*_training(run)]
    manifest = RunFolder(run).shipping.manifest
    if manifest.is_file():
        found += _export(run, read_json(manifest.parent, MANIFEST, "the manifest of a shipping folder"))
    return tuple(found)


def unfinished(run: Path) -> tuple[str, ...]:
    """A sentence where a training was begun after the one that the run's weights are of, and not ended."""
    checkpoint = RunFolder(run).train_checkpoint
    if not checkpoint.is_file() or not RunFolder(run).train.is_file():
        return ()
    return (
        "a further training of this run was begun and is not finished: what is exported, verified and "
        f"reported is of the weights before it; {typed('train', run)} with the same options goes on, and "
        f"deleting {checkpoint} gives it up",
    )


def require_whole_training(run: Path) -> None:
    """Raise HwnasError where architecture, record of training and weights are not of one training."""
    if found := _training(run):
        raise HwnasError(f"an export must be of the network that was trained last, but {found[0]}")


def _training(run: Path) -> list[str]:
    trained = _trained(run)
    if trained is None:
        return []
    arch = spaces.architecture_from_json(records.arch(run))
    if trained.architecture not in ("", arch.id):
        return [
            f"the training is of the network {trained.architecture}, and the run's is {arch.id} now: "
            f"{_again(run, 'train', 'export', 'verify')}"
        ]
    weights, expected = RunFolder(run).weights, trained.weights_sha256
    if expected is not None and weights.is_file() and files.sha256(weights) != expected:
        anew = _again(run, "train", "export", "verify")
        return [f"{weights.name} is not what {RunFolder.train} describes: {anew}"]
    return []


def _export(run: Path, manifest: Mapping[str, Any]) -> list[str]:
    trained, shipped = _trained(run), manifest.get("weights_sha256")
    weights = RunFolder(run).weights
    now = None if trained is None else trained.weights_sha256
    if now is None and weights.is_file():
        now = files.sha256(weights)
    if now is None or shipped == now:
        return []
    return [
        f"the exported models are of the weights {str(shipped)[:_SHOWN]}, and the run's are {now[:_SHOWN]} "
        f"now: {_again(run, 'export', 'verify', 'report')}"
    ]


def _again(run: Path, *verbs: str) -> str:
    """What puts a run in order: the end of a sentence."""
    return f"{', then '.join(typed(verb, run) for verb in verbs)}, make it anew"


def _trained(run: Path) -> TrainingRecord | None:
    return records.trained(run) if RunFolder(run).train.is_file() else None
