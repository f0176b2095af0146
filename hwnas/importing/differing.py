"""Where an imported network begins to differ from the file that it was read from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from hwnas.importing.cutting import Cut
from hwnas.quiet import quiet

if TYPE_CHECKING:
    from torch import nn

Inside = Callable[[np.ndarray], Mapping[str, np.ndarray]]
"""The values of one image inside a file, by their names, channels second."""

_MUCH = 1e-3  # of the largest value


def first_difference(
    network: nn.Module, found: Cut, names: Mapping[str, str], inside: Inside, image: np.ndarray
) -> str:
    """The first block whose result is another one than the file has there, as the end of a sentence.

    Args:
        network: The imported network.
        found: What it was cut into.
        names: What the file calls the results of blocks.
        inside: The values inside the file.
        image: Shape (1, channels, height, width).
    """
    own, theirs = _results(network, image), inside(image)
    for number, matched in enumerate(found.matches):
        name = names.get(matched.result.name, "")
        if name in theirs and theirs[name].size == own[number].size:
            wanted, made = theirs[name].reshape(-1), own[number].reshape(-1)
            if np.abs(wanted - made).max() > _MUCH * max(np.abs(wanted).max(), _MUCH):
                key = matched.template.block.key()
                return f"; the first block that differs is {key}, in the place of what ends at {name!r}"
    return ""


def _results(network: nn.Module, image: np.ndarray) -> list[np.ndarray]:
    """What each part of a network makes of an image."""
    import torch

    found: list[np.ndarray] = []

    def note(_part: nn.Module, _given: Any, made: torch.Tensor) -> None:
        found.append(made.numpy())

    handles = [part.register_forward_hook(note) for part in network.children()]
    try:
        with torch.no_grad():
            network.eval()(torch.from_numpy(image))
    finally:
        for handle in handles:
            handle.remove()
    return found


def in_onnx(model: Any) -> Inside:
    """The values inside an ONNX model of fixed shapes."""
    from onnx import ModelProto, helper

    from hwnas.runtimes.onnxruntime import session

    def values(image: np.ndarray) -> dict[str, np.ndarray]:
        told = ModelProto()
        told.CopyFrom(model)
        ends = {each.name for each in told.graph.output}
        names = [name for node in told.graph.node for name in node.output if name]
        told.graph.output.extend(helper.make_empty_tensor_value_info(n) for n in names if n not in ends)
        runner = session(told.SerializeToString())
        return dict(zip(names, runner.run(names, {runner.get_inputs()[0].name: image}), strict=True))

    return values


def in_tflite(content: bytes) -> Inside:
    """The values inside a TFLite file in float32."""
    from hwnas.runtimes.litert import interpreter

    def values(image: np.ndarray) -> dict[str, np.ndarray]:
        with quiet():  # of the memory that this takes
            runner = interpreter(content, keep_tensors=True)
        runner.set_tensor(runner.get_input_details()[0]["index"], image.transpose(0, 2, 3, 1))
        runner.invoke()
        found = {}
        for each in runner.get_tensor_details():
            if each["dtype"] == np.float32 and len(each["shape"]) in (2, 4):
                value = runner.get_tensor(each["index"])
                found[each["name"]] = value.transpose(0, 3, 1, 2) if value.ndim == 4 else value
        return found

    return values
