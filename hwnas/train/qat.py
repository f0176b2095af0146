"""Quantisation-aware fine-tuning: a network learns to live with the rounding of int8.

A trained network is traced into one that shares its parameters and rounds, going forward,
what an exported int8 model rounds: weights with batch norm folded in, symmetrically and by
output channel; every activation that the exported model keeps, asymmetrically and as a whole,
between the extremes of the calibration images. Going back, rounding is passed over
(arXiv:1712.05877, section 3). What comes out are ordinary float weights of the same network,
on the grid that they were trained on, which the same exporter lowers.

Runtimes differ in concatenations (ShuffleNetV2): LiteRT computes their parts on the levels of the
result, ONNX Runtime rounds each on levels of its own before. Fine-tuning goes by LiteRT.

Batch-norm statistics stay as they are: the map that is folded is the map that is trained. At the
end they are estimated anew, and kept where that does better on validation.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from torch import fx, nn

from hwnas import runtimes
from hwnas.blocks import statistics
from hwnas.blocks.layers import MOVING, Resize
from hwnas.blocks.wired import Value, recorded
from hwnas.errors import TrainingError
from hwnas.tasks.recipes import FROM_NOTHING
from hwnas.train import optim
from hwnas.train.config import EpochRecord, TrainConfig, TrainResult
from hwnas.train.fitting import fit
from hwnas.train.rounding import Activation, HardSigmoid, HardSwish, Joined, Moved, SiLU, Weighted
from hwnas.train.teacher import Teacher

if TYPE_CHECKING:
    from hwnas.data import Dataset

_BATCH = 64


def recipe(trained: TrainConfig, epochs: int) -> TrainConfig:
    """Settings of a fine-tuning after a training: a small step, and nothing that disturbs."""
    return replace(
        trained,
        epochs=epochs,
        learning_rate=(trained.learning_rate or FROM_NOTHING.learning_rate) / 10,
        warmup_share=0.0,
        head_epochs=0,
        layer_decay=1.0,
        freeze_share=0.0,
        frozen_stride=0,
        erasing=0.0,
        mixup=0.0,
        cutmix=0.0,
        ema=0.0,
        distill_weight=0.5,
        temperature=4.0,
        auxiliary=0.0,
    )


def fine_tune(
    module: nn.Module,
    data: Dataset,
    config: TrainConfig,
    calibration: np.ndarray,
    *,
    origin: Mapping[str, Any] | None = None,
    checkpoint: Path | None = None,
    on_epoch: Callable[[EpochRecord], None] = lambda _: None,
) -> TrainResult:
    """Train the weights of a network under the rounding of int8.

    Args:
        module: A trained network of this project's layers; trained in place, on the CPU afterwards.
            Where ``config.distill_weight`` is over 0, its answers before are its own teacher.
        data: Images; the test split is not touched.
        config: Settings, for example of ``recipe``.
        calibration: Normalised images that ranges are taken from before every epoch, shape
            (n, channels, height, width); those that the export will calibrate with.
        origin: What the module's weights are, as JSON; a checkpoint must be of the same.
        checkpoint: As of ``fit``.
        on_epoch: Called after every epoch, with accuracies under rounding.

    Raises:
        TrainingError: The network has layers that are not known here, or training cannot go on.
    """
    teacher = Teacher(deepcopy(module), {"of": "itself"}) if config.distill_weight else None
    network = Rounded(module)
    images = torch.from_numpy(calibration)

    def renew(batches: Iterable[torch.Tensor]) -> None:
        statistics.recalibrate(module, batches)
        network.calibrate(images)

    result = fit(
        network,
        data,
        config,
        teacher=teacher,
        origin=origin,
        checkpoint=checkpoint,
        before_epoch=lambda: network.calibrate(images),
        recalibrate=renew,
        on_epoch=on_epoch,
    )
    network.settle()
    optim.place(module.eval(), torch.device("cpu"))
    return result


class Rounded(nn.Module):
    """A network as int8 computes it, differentiable, on the parameters of the one it is made from.

    Args:
        module: Made of the layers that the blocks use; not copied.
        runtime: Whose int8 where they differ, which is in a concatenation (see ``joins_on_one_scale``).

    Raises:
        TrainingError: It uses something else.
    """

    def __init__(self, module: nn.Module, runtime: str = runtimes.DEFAULT) -> None:
        super().__init__()
        self.graph = _rewritten(module, joined=runtimes.get(runtime).joins_on_one_scale)

    def forward(self, images: torch.Tensor) -> Value:
        """What the network answers normalised images (n, channels, height, width) with."""
        with torch.autocast(images.device.type, enabled=False):  # bfloat16 is as coarse as int8
            return cast(Value, self.graph(images))

    @torch.no_grad()
    def calibrate(self, images: torch.Tensor) -> None:
        """Set every range to the extremes that the network has on these images without rounding."""
        parts = [m for m in self.modules() if isinstance(m, Activation | Weighted)]
        for part in parts:
            part.exact = True
            if isinstance(part, Activation):
                part.forget()
        device = next(self.parameters()).device
        for batch in torch.split(images, _BATCH):
            self(batch.to(device, memory_format=torch.channels_last))
        for part in parts:
            part.exact = False

    @torch.no_grad()
    def settle(self) -> None:
        """Move every weight to where rounding puts it, so that fp32 computes with int8's weights."""
        for part in self.modules():
            if isinstance(part, Weighted):
                part.settle()


_RELU = nn.ReLU, nn.ReLU6
_SILENT = nn.Identity, nn.Dropout, nn.Flatten, *MOVING
_ARITHMETIC = operator.add, operator.iadd, operator.mul, operator.imul, torch.add, torch.mul


def _rewritten(module: nn.Module, *, joined: bool) -> fx.GraphModule:
    """The network with its layers replaced by rounding ones; its parameters are shared.

    Args:
        module: The network.
        joined: Whether the parts of a concatenation are rounded together, as in LiteRT.
    """
    network = fx.GraphModule(*recorded(module))
    for number, node in enumerate(list(network.graph.nodes)):
        if isinstance(_layer(network, node), nn.Conv2d | nn.Linear):
            _fold(network, node, f"weighted_{number}")
    for number, node in enumerate(list(network.graph.nodes)):
        if joined and node.target is torch.cat:
            _round(network, node, f"rounded_{number}", Joined(_roundings(network, node)))
        elif not (joined and _only_joined(network, node)):
            _rewrite(network, node, f"rounded_{number}")
    network.delete_all_unused_submodules()  # or parameters would be there twice
    network.graph.lint()
    network.recompile()
    return network


def _fold(network: fx.GraphModule, node: fx.Node, name: str) -> None:
    norm = _only_user(network, node, (nn.BatchNorm2d,))
    layer = Weighted(cast(nn.Conv2d, _layer(network, node)), cast("nn.BatchNorm2d | None", norm))
    _replace(network, node, name, layer)
    if norm is not None:
        behind = next(iter(node.users))
        behind.replace_all_uses_with(node)
        network.graph.erase_node(behind)


def _rewrite(network: fx.GraphModule, node: fx.Node, name: str) -> None:
    """Round what a node gives, unless the exported model does not keep it."""
    layer = _layer(network, node)
    if isinstance(layer, Resize):
        _round(network, node, name, *map(Moved, _roundings(network, node)))
    if node.op == "output" or isinstance(layer, _SILENT):
        return
    if isinstance(layer, nn.Hardsigmoid):
        _replace(network, node, name, HardSigmoid())
    elif isinstance(layer, nn.Hardswish):
        _replace(network, node, name, HardSwish())
    elif isinstance(layer, nn.SiLU):
        _replace(network, node, name, SiLU())
    elif isinstance(layer, Weighted):
        if _only_user(network, node, (*_RELU, nn.Hardsigmoid)) is None:
            _round(network, node, name)
    elif node.op == "call_function" and node.target in _ARITHMETIC:
        if _only_user(network, node, _RELU) is None:
            _round(network, node, name)
    elif (
        node.op == "placeholder"
        or node.target is torch.cat
        or isinstance(layer, (*_RELU, nn.Sigmoid, nn.AdaptiveAvgPool2d))
    ):
        _round(network, node, name)
    else:
        what = type(layer).__name__ if layer is not None else str(node.target)
        raise TrainingError(
            f"quantisation-aware training must know every layer, but got {what}: "
            "teach it in hwnas/train/qat.py"
        )


def _layer(network: fx.GraphModule, node: fx.Node) -> nn.Module | None:
    return network.get_submodule(str(node.target)) if node.op == "call_module" else None


def _only_user(network: fx.GraphModule, node: fx.Node, kinds: Sequence[Any]) -> nn.Module | None:
    """The layer of these kinds that alone reads a value."""
    if len(node.users) != 1:
        return None
    layer = _layer(network, next(iter(node.users)))
    return layer if isinstance(layer, tuple(kinds)) else None


def _only_joined(network: fx.GraphModule, node: fx.Node) -> bool:
    """Whether a value is computed by one layer for a concatenation alone."""
    known = isinstance(_layer(network, node), (Weighted, *_RELU))
    return known and len(node.users) == 1 and next(iter(node.users)).target is torch.cat


def _roundings(network: fx.GraphModule, node: fx.Node) -> list[Activation]:
    """What rounds those values that a node reads which are rounded already, and only moved since."""
    found = []
    for part in node.all_input_nodes:
        while isinstance(_layer(network, part), _SILENT):
            part = part.all_input_nodes[0]
        layer = _layer(network, part)
        if isinstance(layer, Activation | HardSigmoid | HardSwish | SiLU):
            found.append(layer if isinstance(layer, Activation) else layer.last)
    return found


def _replace(network: fx.GraphModule, node: fx.Node, name: str, layer: nn.Module) -> None:
    network.add_submodule(name, layer)
    node.target = name


def _round(network: fx.GraphModule, node: fx.Node, name: str, layer: Activation | None = None) -> None:
    """Put a rounding behind a value."""
    network.add_submodule(name, layer or Activation())
    with network.graph.inserting_after(node):
        rounded = network.graph.call_module(name, (node,))
    node.replace_all_uses_with(rounded)
    rounded.args = (node,)
