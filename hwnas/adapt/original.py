"""The network that is to become faster: brought in, and adapted to the images."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hwnas import budget, files, known, spaces, tasks
from hwnas.budget import Budget
from hwnas.device import Target
from hwnas.errors import HwnasError
from hwnas.importing.scaling import BY_OPTIONS, scale_of
from hwnas.runs import records
from hwnas.runs.folder import RunFolder
from hwnas.space import Shape
from hwnas.train.adapting import adapted
from hwnas.train.config import EpochRecord, TrainConfig

_FILES = (".onnx", ".tflite")
ORIGINAL = "original"
"""Folder of the whole network in that of the run, where it is made for it."""


@dataclass(frozen=True)
class GivenModel:
    """What the user has.

    Attributes:
        model: A known network, the folder of a trained run or of an imported network, a file .onnx or
            .tflite, or a function ``package.module:name`` that makes a PyTorch module.
        data: Images; None for those of a trained run.
        weights: Of a function's module or of a known network.
        input_shape: Of one image, where a module does not say it.
        mean: What the network's inputs are scaled by: of values from 0 to 1; None as it says itself.
        std: The same.
        resolution: That it shall see; by default what it is of.
        task: What it does with images; None for that of a trained run, or else the usual one.
        config: How it is adapted to them.
    """

    model: str
    data: str | None
    weights: Path | None = None
    input_shape: Shape | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    resolution: int | None = None
    task: str | None = None
    config: TrainConfig = field(default_factory=TrainConfig)

    @property
    def is_trained_run(self) -> bool:
        """Whether it is the folder of a run that was trained."""
        return RunFolder(Path(self.model).expanduser()).train.is_file()

    @property
    def is_imported(self) -> bool:
        """Whether it is the folder of an imported network."""
        return RunFolder(Path(self.model).expanduser()).imported.is_file()

    @property
    def is_to_import(self) -> bool:
        """Whether it is a file or a function of others."""
        return Path(self.model).suffix in _FILES or ":" in self.model


def original(
    given: GivenModel,
    folder: Path,
    *,
    tell: Callable[[str], None] = lambda _: None,
    on_epoch: Callable[[EpochRecord], None] = lambda _: None,
) -> Path:
    """Run folder of the network, trained on the images; what is there already is not made again.

    Args:
        given: What the user has.
        folder: Where it may be kept.
        tell: Told what is being done.
        on_epoch: Called after every epoch.

    Raises:
        HwnasError: It cannot be brought in, or not be trained.
    """
    _require_used(given)
    if given.is_trained_run:
        run = Path(given.model).expanduser()
        said = str(records.trained(run).data["source"])
        if given.data is not None and given.data != said:
            raise HwnasError(
                f"data must be those that a trained run is of, {said}, but got {given.data}: leave --data "
                "out, or give the network that it began with"
            )
        _require_task(given, run)
        return run
    is_known = given.is_imported or known.knows(given.model.partition("+")[0])
    if not (given.is_to_import or is_known):
        raise HwnasError(
            "a network must be a known one (efficientnet-lite0), the folder of a trained run or of an "
            "imported network, a file .onnx or .tflite, or a function package.module:name, but got "
            f"{given.model!r}"
        )
    if given.data is None:
        raise HwnasError(
            f"pictures must be given for a network that is of no trained run, but {given.model} has none: "
            "give --data"
        )
    name, weights = given.model, given.weights
    if given.is_to_import:
        name, weights = str(_imported(given, folder / "import", tell)), None
    tell("adapting the network to the images")
    return adapted(
        folder / ORIGINAL,
        name,
        given.data,
        file=weights,
        resolution=given.resolution,
        task=given.task or tasks.DEFAULT,
        config=given.config,
        on_epoch=on_epoch,
    )


def _require_task(given: GivenModel, run: Path) -> None:
    own = tasks.of_record(records.trained(run).data).name
    if given.task not in (None, own):
        raise HwnasError(
            f"a task must be that of a trained run, {own}, but got {given.task!r}: leave it out, or give the "
            "network that it began with"
        )


def _require_used(given: GivenModel) -> None:
    """Refuse what would change nothing of the network that is given."""
    of_import = ("input_shape", "mean", "std")
    unused: tuple[str, ...] = () if given.is_to_import else of_import
    if given.is_trained_run or given.is_imported:
        unused += ("weights",)
    if given.is_trained_run:
        unused += ("resolution",)
    if odd := [name for name in unused if getattr(given, name) is not None]:
        raise HwnasError(
            f"{odd[0]} must be left out where a network has its own, but got {getattr(given, odd[0])} for "
            f"{given.model}: leave it out, or give the network that it was made of"
        )


def _imported(given: GivenModel, folder: Path, tell: Callable[[str], None]) -> Path:
    from hwnas.importing import import_model

    if RunFolder(folder).arch.is_file():  # the last of its files
        if not _is_of(given, folder):
            raise HwnasError(
                f"a network must be adapted into a folder of its own, but {folder.parent} was begun with "
                "another model, other weights, or images of another size or scale: give another folder"
            )
        return folder
    import_model(
        given.model,
        folder,
        weights=given.weights,
        input_shape=given.input_shape,
        mean=given.mean,
        std=given.std,
        tell=tell,
    )
    return folder


def _is_of(given: GivenModel, folder: Path) -> bool:
    """Whether what was imported into a folder is the network that is given."""
    said = files.read_json(RunFolder(folder).imported, "the record of an import")
    file = Path(given.model) if Path(given.model).suffix in _FILES else None
    read = [path for path in (file, given.weights) if path is not None]
    name = given.model if file is None else file.name
    digests = {path.name: files.sha256(path) for path in read}
    if said["source"]["name"] != name or said["source"]["sha256"] != digests:
        return False
    space = spaces.architecture_from_json(records.arch(folder)).space
    return given.input_shape in (None, space.input_shape) and _is_scaled_as(given, said["scale"])


def _is_scaled_as(given: GivenModel, said: Mapping[str, Any]) -> bool:
    """Whether images of the network that is given are scaled as those of an import."""
    if given.mean is None and given.std is None:
        return str(said["said_by"]) != BY_OPTIONS
    channels = len(said["mean"])
    wanted = scale_of(given.mean, given.std, None, channels)
    return (list(wanted.mean), list(wanted.std)) == (said["mean"], said["std"])


def one_budget(text: str, precision: str = "int8") -> Budget:
    """The budget of a text as ``host=12`` or ``host/litert-int8=50%``.

    Args:
        text: What was typed.
        precision: Where it names none.

    Raises:
        HwnasError: It is none, or several, or nothing keeps it.
    """
    found = budget.parse([text], (), [precision])
    if len(found) != 1 or not isinstance(found[0].target, Target):
        raise HwnasError(f"a network must be adapted to one budget, but got {text!r}: give one as host=12")
    if not found[0].limit:
        raise HwnasError(
            f"a share of what a network takes itself must be over 0 %, but got {text!r}: give one as host=50%"
        )
    return found[0]
