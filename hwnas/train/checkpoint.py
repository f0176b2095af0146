"""Weights and checkpoints in safetensors; metadata as JSON in the same file, so it is one write."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import nn

from hwnas.errors import TrainingError, typed
from hwnas.files import write_atomic

Tensors = dict[str, torch.Tensor]


def save_tensors(path: Path, tensors: Mapping[str, torch.Tensor], metadata: Mapping[str, Any]) -> None:
    """Write tensors and JSON metadata; the file is whole or not there."""
    write_atomic(path, packed(tensors, metadata))


def packed(tensors: Mapping[str, torch.Tensor], metadata: Mapping[str, Any]) -> bytes:
    """What ``save_tensors`` writes."""
    whole = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    content: bytes = save(whole, {"hwnas": json.dumps(metadata, allow_nan=False)})
    return content


def read_tensors(path: Path, schema: str, remedy: str = "") -> tuple[Tensors, dict[str, Any]]:
    """Read what ``save_tensors`` wrote.

    Args:
        path: The file.
        schema: Of what it must hold.
        remedy: What to do where it does not: the end of a sentence.

    Raises:
        TrainingError: The file is not there, is damaged, or is of another schema.
    """
    end = f": {remedy}" if remedy else ""
    try:
        with safe_open(path, framework="pt") as file:
            metadata = json.loads((file.metadata() or {}).get("hwnas", "{}"))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError, ValueError, RecursionError) as error:
        raise TrainingError(
            f"weights must be a readable safetensors file, but {path} is not: {error}{end}"
        ) from error
    if not isinstance(metadata, dict):
        raise TrainingError(f"the metadata of weights must be an object, but those of {path} are not{end}")
    if metadata.get("schema") != schema:
        raise TrainingError(f"{path} must be of schema {schema}, but is of {metadata.get('schema')!r}{end}")
    return tensors, metadata


def save_weights(model: nn.Module, path: Path, metadata: Mapping[str, Any] | None = None) -> None:
    """Write the weights and batch-norm statistics of a network."""
    write_atomic(path, packed_weights(model, metadata))


def packed_weights(model: nn.Module, metadata: Mapping[str, Any] | None = None) -> bytes:
    """What ``save_weights`` writes."""
    return packed(model.state_dict(), {"schema": "hwnas-weights/1", **(metadata or {})})


def load_weights(model: nn.Module, path: Path) -> dict[str, Any]:
    """Put the weights of a file into a network of the same layers.

    Returns:
        The metadata that were saved with them.

    Raises:
        TrainingError: The file is damaged, or is of another network.
    """
    if not path.exists():
        raise TrainingError(
            f"a network must have been trained, but {path} does not exist: "
            f"{typed('train', path.parent)} makes it"
        )
    tensors, metadata = read_tensors(path, "hwnas-weights/1", f"{typed('train', path.parent)} makes others")
    copy_into(model, tensors, path)
    return metadata


def copy_into(model: nn.Module, tensors: Mapping[str, torch.Tensor], path: Path | str) -> None:
    """Copy tensors by name and shape; raises TrainingError where they are not the model's."""
    own = model.state_dict()
    odd = sorted(set(own) ^ set(tensors)) or [
        name for name, value in own.items() if value.shape != tensors[name].shape
    ]
    if odd:
        raise TrainingError(
            f"weights must be of the same network, but {path} differs in {len(odd)} tensors, first {odd[0]!r}"
        )
    with torch.no_grad():
        for name, value in own.items():
            value.copy_(tensors[name])


def optimizer_tensors(optimizer: torch.optim.Optimizer, named: Iterable[tuple[str, nn.Parameter]]) -> Tensors:
    """The optimiser's state by parameter name: ``<name>/<entry>``."""
    return {
        f"{name}/{entry}": value
        for name, parameter in named
        for entry, value in optimizer.state.get(parameter, {}).items()
        if isinstance(value, torch.Tensor)
    }


def restore_optimizer(
    optimizer: torch.optim.Optimizer,
    named: Iterable[tuple[str, nn.Parameter]],
    tensors: Mapping[str, torch.Tensor],
) -> None:
    """Put back what ``optimizer_tensors`` took."""
    parameters = dict(named)
    for key, value in tensors.items():
        name, entry = key.rsplit("/", 1)
        parameter = parameters[name]
        placed = value.clone()
        if value.shape == parameter.shape:
            placed = torch.empty_like(parameter).copy_(value)  # keeps the parameter's memory layout
        optimizer.state[parameter][entry] = placed
