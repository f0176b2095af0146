"""``hwnas import-model``: a network of one's own."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from hwnas.cli import _runlog, _usage
from hwnas.cli._app import Json, app, emit_json, err, out
from hwnas.cli._images import read_images
from hwnas.cli._imported import ImageShape, Mean, ModuleWeights, Std, image_scale, image_shape
from hwnas.errors import typed
from hwnas.runs import outputs
from hwnas.runs.folder import RunFolder

if TYPE_CHECKING:
    from hwnas.importing.scaling import InputScale


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
    weights: ModuleWeights = None,
    shape: ImageShape = None,
    inputs: Annotated[
        Path | None,
        typer.Option(help="File .npy with images (n, channels, height, width) to compare answers on too."),
    ] = None,
    mean: Mean = None,
    std: Std = None,
    as_json: Json = False,
) -> None:
    """Bring a network of your own into hwnas: its blocks, its weights, and proof that it is the same.

    What is not understood is refused by the operator's name and its place. A PyTorch module comes from your
    own code, which is run.
    """
    from hwnas.importing import import_model as bring

    with _usage.usage():
        one, (means, stds) = image_shape(shape), image_scale(mean, std)
    outputs.require_folder(to, "an imported network")
    _runlog.into(RunFolder(to))
    images = None if inputs is None else read_images(inputs)
    with err.status("reading the network") as status:
        found = bring(
            model,
            to,
            weights=weights,
            input_shape=one,
            inputs=images,
            mean=means,
            std=stds,
            tell=status.update,
        )
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


def _scaled(scale: InputScale) -> str:
    """How images are scaled, and who said so."""
    mean, std = (",".join(f"{value:.4g}" for value in part) for part in (scale.mean, scale.std))
    if scale.said_by == "nobody":
        return (
            "nobody said how images are scaled: pixels from 0 to 1 as they are; --mean and --std change that"
        )
    whose = "as its file says" if scale.said_by == "file" else "as asked"
    return f"images are scaled {whose}: pixels from 0 to 1, less {mean}, over {std}"
