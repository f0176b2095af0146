"""The runtimes that models are made for and measured with, one a file.

A new one is one file with a ``Runtime``, one line in ``RUNTIMES``, and its agent in ``profilers/``; a
plug-in has ``register`` instead, and its agent beside it.
Nothing outside this package asks which runtime it has; what differs is a field of ``Runtime``.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hwnas import plugins
from hwnas.errors import DeviceError, ExportError, HwnasError
from hwnas.runtimes.base import PRECISIONS, Arrays, Batch, Runtime, Values, arrays, one_or_several
from hwnas.runtimes.executorch import EXECUTORCH
from hwnas.runtimes.litert import LITERT
from hwnas.runtimes.onnxruntime import ONNXRUNTIME
from hwnas.runtimes.onnxruntime_providers import PROVIDERS
from hwnas.runtimes.openvino import OPENVINO
from hwnas.runtimes.tflite_runtime import TFLITE_RUNTIME
from hwnas.runtimes.torch_cuda import TORCH_CUDA

RUNTIMES: dict[str, Runtime] = {
    runtime.name: runtime
    for runtime in (LITERT, TFLITE_RUNTIME, ONNXRUNTIME, *PROVIDERS, OPENVINO, EXECUTORCH, TORCH_CUDA)
}
IMPORTED = ("tensorrt",)
"""Names that other people's latencies may be of; hwnas has no agent and no exporter for them."""

DEFAULT = LITERT.name


def register(runtime: Runtime) -> Runtime:
    """Add a runtime of one's own.

    Args:
        runtime: ``hwnas.testing.check_runtime`` says what it must be like.

    Raises:
        PluginError: Its name is taken, or can be none.
    """
    plugins.add(RUNTIMES, getattr(runtime, "name", None), runtime, "runtime")
    return runtime


def get(name: str, error: type[HwnasError] = DeviceError) -> Runtime:
    """The runtime of this name.

    Args:
        name: As in a target.
        error: What is raised where there is none that can be measured and exported for.
    """
    if name in RUNTIMES:
        return RUNTIMES[name]
    if name in IMPORTED:
        raise error(
            f"a runtime must have an agent and an exporter for this, but hwnas has neither for {name}: its "
            f"latencies can be imported, and nothing more; use one of {', '.join(RUNTIMES)}"
        )
    raise error(
        f"a runtime must be one of {tuple(RUNTIMES)}, but got {name!r}: one of your own comes with --plugin"
    )


def shipping() -> tuple[Runtime, ...]:
    """Those that every export makes models for."""
    return tuple(runtime for runtime in RUNTIMES.values() if runtime.example)


def exporting() -> tuple[Runtime, ...]:
    """Those that an export can make models for: the shipping ones, and one for each format that they lack."""
    formats = {runtime.format for runtime in shipping()}
    others = {
        runtime.format: runtime for runtime in reversed(RUNTIMES.values()) if runtime.format not in formats
    }
    return (*shipping(), *others.values())


def by_suffix() -> dict[str, Runtime]:
    """Suffixes of model files, each with the first runtime that reads such files."""
    return {runtime.format.suffix: runtime for runtime in reversed(RUNTIMES.values())}


def run(model: bytes | Path, runtime: str, images: Values, *, threads: int = 1) -> Values:
    """What a model answers in this process, in float32 and in PyTorch's layout whatever the model uses.

    Args:
        model: A file or its content; its batch is kept, the last batch is filled up with zeros.
        runtime: Name of the runtime.
        images: Shape (n, channels, height, width), float32; int8 models have them quantised. A tuple of such
            where there are several inputs.
        threads: Threads of the runtime.

    Returns:
        Shape (n, channels, height, width) or (n, features), dequantised; of several outputs, a tuple of such.

    Raises:
        ExportError: The runtime is unknown or refuses the model, or the images do not fit it.
    """
    return opened(model, runtime, threads=threads)(images)


def opened(model: bytes | Path, runtime: str, *, threads: int = 1) -> Batch:
    """A model that is loaded once, to be asked as often as one likes; see ``run``.

    Raises:
        ExportError: The runtime is unknown or refuses the model; it is also raised where images do not fit.
    """
    import numpy as np

    shape, answer = get(runtime, ExportError).host.open(model, threads)
    shapes = shape if isinstance(shape[0], tuple) else (shape,)
    batch = shapes[0][0]

    def answers(images: Values) -> Values:
        given, found = arrays(images), []
        _require_fitting(given, shapes)
        count = len(given[0])
        for start in range(0, count, batch):
            chunks = [np.asarray(each[start : start + batch], np.float32) for each in given]
            missing = batch - len(chunks[0])
            if missing:
                chunks = [np.pad(chunk, [(0, missing), (0, 0), (0, 0), (0, 0)]) for chunk in chunks]
            found.append(answer(*chunks))
        return one_or_several([each[:count] for each in arrays(joined(found))])

    return answers


def joined(parts: Sequence[Values]) -> Values:
    """Answers to some images and to others, one after the other."""
    import numpy as np

    return one_or_several([np.concatenate(each) for each in zip(*map(arrays, parts), strict=True)])


def _require_fitting(given: Arrays, shapes: Sequence[Any]) -> None:
    wanted, found = [shape[1:] for shape in shapes], [each.shape[1:] for each in given]
    counts = {len(each) for each in given}
    if found == wanted and len(counts) == 1 and min(counts):
        return
    if len(wanted) == len(found) == 1:
        raise ExportError(f"images must be of shape (n, {wanted[0]}), but got {given[0].shape}")
    raise ExportError(
        f"images must be as many of each of the shapes {wanted}, but got {[each.shape for each in given]}"
    )


__all__ = [
    "DEFAULT",
    "IMPORTED",
    "PRECISIONS",
    "RUNTIMES",
    "Runtime",
    "by_suffix",
    "get",
    "joined",
    "opened",
    "register",
    "run",
    "shipping",
]
