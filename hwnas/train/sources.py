"""Weights to begin with: a known network's, those of an earlier run, or those of an imported network."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hwnas import blocks, files, spaces
from hwnas.errors import TrainingError, typed
from hwnas.known import pretrained
from hwnas.known.pretrained import Source, Weights
from hwnas.runs import records
from hwnas.runs.folder import RunFolder
from hwnas.space import Architecture
from hwnas.train.checkpoint import load_weights
from hwnas.train.training import dataset_of

if TYPE_CHECKING:
    import torch
    from torch import nn

_Scale = tuple[tuple[float, ...], tuple[float, ...]]
_YOURS = "unknown: your own"
"""Licence of weights that nobody but their owner knows."""


def weights_of(name: str, file: Path | None = None, *, resolution: int | None = None) -> Weights:
    """Weights of a name, which is a folder's or one that ``known.pretrained.weights_of`` knows.

    Args:
        name: A folder of a trained run or of an imported network; else a source or a known network.
        file: Of a known network, instead of what its publisher has.
        resolution: Of the network's input; by default what it was trained on.

    Raises:
        HwnasError: There are none, or a file is missing, damaged or of another network.
    """
    run = Path(name).expanduser()
    if not run.is_dir():
        return pretrained.weights_of(name, file, resolution=resolution)
    require_run(run)
    if file is not None:
        raise TrainingError(
            f"weights must be of a run or of a file, but got both {name} and {file}: leave one out"
        )
    return (_of_import if RunFolder(run).is_imported else _of_run)(run, resolution)


def require_run(folder: Path) -> None:
    """Refuse a folder that is no run at all, as one of images, before anything says what would fill it.

    Raises:
        TrainingError: There is no architecture in it.
    """
    if not RunFolder(folder).arch.exists():
        raise TrainingError(
            f"a network to begin with must be a known one or of a run folder, but {folder} is a folder "
            f"without {RunFolder(folder).arch.name}: give the name of a network, such as efficientnet-lite0, "
            "or the folder of a trained run"
        )


def _of_run(run: Path, resolution: int | None) -> Weights:
    architecture = spaces.architecture_from_json(records.arch(run))
    record, path = records.trained(run), RunFolder(run).weights
    network = blocks.network(architecture)
    metadata = load_weights(network, path)
    digest = files.sha256(path)
    known_by = metadata.get("architecture", {}).get("id", architecture.id)
    if known_by != architecture.id or record.weights_sha256 not in (None, digest):
        raise TrainingError(
            f"weights must be those that their run was trained to, but {path} are others: "
            f"{typed('train', run)} makes them anew"
        )
    source = _source(f"run:{run.resolve().name}", architecture, "", _scale(metadata, record.data))
    return Weights(_resized(architecture, resolution), _tensors(network), source, digest, record.began_with)


def _of_import(run: Path, resolution: int | None) -> Weights:
    architecture, path = spaces.architecture_from_json(records.arch(run)), RunFolder(run).weights
    network = blocks.network(architecture)
    metadata = load_weights(network, path)
    try:
        mean, std = _numbers(metadata, "mean"), _numbers(metadata, "std")
        shifting = tuple(map(str, metadata["shifting"]))
    except (KeyError, TypeError, ValueError) as error:
        raise TrainingError(
            f"weights of an imported network must say how its images are scaled, but {path} does not: import "
            "it again"
        ) from error
    source = _source(f"import:{run.resolve().name}", architecture, _YOURS, (mean, std))
    digest = files.sha256(path)
    return Weights(_resized(architecture, resolution), _tensors(network), source, digest, shifting=shifting)


def _source(where: str, architecture: Architecture, licence: str, scale: _Scale) -> Source:
    """Where weights come from that are of a folder; their norms are ours already."""
    return Source(
        where=where,
        network=architecture.space.name,
        licence=licence,
        url="",
        padding="",
        eps=1e-5,
        mean=scale[0],
        std=scale[1],
        resolution=architecture.space.input_shape[1],
        classes=architecture.space.num_classes,
    )


def _tensors(network: nn.Module) -> dict[str, torch.Tensor]:
    """All that a network has learnt."""
    return {n: t for n, t in network.state_dict().items() if not n.endswith("num_batches_tracked")}


def _numbers(metadata: Mapping[str, Any], name: str) -> tuple[float, ...]:
    return tuple(float(value) for value in metadata[name])


def _scale(metadata: Mapping[str, Any], data: Mapping[str, Any]) -> _Scale:
    """How inputs are scaled: said beside the weights; of older runs, that of their images."""
    try:
        return _numbers(metadata, "mean"), _numbers(metadata, "std")
    except (KeyError, TypeError, ValueError):
        dataset = dataset_of(data, "train the run again, which notes how its images are scaled")
        return dataset.mean, dataset.std


def _resized(architecture: Architecture, resolution: int | None) -> Architecture:
    """The same blocks on images of another size."""
    space = architecture.space
    if resolution is None or resolution == space.input_shape[1]:
        return architecture
    other = spaces.load(space.name, resolution=resolution).architecture(architecture.indices)
    if other.blocks != architecture.blocks:
        raise TrainingError(
            f"a network must have the same blocks on every size, but {space.name} has others on {resolution} "
            f"pixels: use it on {space.input_shape[1]}"
        )
    return other
