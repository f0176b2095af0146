"""Which layer broke int8: signal-to-noise ratios layer by layer.

Through LiteRT, whatever runtimes an export is for: weights and values are rounded alike in all formats.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hwnas.export import _trace, quantize, tflite
from hwnas.export._channels import values
from hwnas.export._layers import layers
from hwnas.export.parity import decibels

if TYPE_CHECKING:
    from torch import nn

    from hwnas.space import Shape

_IMAGES = 32  # that answers are compared on


@dataclass(frozen=True)
class LayerNoise:
    """What int8 does to a layer, and what that layer's int8 does to the answers.

    Attributes:
        layer: Its name, as ``lower`` takes it in ``kept``.
        kind: "conv", "depthwise" or "linear".
        macs: Multiply-adds.
        whole_db: Signal-to-noise ratio of its output in the network that is int8 throughout, in decibels;
            None where there is no noise.
        own_db: That of the network's answers where this layer alone is int8; of several answers, that of
            the worst.
    """

    layer: str
    kind: str
    macs: int
    whole_db: float | None
    own_db: float | None

    @property
    def share(self) -> float:
        """Noise over signal in the answers by this layer alone."""
        return 0.0 if self.own_db is None else float(10 ** (-self.own_db / 10))

    def to_json(self) -> dict[str, Any]:
        """A JSON object."""
        return asdict(self)


def of_layers(
    module: nn.Module,
    input_shape: Shape,
    calibration: np.ndarray,
    *,
    precision: str = "int8",
    remedies: Sequence[str] = (),
    on_layer: Callable[[str], None] = lambda _: None,
) -> tuple[LayerNoise, ...]:
    """What int8 does to every layer with weights, in running order.

    Args:
        module: As of ``lower``; it is left as it was.
        input_shape: Of one image.
        calibration: Images for the ranges, shape (n, channels, height, width); ratios are of the first 32.
        precision: That layers are tried alone in: "int8", or "16x8" as a kept layer is; ``own_db`` is of it.
        remedies: As of ``lower``.
        on_layer: Told of each layer that is about to be tried alone.

    Raises:
        ExportError: The network cannot be lowered.
    """
    from hwnas.export import remedied

    graph = _trace.trace(module, (1, *input_shape), native_hswish=False)
    batches = (np.ascontiguousarray(calibration[:, None], np.float32),)
    graph = remedied(graph, batches, {}, remedies)
    compared = (batches[0][:_IMAGES],)
    ranges = quantize.ranges_of(graph, batches)
    found = layers(graph)
    ends = [result.name for result in graph.results]
    exact = list(values(tflite.write(graph), compared, {*ends, *(layer.name for layer in found)}))
    whole = list(values(quantize.rounded_tflite(graph, "int8", ranges), compared, set(exact[0])))
    result = []
    for number, layer in enumerate(found, start=1):
        on_layer(f"layer {number} of {len(found)}: {layer.name}")
        others = {other.name: "fp32" for other in found if other is not layer}
        others |= {} if precision == "int8" else {layer.name: precision}
        alone = list(values(quantize.rounded_tflite(graph, "int8", ranges, others), compared, ends))
        own = [ratio for name in ends if (ratio := _ratio(exact, alone, name)) is not None]
        result.append(
            LayerNoise(
                layer.name,
                layer.kind,
                layer.macs,
                _ratio(exact, whole, layer.name),
                min(own, default=None),
            )
        )
    return tuple(result)


def _ratio(exact: Sequence[Any], found: Sequence[Any], name: str) -> float | None:
    """Signal-to-noise ratio of one tensor over all images, in decibels."""
    power = noise = 0.0
    for right, other in zip(exact, found, strict=True):
        power += float(np.square(right[name].astype(np.float64)).sum())
        noise += float(np.square(other[name].astype(np.float64) - right[name]).sum())
    return decibels(power, noise)
