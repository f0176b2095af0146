"""From a network of one's own to a folder that the other stages take."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hwnas import plugins
from hwnas.api.given import AnyPath, typed

if TYPE_CHECKING:
    from hwnas.importing import Imported


@typed
def import_model(
    model: Any,
    out: AnyPath,
    *,
    weights: AnyPath | None = None,
    input_shape: Sequence[int] | None = None,
    inputs: Any = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    progress: Callable[[str], None] | None = None,
) -> Imported:
    """Bring a network of one's own into hwnas: its blocks, its weights, and proof that it is the same.

    Args:
        model: A PyTorch module, a function ``package.module:name`` that makes one, or a file .onnx or
            .tflite.
        out: Folder of the imported network, a new one.
        weights: Of a PyTorch module: a state dict that torch or safetensors saved.
        input_shape: Of one image, (channels, height, width); files say it themselves.
        inputs: Images to compare answers on as well, an array of shape (n, channels, height, width).
        mean: What is taken off pixels from 0 to 1 before the network sees them, one number or one a
            channel; by default what a file says of itself, or else nothing.
        std: What they are divided by after that; by default what a file says, or else 1.
        progress: Called with a line before each step.

    Returns:
        What it came to.

    Raises:
        ExportError: It has an operator that is not read, or its answers would be others.
        HwnasError: The model, its weights or the folder are not as they must be.
    """
    from hwnas.importing import import_model as bring
    from hwnas.importing import shape_of

    plugins.ready()
    return bring(
        model,
        Path(out),
        weights=None if weights is None else Path(weights),
        input_shape=None if input_shape is None else shape_of(input_shape),
        inputs=inputs,
        mean=mean,
        std=std,
        tell=progress or (lambda _: None),
    )
