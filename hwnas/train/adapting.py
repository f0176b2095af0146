"""Networks as others trained them, known ones or imported ones, to be adapted to one's own images."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from hwnas import blocks, files, known, spaces, tasks
from hwnas.data.batches import Batches
from hwnas.data.sources import require_apart
from hwnas.errors import HwnasError, TrainingError, typed
from hwnas.known import pretrained
from hwnas.runs import records
from hwnas.runs.folder import RunFolder
from hwnas.runs.found import KNOWN, SCHEMA, SearchRecord
from hwnas.runs.training import SEED, named_by
from hwnas.spaces import own
from hwnas.spaces.adapted import PREFIX
from hwnas.train.auxiliary import require_possible
from hwnas.train.config import EpochRecord, TrainConfig
from hwnas.train.renorming import renorm
from hwnas.train.sources import require_run, weights_of
from hwnas.train.training import Begins, Start, train_run

if TYPE_CHECKING:
    from hwnas.data import Dataset
    from hwnas.known.pretrained import Weights
    from hwnas.space import Architecture
    from hwnas.tasks import Task

_IMAGES, _SEED = 1024, 0
"""Training images that lost statistics are measured on."""


@dataclass(frozen=True)
class _Beginning:
    """A known network, and what a training of it begins with.

    Attributes:
        architecture: Of the network, with the classes that its weights tell apart.
        origin: Of its weights, as the records of a run say it.
        scale: Mean and deviation that its weights were trained with; None for those of the images.
        begins: Which weights it begins with; None for random ones.
    """

    architecture: Architecture
    origin: Mapping[str, Any]
    scale: tuple[tuple[float, ...], tuple[float, ...]] | None = None
    begins: Begins | None = None

    @classmethod
    def with_weights(cls, weights: Weights) -> _Beginning:
        """With what others trained."""
        scale = weights.source.mean, weights.source.std
        return cls(weights.architecture, origin_of(weights), scale, start_of(weights))

    @classmethod
    def with_nothing(cls, name: str, task: Task, file: Path | None, resolution: int | None) -> _Beginning:
        """With random weights: only a network that is made by its name can begin so."""
        if file is not None:
            raise TrainingError(
                f"random weights must come from no file, but got {file} for them: leave it out, or leave "
                "--init seed out"
            )
        if not known.knows(name):
            raise TrainingError(
                "a network that begins with random weights must be made by its name, as mobilenetv3-large "
                f"is, but got {name}: leave --init seed out, or give such a name"
            )
        architecture = known.load(task.network(name), resolution=resolution)
        return cls(architecture, {"from": SEED, "network": architecture.space.name})


def begun(
    run: Path,
    name: str,
    source: str,
    config: TrainConfig,
    *,
    file: Path | None = None,
    resolution: int | None = None,
    task: str = tasks.DEFAULT,
    from_seed: bool = False,
) -> tuple[Dataset, Begins | None]:
    """Make a run folder of a known network, for ``train_run`` to adapt it in.

    Writes ``arch.json`` and ``search.json``, or finds there what it would write.

    Args:
        run: The folder; new, or begun in the same way.
        name: Of a source of weights, a network or a run folder; see ``sources.weights_of``.
        source: Images to adapt it to.
        config: How it will be trained; its seed is that of the splits as well.
        file: Of its weights, instead of what its publisher has.
        resolution: That it shall see.
        task: What the network is to do with them.
        from_seed: Whether it begins with random weights, as where those of others cannot be had.

    Returns:
        The images as the network expects them, and what ``train_run`` begins with; None for random weights.

    Raises:
        DataError: The images cannot be read.
        SpaceError: They have other channels than the network reads.
        TrainingError: It cannot be trained so.
        HwnasError: The folder holds another run, or is the source itself.
    """
    _require_folder(run, name)
    require_apart(run, source)
    kind = tasks.get(task)
    if from_seed:
        found = _Beginning.with_nothing(name, kind, file, resolution)
    else:
        name = name if Path(name).expanduser().is_dir() else kind.network(name)
        found = _Beginning.with_weights(weights_of(name, file, resolution=resolution))
    space, seed = found.architecture.space, config.seed
    _require_kind(space.name, name, kind)
    dataset = kind.load(source, resolution=space.input_shape[1], seed=seed)
    tasks.require_channels(dataset, space)
    require_possible(config.auxiliary, kind)
    usual = kind.usual(pretrained=found.begins is not None)
    config.resolved(len(dataset.train), usual)  # refused before anything is written
    dataset = dataset if found.scale is None else dataset.standardized(*found.scale)
    fitting = spaces.load(space.name, num_classes=kind.outputs(dataset))
    tasks.require_readable(dataset, fitting)
    arch = fitting.architecture(found.architecture.indices)
    record = SearchRecord(
        KNOWN,
        seed,
        dataset.describe(),
        (),
        arch.indices,
        config=found.origin,
        space=fitting.name,
        space_fingerprint=fitting.fingerprint,
        schema=SCHEMA,
    )
    folder = RunFolder(run)
    for path, content in ((folder.arch, arch.to_json()), (folder.search, record.to_json())):
        if _is_used(folder) and path.exists() and files.read_json(path, "a record of the run") != content:
            _require_seed(run, seed)
            raise HwnasError(
                "a run folder must be new or hold this network with these weights on these images, but "
                f"{path} is of another: give another folder"
            )
    folder.path.mkdir(parents=True, exist_ok=True)
    files.write_json(folder.search, record.to_json())
    files.write_json(folder.arch, arch.to_json())
    return dataset, found.begins


def _require_folder(run: Path, name: str) -> None:
    if not name.strip():
        raise HwnasError("a known network must have a name, but got none: efficientnet-lite0, for example")
    if run.exists() and not run.is_dir():
        raise HwnasError(f"a run must be a folder, but {run} is a file: give another one")
    if Path(name).expanduser().resolve() == run.resolve():
        raise HwnasError(f"a run must not be its own source, but got {run} for both: give another folder")


def _require_seed(run: Path, seed: int) -> None:
    """Refuse another seed than the one that drew the splits of a run."""
    if (own := records.search(run).seed) != seed:
        raise HwnasError(
            f"a run must keep the seed that drew its images, {own}, but got {seed} for {run}: give that "
            "one, or another folder"
        )


def _is_used(folder: RunFolder) -> bool:
    """Whether there is more in a run folder than the beginning of one that failed."""
    if any(path.exists() for path in (folder.weights, folder.train, folder.train_checkpoint)):
        return True
    return folder.search.exists() and not records.search(folder.path).is_known


def require_begun(run: Path) -> None:
    """Refuse to train the network of a known run from nothing, which its run did not begin with.

    Raises:
        TrainingError: It is the run of a known network.
    """
    folder = RunFolder(run)
    if not folder.search.exists():
        return
    record = records.search(run)
    if record.is_known and record.config.get("from") != SEED:
        name = named_by(record.config)
        data, side = record.data["source"], str(record.data["resolution"])
        task = record.data.get("task", tasks.DEFAULT)
        other = () if task == tasks.DEFAULT else ("--task", task)
        again = typed("train", run, "--from", name, "--data", data, "--resolution", side, *other)
        raise TrainingError(
            f"the network of {run} must be trained as it began, with the weights of {name}, but got none: "
            f"{again} does; --init seed begins with random ones"
        )


def adapted(
    run: Path,
    name: str,
    source: str,
    *,
    file: Path | None = None,
    resolution: int | None = None,
    task: str = tasks.DEFAULT,
    from_seed: bool = False,
    config: TrainConfig | None = None,
    on_epoch: Callable[[EpochRecord], None] = lambda _: None,
) -> Path:
    """The run folder of a known network that is trained on images, which is only trained where it was not.

    Args:
        run: The folder.
        name: Of a source of weights, a network or a run folder; see ``sources.weights_of``.
        source: Images to adapt it to.
        file: Of its weights, instead of what its publisher has.
        resolution: That it shall see.
        task: What it is to do with them.
        from_seed: Whether it begins with random weights.
        config: How it is trained; its seed is that of the splits as well.
        on_epoch: Called after every epoch.
    """
    config = config or TrainConfig()
    dataset, start = begun(
        run, name, source, config, file=file, resolution=resolution, task=task, from_seed=from_seed
    )
    if not RunFolder(run).train.exists():
        train_run(run, config, dataset=dataset, start=start, on_epoch=on_epoch)
    return run


def _require_kind(space: str, name: str, task: Task) -> None:
    """Raise TrainingError where a known network answers something else than a task wants."""
    if known.knows(space) and (wanted := task.network(space)) != space:
        raise TrainingError(
            f"a network to adapt must answer what a task wants, for {task.name} as {wanted} does, but {name} "
            f"is {space}: give the name of a network, or a run of this task"
        )


def space_of(run: Path) -> str:
    """Name of the space of all that is cheaper than the network of a run, block by block.

    Raises:
        TrainingError: It is the folder of no run, or of a network that was only imported, or that was found
            in a search.
    """
    require_run(run)
    if RunFolder(run).is_imported:
        raise TrainingError(
            f"a network to search around must be adapted to images, but {run} was only imported: "
            f"{typed('train', 'RUN', '--from', run, '--data', 'DIR')} adapts it, for example"
        )
    name = spaces.in_folder(run).name
    if not known.knows(name) and not name.startswith(own.PREFIX):
        found = RunFolder(run).teacher
        instead = (
            f"{found}, which it learnt from" if found.is_dir() else "the run of `hwnas train RUN --from NAME`"
        )
        raise TrainingError(
            "a network to search around must be a known or an imported one, as it is or adapted to images, "
            f"but {run} is of {name}: give {instead}, for example"
        )
    return f"{PREFIX}{name}"


def teacher_of(run: Path) -> Path | None:
    """Run folder of the network that the candidates of a search learned from; None where there is none.

    Raises:
        TrainingError: There was one, and it is not where the search had it.
    """
    if not RunFolder(run).search.exists():
        return None
    record = records.search(run)
    taught = (record.oneshot or {}).get("teacher")
    if taught is None:
        return None
    for folder in (RunFolder(run).teacher, Path(str(record.request.get("teacher_run", "")))):
        weights = RunFolder(folder).weights
        if weights.exists() and files.sha256(weights) == taught.get("weights_sha256"):
            return folder
    raise TrainingError(
        f"the teacher of a search must be there to go on learning from, but {RunFolder(run).teacher} is not: "
        "give its run folder with --teacher, or train with --init seed"
    )


def start_of(weights: Weights) -> Begins:
    """What a training begins with: all of the weights but those of the last layer, if its classes differ."""

    def start(arch: Architecture, data: Dataset) -> Start:
        module = blocks.network(arch)
        left = pretrained.into(module, arch, weights)
        if weights.shifting:
            images = Batches(data, torch.device("cpu")).some("train", _IMAGES, _SEED)
            renorm(module, weights.shifting, (batch for batch, _ in images))
        tensors = {name: tensor for name, tensor in module.state_dict().items() if name not in left}
        return Start(tensors, origin_of(weights), is_pretrained=True)

    return start


def origin_of(weights: Weights) -> dict[str, Any]:
    """Where weights come from, as ``train.json`` and the manifest say it."""
    source = weights.source
    began_with = {"began_with": dict(weights.began_with)} if weights.began_with else {}
    cut = {"narrowed_from": weights.narrowed_from} if weights.narrowed_from else {}
    return {
        **began_with,
        "from": source.where,
        "network": weights.architecture.space.name,
        **cut,
        "licence": source.licence,
        "url": source.url,
        "sha256": weights.sha256,
    }
