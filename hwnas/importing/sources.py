"""Where a network of one's own comes from: a PyTorch module, an ONNX or a TFLite file."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hwnas import files, runtimes
from hwnas.errors import ExportError, HwnasError
from hwnas.importing import scaling
from hwnas.importing.differing import Inside, in_onnx, in_tflite
from hwnas.importing.raw import ONE_TENSOR, RawGraph
from hwnas.importing.scaling import InputScale
from hwnas.space import Shape

if TYPE_CHECKING:
    from torch import nn

    from hwnas.runtimes.base import Runtime

_FACTORY = re.compile(r"(?P<module>[A-Za-z_][\w.]*):(?P<name>[A-Za-z_]\w*)")


@dataclass(frozen=True)
class GivenNetwork:
    """A network as it was given.

    Attributes:
        kind: "torch", "onnx" or "tflite".
        name: Of the factory or the file, without its folder.
        digests: SHA-256 of each file that was read, by its name without its folder.
        raw: What it computes.
        answers: What it answers images of shape (n, channels, height, width) with, in float32.
        is_whole: Whether it computes in whole numbers, so that its answers are rounded.
        inside: The values inside it; None where they are not at hand.
        notes: What was chosen of several things that it may have been, for people.
        scale: How it wants its images scaled, where it says so.
    """

    kind: str
    name: str
    digests: dict[str, str]
    raw: RawGraph
    answers: Callable[[np.ndarray], np.ndarray]
    is_whole: bool = False
    inside: Inside | None = None
    notes: tuple[str, ...] = ()
    scale: InputScale | None = None


def opened(model: str | Path | nn.Module, weights: Path | None, input_shape: Shape | None) -> GivenNetwork:
    """The network of a module, of a factory ``package.module:function`` or of a file.

    Raises:
        ExportError: It cannot be read.
        HwnasError: The factory, a file or an option is not as it must be.
    """
    text = str(model) if isinstance(model, str | Path) else ""
    suffix = Path(text).suffix
    if suffix in _FILES:
        if weights is not None:
            raise HwnasError(f"weights must only be given with a PyTorch module, but {text} has its own")
        if not Path(text).is_file():
            raise HwnasError(f"a model must be there to be imported, but {text} is not a file")
        return _FILES[suffix](Path(text), input_shape)
    if input_shape is None:
        raise HwnasError(
            "the shape of one image must be given with a PyTorch module: say --input 3x224x224, for example"
        )
    module, name = (_made(text), text) if text else (model, type(model).__name__)
    digests, notes = {}, tuple[str, ...]()
    if weights is not None:
        notes = _load(module, weights)  # type: ignore[arg-type]
        digests[weights.name] = files.sha256(weights)
    return replace(_of_module(module, name, digests, input_shape), notes=notes)  # type: ignore[arg-type]


def _made(text: str) -> nn.Module:
    """What a factory makes; modules of the working folder are found as with ``python -m``."""
    from torch import nn

    matched = _FACTORY.fullmatch(text)
    if not matched:
        raise HwnasError(
            "a model must be a file .onnx or .tflite, or a function that makes a PyTorch module, as in "
            f"package.module:function, but got {text!r}"
        )
    folder = str(Path.cwd())
    sys.path.insert(0, folder)
    try:
        found = getattr(importlib.import_module(matched["module"]), matched["name"])
        module = found if isinstance(found, nn.Module) else found()
    except (Exception, SystemExit) as error:  # whatever the user's code raises
        raise HwnasError(
            f"a factory must be importable and make a module when it is called without arguments, but {text} "
            f"does not: {type(error).__name__}: {error}: mend it, or name another"
        ) from error
    finally:
        sys.path.remove(folder)
    if not isinstance(module, nn.Module):
        raise HwnasError(f"a factory must make a torch.nn.Module, but {text} makes a {type(module).__name__}")
    return module


def _load(module: nn.Module, path: Path) -> tuple[str, ...]:
    """Put the weights of a file into a module, all of them; what was taken of it, for people."""
    from hwnas.known._statedict import unwrapped, without_prefix

    found = _tensors(path)
    tensors, place = unwrapped(found, path)
    if not module.state_dict().keys() & tensors.keys():
        tensors = dict(zip(without_prefix(list(map(str, tensors))), tensors.values(), strict=True))
    try:
        module.load_state_dict(tensors)
    except (RuntimeError, TypeError, AttributeError) as error:
        said = "; ".join(line.strip() for line in str(error).split("\n")[1:3]) or str(error)
        raise HwnasError(f"weights must be those of the module, but {path} is not: {said}") from error
    if not place or len(found) == 1:
        return ()
    return (f"of what {path.name} holds, the weights under {place!r} were taken",)


def _tensors(path: Path) -> dict[str, Any]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    from hwnas.known._statedict import pickled

    try:
        found = load_file(path) if path.suffix == ".safetensors" else pickled(path)
    except (OSError, SafetensorError) as error:
        raise HwnasError(
            f"weights must be a readable safetensors file, but {path} is not: "
            f"{str(error).strip().splitlines()[0]}"
        ) from error
    if not isinstance(found, dict):
        raise HwnasError(f"weights must be a state dict, but {path} holds a {type(found).__name__}")
    return found


def _of_module(module: nn.Module, name: str, digests: dict[str, str], shape: Shape) -> GivenNetwork:
    from hwnas.export import parity
    from hwnas.importing import from_torch

    def answers(images: np.ndarray) -> np.ndarray:
        found = parity.answers(module, images)
        return found if isinstance(found, np.ndarray) else found[0]

    return GivenNetwork("torch", name, digests, from_torch.read(module, shape), answers)


def _of_onnx(path: Path, input_shape: Shape | None) -> GivenNetwork:
    from hwnas.importing import _onnx, from_onnx

    runtime = runtimes.by_suffix()[path.suffix.lower()]
    runtime.host.describe(path)  # which says what is damaged
    model = _onnx.fixed(path, input_shape)
    content: bytes = model.SerializeToString()
    raw, is_whole = from_onnx.read(model)
    inside = None if is_whole else in_onnx(model)
    return _of_file(runtime, path, content, raw, is_whole=is_whole, inside=inside)


def _of_tflite(path: Path, input_shape: Shape | None) -> GivenNetwork:
    from hwnas.importing import from_tflite

    runtime = runtimes.by_suffix()[path.suffix.lower()]
    runtime.host.describe(path)  # which says what is damaged
    raw, is_whole = from_tflite.read(path)
    if input_shape is not None and raw.source.shape[1:] != input_shape:
        said, wanted = ("x".join(map(str, shape)) for shape in (raw.source.shape[1:], input_shape))
        raise HwnasError(f"a .tflite file says the shape of its image, {said}, but --input says {wanted}")
    content = path.read_bytes()
    inside = None if is_whole else in_tflite(content)
    found = _of_file(runtime, path, content, raw, is_whole=is_whole, inside=inside)
    return found if found.scale is not None else replace(found, scale=scaling.of_tflite(content))


def _of_file(runtime: Runtime, path: Path, content: bytes, raw: RawGraph, **more: Any) -> GivenNetwork:
    """A file and the runtime that answers for it."""
    answer = runtimes.opened(content, runtime.name)

    def answers(images: np.ndarray) -> np.ndarray:
        try:
            found = answer(images)
        except Exception as error:  # whatever the runtime raises
            raise ExportError(f"{runtime.name} must be able to run {path}, but answered: {error}") from error
        if not isinstance(found, np.ndarray):
            raise ExportError(
                f"a network must give one tensor to be imported, but {path} gives {len(found)}: {ONE_TENSOR}"
            )
        return found

    digests, scale = {path.name: files.sha256(path)}, scaling.of_embedded(path.read_bytes(), runtime.name)
    return GivenNetwork(runtime.format.name, path.name, digests, raw, answers, scale=scale, **more)


_FILES: dict[str, Callable[[Path, Shape | None], GivenNetwork]] = {".onnx": _of_onnx, ".tflite": _of_tflite}
"""By suffix: reads a file."""
