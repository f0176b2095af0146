"""ExecuTorch with XNNPACK on the CPU; needs the extra ``executorch``."""

from __future__ import annotations

import contextlib
import os
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hwnas.errors import ExportError
from hwnas.quiet import ALONE, quiet
from hwnas.runtimes._pte_file import METHOD, XNNPACK, describe, read
from hwnas.runtimes.base import PTE, Batch, Execution, Host, Runtime, Values

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_FLOATS = {"float32", "float16", "bfloat16"}


def method(model: bytes | Path, *, threads: int = 1) -> Any:
    """The method of a program that is run, loaded, behind what must stay with it.

    Args:
        model: A ``.pte`` file or its content.
        threads: Of XNNPACK, in this process, from now on.

    Raises:
        ExportError: ExecuTorch is not installed, or refuses the model.
    """
    library = _library()
    try:
        content = model if isinstance(model, bytes) else model.read_bytes()
        with _mute():
            if library._threadpool_get_thread_count() != threads:
                library._unsafe_reset_threadpool(threads)
            program = library._load_program_from_buffer(content)
            return (content, program), program.load_method(METHOD)  # which reads both as long as it runs
    except (RuntimeError, OSError) as error:
        raise ExportError(f"ExecuTorch must be able to load the model, but it answered: {error}") from error


def _library() -> Any:
    try:
        import torch  # noqa: F401 - has the libraries that the next one needs

        with _mute(), quiet():
            from executorch.extension.pybindings import _C
    except ImportError as error:
        raise ExportError(
            "ExecuTorch must be installed for this, but is not: pip install 'hwnas[executorch]'"
        ) from error
    return _C


@contextlib.contextmanager
def _mute() -> Iterator[None]:
    """ExecuTorch's libraries tell of the processor and of threads, beneath Python, on standard error."""
    with ALONE:
        sys.stderr.flush()
        kept, nothing = os.dup(2), os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(nothing, 2)
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            os.close(nothing)


def execution(model: bytes) -> Execution:
    """How the program runs: its file has decided that."""
    plan = read(model)
    names = Counter((*plan.kernels, *(name for name, _ in plan.operators)))
    floats = tuple(
        f"{name} ({number})"
        for number, (name, types) in enumerate(plan.operators)
        if types & _FLOATS and name != "Convert"
    )
    ours = sum(name == XNNPACK for name in plan.delegates)
    others = tuple(name for name in plan.delegates if name != XNNPACK)
    return Execution(dict(sorted(names.items())), floats, ours, (*plan.kernels, *others))


def _open(model: bytes | Path, threads: int) -> tuple[tuple[Any, ...], Batch]:
    import torch

    read, forward = method(model, threads=threads)
    meta = forward.method_meta()

    def answer(*images: NDArray[np.float32]) -> Values:
        made = forward.call([torch.from_numpy(each.copy()) for each in images])
        assert read
        return tuple(each.numpy().copy() for each in made)

    shapes = [meta.input_tensor_meta(number).sizes() for number in range(meta.num_inputs())]
    return tuple(map(tuple, shapes)), answer


def _quantization(model: bytes | Path) -> dict[str, dict[str, Any]]:
    """Nothing: models read and answer floats, and XNNPACK converts them."""
    return {}


EXECUTORCH = Runtime(
    name="executorch",
    format=PTE,
    precisions=("fp32", "int8"),
    processors=("cpu",),
    agent="executorch",
    host=Host("executorch", _open, execution, _quantization, describe, "XNNPACK"),
    packages=("executorch",),
    joins_on_one_scale=True,
)
