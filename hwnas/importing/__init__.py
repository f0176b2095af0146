"""Networks of one's own: from a PyTorch module, an ONNX or a TFLite file to this project's blocks.

A reader a format (``from_torch``, ``from_onnx``, ``from_tflite``) says what a network computes, ``canonical``
brings that into the form that our own blocks are exported in, ``cutting`` lays blocks over it, and ``proof``
compares the answers of what comes out with those of what went in.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hwnas import __version__, files
from hwnas.errors import HwnasError
from hwnas.importing.proof import Proof
from hwnas.importing.scaling import InputScale, scale_of
from hwnas.runs import outputs
from hwnas.runs.folder import RunFolder
from hwnas.shown import Display, Shown
from hwnas.space import Architecture, Shape

if TYPE_CHECKING:
    import numpy as np
    from torch import nn

SCHEMA = "hwnas-import/1"


@dataclass(frozen=True, repr=False)
class Imported(Shown):
    """What an import came to.

    Attributes:
        run: Its folder.
        architecture: The only one of a space of its own.
        kind: Of the source: "torch", "onnx" or "tflite".
        source: Its name.
        digests: SHA-256 of each file that was read.
        notes: What was left out or changed on the way.
        proof: How near its answers are to the source's.
        scale: How its images are scaled.
        shifting: Names of the batch norms whose statistics the source had lost.
        created: When it came in.
    """

    run: Path
    architecture: Architecture
    kind: str
    source: str
    digests: dict[str, str]
    notes: tuple[str, ...]
    proof: Proof
    scale: InputScale
    shifting: tuple[str, ...] = ()
    created: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))

    def view(self) -> Display:
        """What came in, and how near its answers are to the source's."""
        sizes = (
            f"{self.architecture.macs / 1e6:.2f} M MACs, {self.architecture.params / 1e6:.3f} M parameters"
        )
        proof = self.proof
        near = f"answers to {proof.images} images differ by {proof.max_error:.2g} of the largest at most"
        return Display(f"{self.source} ({self.kind}): {sizes}; {near}; in {self.run}", notes=self.notes)

    def to_json(self) -> dict[str, Any]:
        """A JSON object; where the folder is does not stand in it."""
        return {
            "schema": SCHEMA,
            "created": self.created,
            "hwnas": __version__,
            "python": platform.python_version(),
            "source": {"kind": self.kind, "name": self.source, "sha256": self.digests},
            "architecture": self.architecture.id,
            "macs": self.architecture.macs,
            "params": self.architecture.params,
            "notes": list(self.notes),
            "scale": asdict(self.scale),
            "parity": self.proof.to_json(),
        }


@outputs.alone_in("run", "an imported network", new=True)
def import_model(
    model: str | Path | nn.Module,
    run: Path,
    *,
    weights: Path | None = None,
    input_shape: Shape | None = None,
    inputs: np.ndarray | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    tell: Callable[[str], None] = lambda _: None,
) -> Imported:
    """Bring a network of one's own into this project's blocks, and prove that it is the same.

    Args:
        model: A module, a function ``package.module:name`` that makes one, or a file .onnx or .tflite.
        run: Folder to write ``arch.json``, ``weights.safetensors`` and ``import.json`` into.
        weights: Of a module: a state dict that torch or safetensors saved.
        input_shape: Of one image, (channels, height, width); files may say it themselves.
        inputs: Images on which answers are compared as well as on random ones.
        mean: What is taken off pixels from 0 to 1, one number or one a channel; by default what a file says
            of itself, or else nothing.
        std: What they are divided by after that.
        tell: Called with a line for people before each step.

    Returns:
        What it came to.

    Raises:
        ExportError: The network has an operator that is not read, which is named.
        ParityError: Its answers would be others.
        HwnasError: The model, the weights or the folder are not as they must be.
    """
    from hwnas.importing.canonical import canonical
    from hwnas.importing.cutting import built
    from hwnas.importing.differing import first_difference
    from hwnas.importing.proof import prove
    from hwnas.importing.sources import opened

    folder = RunFolder(run)
    if folder.arch.exists():
        raise HwnasError(
            f"an imported network must have a folder of its own, but {run} holds one: name another"
        )
    tell("reading the network")
    source = opened(model, weights, input_shape)
    scale = scale_of(mean, std, source.scale, source.raw.source.shape[1])
    found = canonical(source.raw)
    tell("finding its blocks")
    parts, network, shifting = built(found)
    tell("comparing answers")
    shape = parts.architecture.space.input_shape

    def where(image: np.ndarray) -> str:
        if source.inside is None:
            return ""
        return first_difference(network, parts, found.names, source.inside, image)

    proof = prove(network, source, shape, scale, inputs, found.graph.depth, where)
    made = Imported(
        run,
        parts.architecture,
        source.kind,
        source.name,
        source.digests,
        (*source.notes, *found.notes),
        proof,
        scale,
        shifting,
    )
    _write(folder, made, network)
    return made


def in_blocks(network: nn.Module, shape: Shape) -> tuple[Architecture, nn.Module]:
    """A module of convolutions, as a narrowed one of ours, in our blocks and with its weights.

    Args:
        network: What it computes in eval mode counts, which it is left in.
        shape: Of one image.

    Raises:
        ExportError: The network has an operator that is not read.
    """
    from hwnas.importing.canonical import canonical
    from hwnas.importing.cutting import built
    from hwnas.importing.from_torch import read

    parts, made, _ = built(canonical(read(network.eval(), shape)))
    return parts.architecture, made


def shape_of(sizes: Sequence[int]) -> Shape:
    """The shape of one image; raises HwnasError where it is none."""
    if len(sizes) != 3 or not all(type(size) is int and size > 0 for size in sizes):
        raise HwnasError(f"a shape must be channels, height and width, as 3x224x224, but got {tuple(sizes)}")
    channels, height, width = sizes
    return channels, height, width


def _write(folder: RunFolder, made: Imported, network: nn.Module) -> None:
    """Write the three files, or none."""
    from hwnas.train.checkpoint import packed_weights

    arch = made.architecture.to_json()
    about = {
        "architecture": arch,
        "mean": list(made.scale.mean),
        "std": list(made.scale.std),
        "shifting": list(made.shifting),
    }
    contents: dict[str, bytes | str] = {
        folder.weights.name: packed_weights(network, about),
        folder.imported.name: files.json_text(made.to_json()),
        folder.arch.name: files.json_text(arch),
    }
    files.write_folder(folder.path, contents)


__all__ = ["Imported", "import_model", "in_blocks", "shape_of"]
