"""What is compared: a network, trained with the run's recipe once a seed, and exported."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hwnas import files, release, spaces, tasks
from hwnas.data import Dataset
from hwnas.device import Target
from hwnas.errors import DataError, HwnasError, TrainingError
from hwnas.release import Manifest, ShippedModel
from hwnas.runs import records
from hwnas.runs.budgets import BudgetRecord
from hwnas.runs.folder import RunFolder
from hwnas.runs.found import COMPARED, SearchRecord
from hwnas.runs.training import TrainingRecord
from hwnas.space import Architecture
from hwnas.tasks.base import Outcome, Predictions
from hwnas.train import EpochRecord, TrainConfig
from hwnas.train.training import train_run

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Recipe:
    """How every network of a comparison is trained.

    Attributes:
        config: Settings; the seed is that of the run's own training.
        own: Whether the run's own weights came of just this recipe.
        notes: Where this is not what the run itself did, and why.
    """

    config: TrainConfig
    own: bool
    notes: tuple[str, ...]

    @classmethod
    def of(cls, trained: TrainingRecord) -> Recipe:
        """The recipe that ``train.json`` records, as far as any network can follow it.

        What only the run's own network could have (weights of the supernet to begin with, a
        teacher) is left out for all: then the found network is trained again for its own seed
        as well.

        Raises:
            TrainingError: The record is of another version.
        """
        settings, notes = dict(trained.config), []
        if trained.start != {"from": "seed"}:
            notes.append("the run began with weights that other networks do not have: all begin anew here")
        if settings.get("distill_weight"):
            settings["distill_weight"] = 0.0
            notes.append("the run had a teacher: no network has one here")
        return cls(TrainConfig.of_record(settings), not notes, tuple(notes))

    def seeded(self, seed: int) -> TrainConfig:
        """The settings with another seed."""
        return replace(self.config, seed=seed)


@dataclass(frozen=True)
class ShippedNetwork:
    """One trained and exported network.

    Attributes:
        seed: Of its training.
        folder: A run folder like any other.
        trained: Its ``train.json``.
        manifest: Of ``folder/export``.
        outcomes: How it does on the test images, in PyTorch by None, and through each variant's own
            runtime by the variant's name.
    """

    seed: int
    folder: Path
    trained: TrainingRecord
    manifest: Manifest
    outcomes: Mapping[str | None, Outcome]

    def model(self, target: Target) -> Path:
        """The file that is measured for a target."""
        return RunFolder(self.folder).export / shipped(self.manifest, target).file


def shipped(manifest: Manifest, target: Target) -> ShippedModel:
    """The file that is measured for a target: of its own runtime, or of the one whose files it runs."""
    found = next((item for item in manifest.models if release.is_for(target, item)), None)
    if found is None:
        raise HwnasError(
            f"there must be a file for {target}, but the export has only those of "
            f"{', '.join(item.name for item in manifest.models)}: leave out its variant"
        )
    return found


def prepare(run: Path, name: str, arch: Architecture, seed: int, dataset: Dataset) -> Path:
    """The run folder ``run/compare/<name>-seed<seed>`` with what training and export read.

    The budgets are the run's, without what was predicted of the found network.

    Args:
        run: The run that is compared.
        name: Of the network.
        arch: The network.
        seed: Of its training.
        dataset: What the run's own network was trained on.
    """
    folder = RunFolder(run).contender(name, seed)
    search = records.search(run)
    budgets = tuple(BudgetRecord(item.name, item.target, item.budget_ms) for item in search.budgets)
    record = SearchRecord(COMPARED, search.seed, dataset.describe(), budgets)
    for path, content in ((folder.arch, arch.to_json()), (folder.search, record.to_json())):
        if not path.exists() or files.read_json(path, "a record of the comparison") != content:
            files.write_json(path, content)
    return folder.path


def adopt(run: Path, folder: Path) -> None:
    """Put the run's own training into a folder; it is exported there anew, as all others are.

    The run's own export may have had other calibration images, or fine-tuning for int8.
    """
    for name in (RunFolder.weights, RunFolder.train):
        own, kept = run / name, folder / name
        if not kept.exists() or files.sha256(kept) != files.sha256(own):
            files.write_atomic(kept, own.read_bytes())


def trained(folder: Path, config: TrainConfig, tell: Tell) -> TrainingRecord:
    """The record of training a folder's network, which is only trained where it was not yet."""
    arch = spaces.architecture_from_json(records.arch(folder, "the architecture"))
    wanted = records.search(folder).data["fingerprint"]
    run = RunFolder(folder)
    if run.train.exists() and run.weights.exists():
        record = records.trained(folder)
        is_same = record.architecture == arch.id and _is_of(record, config)
        is_whole = record.weights_sha256 == files.sha256(run.weights)
        if is_same and is_whole and record.data["fingerprint"] == wanted:
            return record
        tell(f"{folder.name} was trained in another way: training again")

    def on_epoch(record: EpochRecord) -> None:
        tell(
            f"training {folder.name}: epoch {record.epoch}/{record.epochs}, "
            f"validation {record.metric.text(record.val_value)}"
        )

    tell(f"training {folder.name}")
    return train_run(folder, config, on_epoch=on_epoch)


def _is_of(record: TrainingRecord, config: TrainConfig) -> bool:
    """Whether a training had these settings, those included that an older record does not name."""
    try:
        return TrainConfig.of_record(record.config) == config
    except TrainingError:
        return False


def exported(folder: Path, dataset: Dataset, tell: Tell) -> Manifest:
    """The manifest of a folder's export, which is only made where it is not there yet."""
    run = RunFolder(folder)
    manifest = run.shipping.manifest
    if manifest.exists():
        found = release.read_manifest(manifest.parent)
        if found.weights_sha256 == files.sha256(run.weights):
            return found
        shutil.rmtree(manifest.parent)  # of weights that are no more
    tell(f"exporting {folder.name}")
    return release.read_manifest(release.export_run(folder, dataset).parent)


class KnownOutcomes:
    """How networks do on the test images: each file, and each set of weights, looked at once.

    Args:
        path: Where outcomes are kept.
        dataset: Its test split is the one that counts.
    """

    def __init__(self, path: Path, dataset: Dataset) -> None:
        self._path, self._dataset, self._task = path, dataset, tasks.of(dataset)
        self._known: dict[str, dict[str, Any]] = {}
        if path.exists():
            what, remedy = "kept answers", f"delete {path} and compare again"
            self._known = records.read(path, what, {str: dict}, remedy)

    def of_model(self, model: Path, runtime: str) -> Outcome:
        """Through the runtime of a model file."""
        data = self._dataset
        return self._kept(model, lambda: release.predicted_by(model, runtime, data, data.test))

    def of_weights(self, folder: Path) -> Outcome:
        """In PyTorch, of the trained network in a run folder."""
        return self._kept(RunFolder(folder).weights, lambda: release.predictions_of(folder, self._dataset))

    def _kept(self, file: Path, look: Callable[[], Predictions]) -> Outcome:
        key = f"{self._dataset.fingerprint}/{files.sha256(file)}"
        if key not in self._known:
            self._known[key] = look().kept()
            files.write_json(self._path, self._known)
        try:
            return self._task.outcome(self._known[key])
        except DataError as error:
            raise DataError(f"{error}: delete {self._path} and compare again") from error
