"""Exports models in a process of its own: ``python -m hwnas.measure.export_worker``.

One JSON line in, one out. Its own program and not ``multiprocessing``: that would run the
caller's main module again, and the process that measures stays free of torch.
"""

from __future__ import annotations

import hashlib
import json
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from hwnas import blocks, files, plugins
from hwnas.blocks import Switch
from hwnas.errors import HwnasError
from hwnas.export import lower, random_calibration, random_module
from hwnas.export.mixed import layers_of
from hwnas.space import Block, Shape, Shapes

if TYPE_CHECKING:
    from torch import nn

_CALIBRATION_IMAGES = 4  # latency does not depend on the ranges that are found


def answer(task: Mapping[str, Any]) -> dict[str, Any]:
    """Export one model to ``task["path"]``; the reply holds its hash, or why it failed.

    What is not foreseen ends this process, and its last words become the reason.
    """
    started = time.perf_counter()
    shape = _shape(task["input_shape"])
    try:
        parts = [blocks.parse(key) for key in task["blocks"]]
        module = random_module(parts, task["seed"], tuple(map(tuple, task["reads"])))
        images = random_calibration(shape, _CALIBRATION_IMAGES, task["seed"])
        lowered = lower(
            module,
            shape,
            task["runtime"],
            task["precision"],
            calibration=images,
            batch=task["batch"],
            check=task["check"],
            kept=_kept(parts, module, shape),
        )
        files.write_atomic(Path(task["path"]), lowered.model)
    except OSError as error:  # a full disk is no fault of the model's
        return {"broken": str(error)}
    except HwnasError as error:
        return {"error": f"{type(error).__name__}: {error}"}
    digest = hashlib.sha256(lowered.model).hexdigest()
    return {"sha256": digest, "seconds": time.perf_counter() - started}


def _kept(parts: Sequence[Block], module: nn.Module, shape: Shape | Shapes) -> dict[str, str]:
    """Precisions of layers where blocks say them, as a switch does."""
    said = [precision for block in parts if isinstance(block, Switch) for precision in block.precisions]
    if not said:
        return {}
    names = [layer.name for layer in layers_of(module, shape)]
    return {name: precision for name, precision in zip(names, said, strict=True) if precision != "int8"}


def _shape(told: Sequence[Any]) -> Shape | Shapes:
    """A shape, or several, as JSON has them."""
    return cast("Shape | Shapes", tuple(tuple(s) if isinstance(s, list) else s for s in told))


def main() -> None:
    """Answer every line of standard input."""
    import torch

    plugins.ready()
    torch.set_num_threads(1)
    for line in sys.stdin:
        reply = answer(json.loads(line))
        sys.stdout.write(json.dumps(reply) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
