"""Options that say what a network of one's own is given by."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from hwnas.errors import HwnasError
from hwnas.space import Shape

_SHAPE = re.compile(r"(?:1x)?(\d{1,5})x(\d{1,5})x(\d{1,5})")
_NUMBER = re.compile(r"-?[0-9]{1,6}(\.[0-9]{0,12})?|-?\.[0-9]{1,12}")

ModuleWeights = Annotated[
    Path | None, typer.Option(help="Weights of a PyTorch module: a state dict, .pt or .safetensors.")
]
ImageShape = Annotated[
    str | None, typer.Option("--input", metavar="3x224x224", help="Shape of one image; what a file says.")
]
Mean = Annotated[
    str | None,
    typer.Option(
        metavar="0.485,0.456,0.406",
        help="What is taken off pixels from 0 to 1 before your network sees them, one number or one a "
        "channel; what a file says of itself, or else 0.",
    ),
]
Std = Annotated[
    str | None,
    typer.Option(
        metavar="0.229,0.224,0.225",
        help="What they are divided by after that; what a file says of itself, or else 1.",
    ),
]


def image_shape(text: str | None) -> Shape | None:
    """The shape of one image as it is typed; raises HwnasError where it is none."""
    from hwnas.importing import shape_of

    if text is None:
        return None
    matched = _SHAPE.fullmatch(text)
    if not matched:
        raise HwnasError(f"a shape must be channels, height and width, as 3x224x224, but got {text!r}")
    return shape_of([int(size) for size in matched.groups()])


Numbers = tuple[float, ...] | None


def image_scale(mean: str | None, std: str | None) -> tuple[Numbers, Numbers]:
    """Mean and standard deviation as they are typed; raises HwnasError where they cannot be."""
    means, stds = _numbers("--mean", mean), _numbers("--std", std)
    if stds and min(stds) <= 0:
        raise HwnasError(f"--std must be positive, but got {std}")
    return means, stds


def _numbers(option: str, text: str | None) -> Numbers:
    """Numbers joined by commas."""
    if text is None:
        return None
    parts = [part.strip() for part in text.split(",")]
    if not all(_NUMBER.fullmatch(part) for part in parts):
        raise HwnasError(f"{option} must be numbers joined by commas, as 0.485,0.456,0.406, but got {text!r}")
    return tuple(map(float, parts))
