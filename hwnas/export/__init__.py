"""Lowering of blocks and networks to the formats that devices run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, overload

import numpy as np

from hwnas import runtimes
from hwnas.errors import ExportError
from hwnas.runtimes.base import ONNX, PTE, TFLITE, Runtime, Values, arrays, one_or_several
from hwnas.space import Block, Reads, Shape, Shapes, shapes_of

if TYPE_CHECKING:
    from torch import nn

    from hwnas.export._graph import Graph
    from hwnas.export.parity import Judge, ParityReport

RUNTIMES = tuple(runtime.name for runtime in runtimes.shipping())
PRECISIONS = tuple(name for name, kind in runtimes.PRECISIONS.items() if kind.file == name)
"""That files are written in; ``hwnas.device.PRECISIONS`` are those that targets may compute in."""
HSWISH = ("decomposed", "native")
REMEDIES = ("equalise", "bias")
"""Against what int8 costs: ``_equalised`` and ``_biases``, in this order."""

_CHECKED_IMAGES = 8
_TIMED_IMAGES = 4

_Batches = tuple[np.ndarray, ...]
"""For each input an array of shape (batches, n, channels, height, width)."""


@dataclass(frozen=True)
class Lowered:
    """A model in the format of one runtime.

    Attributes:
        model: Content of the file.
        suffix: Of such files: ".tflite", ".onnx" or ".pte".
        parity: What the checks found; None where they were not asked for.
    """

    model: bytes
    suffix: str
    parity: ParityReport | None


def lower(
    module: nn.Module,
    input_shape: Shape | Shapes,
    runtime: str,
    precision: str,
    *,
    calibration: Values | None = None,
    checked: Values | None = None,
    hswish: str = "decomposed",
    batch: int = 1,
    check: bool = True,
    judge: Judge | None = None,
    kept: Mapping[str, str] | None = None,
    remedies: Sequence[str] = (),
) -> Lowered:
    """Lower a module as it behaves in eval mode, and prove that it stayed the same.

    Args:
        module: Made by ``hwnas.blocks``, trained or not; it is left as it was.
        input_shape: Shape of one image; of what reads several tensors, a tuple of shapes.
        runtime: Name of one of ``hwnas.runtimes``; decides the format and the layout.
        precision: Of the file: "fp32", or "int8" for full integer arithmetic, or "16x8" for the same with
            int8 weights alone.
        calibration: Images for the ranges of whole numbers, shape (n, channels, height, width); a tuple of
            such where there are several inputs.
        checked: Images that answers are compared on, of the same shape. Give others than the
            ranges come from: on those alone nothing has to be clipped. Without any, fp32 is compared on
            random images and whole numbers on the first of the calibration, which proves less.
        hswish: "decomposed" writes hard swish as operators that int8 kernels exist for;
            "native" keeps it as one, for devices that have a kernel. Then the checks only
            report how this host would run it.
        batch: Images a run; it becomes a fixed part of the model.
        check: Whether to run ``parity.check`` on the result.
        judge: As of ``parity.check``.
        kept: Layers of an int8 file that stay in another precision of the runtime's ``mixes``, by name; a
            layer is a convolution or a linear layer with what follows it before the next one. An end of the
            file is float where its layer is kept in fp32.
        remedies: Of ``REMEDIES``: what is done to weights before they are rounded.

    Returns:
        The model; the same weights give the same bytes.

    Raises:
        ExportError: The module cannot be lowered, or whole numbers have no calibration images.
        ParityError: The lowered model does not compute what PyTorch computes, or not how.
    """
    from hwnas.export import _layers, _trace, parity

    shapes = tuple((shape[0], shape[1], shape[2]) for shape in shapes_of(input_shape))
    made_for = runtimes.get(runtime, ExportError)
    _one_of("precision", precision, made_for.files)
    _one_of("a format", made_for.format.name, tuple(_WRITERS))
    _one_of("hswish", hswish, HSWISH)
    if batch < 1:
        raise ExportError(f"batch must be at least 1, but got {batch}")
    batched = [(batch, *shape) for shape in shapes]
    graph = _trace.trace(module, *batched, native_hswish=hswish == "native")
    is_whole = runtimes.PRECISIONS[precision].is_whole
    batches = _batches(calibration, shapes, batch) if is_whole else None
    kept = _mixed(made_for, precision, kept or {})
    for remedy in remedies:
        _one_of("a remedy", remedy, REMEDIES)
    if batches is not None:
        graph = remedied(graph, batches, kept, remedies)
    model = _WRITERS[made_for.format.name](graph, precision, batches, kept)
    if not check:
        return Lowered(model, made_for.format.suffix, None)
    if checked is not None:
        images = _flat(_batches(checked, shapes, batch, "checked"))
    elif batches is None:
        images = arrays(random_calibration(shapes, batch, 0))
    else:
        images = tuple(each[:_CHECKED_IMAGES] for each in _flat(batches))
    report = parity.check(
        module,
        model,
        runtime,
        precision,
        one_or_several(images),
        depth=graph.depth,
        structure=hswish == "decomposed",
        judge=judge,
        mixed=_layers.Mixed.of(graph, kept) if kept else None,
    )
    return Lowered(model, made_for.format.suffix, report)


def for_timing(module: nn.Module, input_shape: Shape, runtime: str, precision: str) -> bytes:
    """A model whose latency matters and whose answers do not: ranges are of random images, none is checked.

    Args:
        module: As of ``lower``, with any weights.
        input_shape: Of one image.
        runtime: As of ``lower``.
        precision: As of ``lower``.

    Raises:
        ExportError: It cannot be lowered.
    """
    images = random_calibration(input_shape, _TIMED_IMAGES, 0)
    return lower(module, input_shape, runtime, precision, calibration=images, check=False).model


def _mixed(runtime: Runtime, precision: str, kept: Mapping[str, str]) -> Mapping[str, str]:
    """The precisions of layers, or ExportError where files of a runtime cannot be so."""
    if kept and (precision != "int8" or not runtime.mixes):
        raise ExportError(
            f"layers must be kept in an int8 file of a runtime that mixes precisions, but {precision} of "
            f"{runtime.name} is none: export it for one of "
            f"{', '.join(each.name for each in runtimes.shipping() if each.mixes)}"
        )
    for name, own in kept.items():
        _one_of(f"the precision of {name}", own, runtime.mixes)
    return kept


def remedied(graph: Graph, batches: _Batches, kept: Mapping[str, str], remedies: Sequence[str]) -> Graph:
    """The graph with other weights, of the same function but for rounding."""
    from hwnas.export import _biases, _equalised

    if "equalise" in remedies:
        graph = _equalised.equalised(graph, batches)
    if "bias" in remedies:
        exact = {name for name, own in kept.items() if own == "fp32"}
        graph = _biases.corrected(graph, batches, exact)
    return graph


def _tflite(graph: Graph, precision: str, batches: _Batches | None, kept: Mapping[str, str]) -> bytes:
    from hwnas.export import quantize, tflite

    if batches is None:
        return tflite.write(graph)
    return quantize.quantize_tflite(graph, precision, batches, kept)


def _onnx(graph: Graph, precision: str, batches: _Batches | None, kept: Mapping[str, str]) -> bytes:
    from hwnas.export import onnx, quantize

    if batches is not None:
        return quantize.quantize_onnx(graph, batches, kept)
    content: bytes = onnx.write(graph).SerializeToString(deterministic=True)
    return content


def _pte(graph: Graph, precision: str, batches: _Batches | None, kept: Mapping[str, str]) -> bytes:
    from hwnas.export import executorch

    return executorch.write(graph, batches)


_WRITERS = {TFLITE.name: _tflite, ONNX.name: _onnx, PTE.name: _pte}
"""By name of a format: writes a graph in a precision; that of whole numbers has calibration batches."""


def random_module(blocks: Iterable[Block], seed: int, reads: Reads = ()) -> nn.Module:
    """The blocks with weights and batch-norm statistics that only the seed decides.

    The scales keep a signal alive through many ReLU blocks, which the default ones do not, so
    that a check of the answers sees every weight. The global random state is not touched.

    Args:
        blocks: From input to output.
        seed: Of the weights.
        reads: What each block reads, as of ``Architecture.reads``; by default the one before.
    """
    import torch
    from torch import nn

    from hwnas.blocks import build
    from hwnas.seeding import Seeded

    with Seeded(seed), torch.no_grad():
        module = build(blocks, reads).eval()
        for layer in module.modules():
            if isinstance(layer, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(layer.weight)
            elif isinstance(layer, nn.BatchNorm2d):
                layer.weight.uniform_(0.5, 1.5)
                layer.bias.normal_(0, 0.1)
                layer.get_buffer("running_mean").normal_(0, 0.1)
                layer.get_buffer("running_var").uniform_(1, 2)
    return module


@overload
def random_calibration(input_shape: Shape, n: int, seed: int) -> np.ndarray: ...
@overload
def random_calibration(input_shape: Shape | Shapes, n: int, seed: int) -> Values: ...
def random_calibration(input_shape: Shape | Shapes, n: int, seed: int) -> Values:
    """Standard normal images, shape (n, *input_shape), float32, that only the seed decides.

    Args:
        input_shape: Of one image; of several inputs, a tuple of shapes: then a tuple of images is made.
        n: How many.
        seed: Of what is drawn.
    """
    rng = np.random.default_rng(seed)
    return one_or_several([rng.standard_normal((n, *s), np.float32) for s in shapes_of(input_shape)])


def _batches(images: Values | None, shapes: Shapes, batch: int, what: str = "calibration") -> _Batches:
    """Images in batches; the last is filled up with the first images."""
    given = () if images is None else arrays(images)
    if not all(map(len, given)) or not given:
        raise ExportError(f"lowering must have {what} images, but got none: give some of the data")
    if len(given) != len(shapes) or len(set(map(len, given))) != 1:
        raise ExportError(
            f"{what} images must be as many for each of {len(shapes)} inputs, but got {[*map(len, given)]}"
        )
    return tuple(_batched(each, shape, batch, what) for each, shape in zip(given, shapes, strict=True))


def _batched(images: np.ndarray, shape: Shape, batch: int, what: str) -> np.ndarray:
    if images.shape[1:] != shape:
        raise ExportError(f"{what} images must be of shape (n, {shape}), but got {images.shape}")
    if not np.isfinite(images).all() or not images.any():
        raise ExportError(f"{what} images must be finite and not all zero, but got such images")
    count = -(-len(images) // batch)
    return np.resize(images, (count, batch, *shape)).astype(np.float32, copy=False)


def _flat(batches: _Batches) -> _Batches:
    """The images of batches, one after the other."""
    return tuple(each.reshape(-1, *each.shape[2:]) for each in batches)


def _one_of(what: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ExportError(f"{what} must be one of {allowed}, but got {value!r}")


__all__ = ["REMEDIES", "Lowered", "for_timing", "lower", "random_calibration", "random_module"]
