"""What a block really computes: its module is traced, run, and every operation noted."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import torch
from torch import fx, nn

from hwnas.blocks.layers import MOVING, SqueezeExcite, StridedPointwise, Zeros
from hwnas.blocks.wired import recorded
from hwnas.space import Op, Workload
from hwnas.testing.claims import claim

_MOVING: dict[type[nn.Module], str] = {**MOVING, nn.AdaptiveAvgPool2d: "pool"}
_SILENT = (
    nn.ReLU,
    nn.ReLU6,
    nn.Hardswish,
    nn.Hardsigmoid,
    nn.Sigmoid,
    nn.SiLU,
    nn.Flatten,
    nn.Identity,
    Zeros,
)
_FUNCTIONS = {"add": "add", "mul": "scale", "cat": "concat"}


def operations(workload: Workload, *, is_whole: bool = False) -> list[Op]:
    """Every operation of a run on one image, in order.

    Args:
        workload: The block and the shapes of its inputs.
        is_whole: Whether a strided 1x1 convolution counts pixels that it does not use.
    """
    walk = _Run(workload.block.build().eval(), len(workload.in_shapes), is_whole)
    with torch.no_grad():
        walk.run(*(torch.randn(1, *shape) for shape in workload.in_shapes))
    return walk.found


class _Run(fx.Interpreter):
    """Runs a trace, and notes every operation with what it read and wrote for one image."""

    def __init__(self, module: nn.Module, inputs: int, is_whole: bool) -> None:
        root, calls = recorded(module, inputs)
        super().__init__(fx.GraphModule(root, calls))
        self.excites = [name for name, inner in root.named_modules() if isinstance(inner, SqueezeExcite)]
        self.found: list[Op] = []
        self.is_whole = is_whole

    def run_node(self, n: fx.Node) -> Any:
        result = super().run_node(n)
        if n.op == "call_module":
            inputs = self.fetch_args_kwargs_from_env(n)[0]
            layer = cast(nn.Module, self.fetch_attr(str(n.target)))
            self._module(str(n.target), layer, cast(torch.Tensor, inputs[0]), result)
        elif n.op == "call_function":
            name = getattr(n.target, "__name__", str(n.target)).strip("_")
            claim(
                name in _FUNCTIONS,
                f"functions must be of {sorted(_FUNCTIONS)} to be exported, but got {name}",
            )
            args: Any = self.fetch_args_kwargs_from_env(n)[0]
            parts = args[0] if isinstance(args[0], tuple | list) else args
            read = sum(part[0].numel() for part in parts)
            self.found.append(Op(_FUNCTIONS[name], 0, read, result[0].numel()))
        return result

    def _module(self, name: str, layer: nn.Module, x: torch.Tensor, y: torch.Tensor) -> None:
        read, written = x[0].numel(), y[0].numel()
        if isinstance(layer, nn.BatchNorm2d):
            last = self.found[-1]
            self.found[-1] = replace(last, params=last.params + 2 * layer.num_features)
        elif isinstance(layer, nn.Conv2d | nn.Linear):
            if isinstance(layer, StridedPointwise) and not self.is_whole:
                read = layer.prepare(x)[0].numel()
            pixels = y[0, 0].numel() if isinstance(layer, nn.Conv2d) else 1
            params = sum(p.numel() for p in layer.parameters())
            kernel = layer.kernel_size[0] if isinstance(layer, nn.Conv2d) else 1
            weights, outputs = layer.weight.numel(), len(layer.weight)
            kind = self._kind(name, layer)
            self.found.append(Op(kind, weights * pixels, read, written, weights, outputs, params, kernel))
        elif (moving := _MOVING.get(type(layer))) is not None:
            self.found.append(Op(moving, 0, written if moving == "slice" else read, written))
        else:
            known = ", ".join(sorted({kind.__name__ for kind in (*_MOVING, *_SILENT)}))
            claim(
                isinstance(layer, _SILENT),
                f"layers must be convolutions, linear, batch norm or of {known} to be exported, but "
                f"{name} is a {type(layer).__name__}",
            )

    def _kind(self, name: str, layer: nn.Conv2d | nn.Linear) -> str:
        if isinstance(layer, nn.Linear) or any(name.startswith(f"{excite}.") for excite in self.excites):
            return "linear"
        if layer.groups == layer.in_channels == layer.out_channels and layer.groups > 1:
            return "depthwise"
        if layer.kernel_size == (1, 1):
            return "pointwise" if layer.groups == 1 else "grouped"
        return "conv"
