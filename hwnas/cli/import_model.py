"""``hwnas import-model``: a network of one's own."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from hwnas.cli import _usage
from hwnas.cli._app import Json, app, emit_json, err, out
from hwnas.cli._images import read_images
from hwnas.errors import HwnasError, typed
from hwnas.runs import outputs
from hwnas.space import Shape

if TYPE_CHECKING:
    from hwnas.importing.scaling import Scale

_SHAPE = re.compile(r"(?:1x)?(\d{1,5})x(\d{1,5})x(\d{1,5})")

_NUMBER = re.compile(r"-?[0-9]{1,6}(\.[0-9]{0,12})?|-?\.[0-9]{1,12}")


@app.command("import-model")
def import_model(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL",
            help="A function package.module:name that makes a PyTorch module, or a file .onnx or .tflite.",
        ),
    ],
    to: Annotated[Path, typer.Option("--out", help="Folder of the imported network; a new one.")],
    weights: Annotated[
        Path | None, typer.Option(help="Weights of a PyTorch module: a state dict, .pt or .safetensors.")
    ] = None,
    shape: Annotated[
        str | None,
        typer.Option("--input", metavar="3x224x224", help="Shape of one image; what a file says."),
    ] = None,
    inputs: Annotated[
        Path | None,
        typer.Option(help="File .npy with images (n, channels, height, width) to compare answers on too."),
    ] = None,
    mean: Annotated[
        str | None,
        typer.Option(
            metavar="0.485,0.456,0.406",
            help="What is taken off pixels from 0 to 1 before your network sees them, one number or one a "
            "channel; what a file says of itself, or else 0.",
        ),
    ] = None,
    std: Annotated[
        str | None,
        typer.Option(
            metavar="0.229,0.224,0.225",
            help="What they are divided by after that; what a file says of itself, or else 1.",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Bring a network of your own into hwnas: its blocks, its weights, and proof that it is the same.

    What is not understood is refused by the operator's name and its place. A PyTorch module comes from your
    own code, which is run.
    """
    from hwnas.importing import import_model as bring

    with _usage.usage():
        one = None if shape is None else _image(shape)
        scale = {"mean": _numbers("--mean", mean), "std": _numbers("--std", std)}
        if scale["std"] and min(scale["std"]) <= 0:
            raise HwnasError(f"--std must be positive, but got {std}")
    outputs.require_folder(to, "an imported network")
    images = None if inputs is None else read_images(inputs)
    with err.status("reading the network") as status:
        found = bring(model, to, weights=weights, input_shape=one, inputs=images, **scale, tell=status.update)
    if as_json:
        emit_json({**found.to_json(), "out": str(to)})
        return
    arch, proof = found.architecture, found.proof
    kinds = Counter(block.kind for block in arch.blocks)
    said = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common())
    out.print(f"{arch.space.name}: {said}", highlight=False, soft_wrap=True)
    out.print(f"{arch.macs / 1e6:.1f} M multiply-adds, {arch.params / 1e6:.2f} M parameters", highlight=False)
    for note in found.notes:
        err.print(f"[yellow]{escape(note)}[/]", highlight=False, soft_wrap=True)
    noise = "" if proof.sqnr_db is None else f", signal to noise {proof.sqnr_db:.0f} dB"
    out.print(
        f"answers of {proof.images} images differ by {proof.max_error:.1e} of the largest{noise}",
        highlight=False,
    )
    out.print(_scaled(found.scale), highlight=False, soft_wrap=True)
    out.print(
        f"written to {escape(str(to))}: {escape(typed('measure', to))} measures it",
        highlight=False,
        soft_wrap=True,
    )


def _scaled(scale: Scale) -> str:
    """How images are scaled, and who said so."""
    mean, std = (",".join(f"{value:.4g}" for value in part) for part in (scale.mean, scale.std))
    if scale.said_by == "nobody":
        return (
            "nobody said how images are scaled: pixels from 0 to 1 as they are; --mean and --std change that"
        )
    whose = "as its file says" if scale.said_by == "file" else "as asked"
    return f"images are scaled {whose}: pixels from 0 to 1, less {mean}, over {std}"


def _numbers(option: str, text: str | None) -> tuple[float, ...] | None:
    """Numbers joined by commas."""
    if text is None:
        return None
    parts = [part.strip() for part in text.split(",")]
    if not all(_NUMBER.fullmatch(part) for part in parts):
        raise HwnasError(f"{option} must be numbers joined by commas, as 0.485,0.456,0.406, but got {text!r}")
    return tuple(map(float, parts))


def _image(text: str) -> Shape:
    """The shape of one image."""
    from hwnas.importing import shape_of

    matched = _SHAPE.fullmatch(text)
    if not matched:
        raise HwnasError(f"a shape must be channels, height and width, as 3x224x224, but got {text!r}")
    return shape_of([int(size) for size in matched.groups()])
