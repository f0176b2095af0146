"""What channels hold on calibration images, in float32."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hwnas.export import _flatbuffer, tflite
from hwnas.export._graph import Graph
from hwnas.quiet import quiet
from hwnas.runtimes.litert import dequantized, interpreter, quantized


@dataclass(frozen=True)
class Channels:
    """Of one tensor, for each of its channels.

    Attributes:
        largest: Largest absolute value, shape (channels,).
        mean: Mean over images and places, shape (channels,).
    """

    largest: np.ndarray
    mean: np.ndarray


def channels(graph: Graph, batches: Sequence[np.ndarray], names: Collection[str]) -> dict[str, Channels]:
    """What the channels of some tensors hold, by name.

    Args:
        graph: The network.
        batches: Images: for each input an array of shape (batches, n, channels, height, width), float32.
        names: Of the tensors.
    """
    largest: dict[str, np.ndarray] = {}
    total: dict[str, np.ndarray] = {}
    count = 0
    for found in values(tflite.write(graph), batches, names):
        count += 1
        for name, value in found.items():
            flat = value.reshape(-1, value.shape[-1]).astype(np.float64)
            peak, mean = np.abs(flat).max(axis=0), flat.mean(axis=0)
            largest[name] = np.maximum(largest.get(name, peak), peak)
            total[name] = total.get(name, 0.0) + mean
    return {name: Channels(largest[name], total[name] / count) for name in largest}


def values(
    model: bytes, batches: Sequence[np.ndarray], names: Collection[str]
) -> Iterator[Mapping[str, np.ndarray]]:
    """What a TFLite model makes of each batch: some tensors by name, channels last, dequantised.

    The interpreter keeps what is between operators, which makes it slower and no other.

    Args:
        model: Its inputs may be whole numbers.
        batches: As of ``channels``.
        names: Of the tensors.
    """
    with quiet(logging.ERROR):
        runner = interpreter(model, keep_tensors=True)
    sources = runner.get_input_details()
    details = {each["index"]: each for each in runner.get_tensor_details()}
    wanted = {i: name for i, name in _flatbuffer.computed_tensors(model).items() if name in names}
    for given in zip(*batches, strict=True):
        for source, batch in zip(sources, given, strict=True):
            runner.set_tensor(source["index"], quantized(batch.transpose(0, 2, 3, 1), source))
        runner.invoke()
        yield {name: dequantized(runner.get_tensor(i), details[i]) for i, name in wanted.items()}
