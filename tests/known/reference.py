"""Networks as timm and torchvision build them, with random weights: what ours are compared with.

A program of its own, in an environment of its own: ``python reference.py FOLDER NAME...`` writes the
state dict of each name as its publisher does, timm's ``NAME.safetensors`` and torchvision's
``NAME.pth``, and beside it ``NAME.json``: what the network makes of images.
``python reference.py FOLDER --layouts NAME...`` writes ``layouts.json``: names and shapes.
"""

from __future__ import annotations

import json
import re
import sys
from collections import OrderedDict
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

SIDES = ((64, 64), (75, 90))


def declare_operators() -> torch.library.Library:
    """Names of operators that torchvision's compiled part has, which networks do not need.

    PyPI's torchvision is compiled for PyTorch with CUDA, and its library does not load beside one without.
    """
    library = torch.library.Library("torchvision", "DEF")
    text = Path(
        str(distribution("torchvision").locate_file("torchvision/_meta_registrations.py"))
    ).read_text()
    for name in re.findall(r'register_fake\("torchvision::(\w+)"\)', text):
        library.define(f"{name}(Tensor x) -> Tensor")
    return library


def make(where: str) -> nn.Module:
    """The network of "timm:NAME.TAG" or "torchvision:NAME.TAG"."""
    package, _, name = where.partition(":")
    if package == "timm":
        import timm

        odd = {"bn_eps": 1e-3} if name.startswith("fbnetc") else {}  # as timm does with pretrained=True
        return timm.create_model(name, pretrained=False, **odd)  # type: ignore[no-any-return]
    import torchvision

    return torchvision.models.get_model(name.partition(".")[0])  # type: ignore[no-any-return]


def disturb(model: nn.Module) -> None:
    """Other numbers than one and zero in every batch norm, and variances below and above an epsilon."""
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.Conv2d):
                module.weight[::7] *= 0.003
            if isinstance(module, nn.Conv2d | nn.Linear) and module.bias is not None:
                module.bias.normal_(0, 0.1)
        for norm in norms:
            norm.weight.uniform_(0.5, 1.5)
            norm.bias.normal_(0, 0.2)
            norm.reset_running_stats()
            norm.momentum = None
            norm.train()
        model(images_of(64, 64, count=16))
    model.eval()


def groups(state: OrderedDict[str, torch.Tensor]) -> list[str]:
    """One line a layer: its name and its shape, "n" for a norm and "b" for a bias behind it."""
    found = []
    for name, tensor in state.items():
        layer, _, leaf = name.rpartition(".")
        if leaf == "weight":
            kind = "n" if f"{layer}.running_var" in state else "b" if f"{layer}.bias" in state else ""
            found.append(f"{layer} {'x'.join(map(str, tensor.shape))}{kind}")
    return found


def layout(where: str) -> dict[str, Any]:
    """The names and shapes of a network, and its size as PyTorch counts it on an image of its own size."""
    model = make(where).eval()
    side = getattr(model, "pretrained_cfg", {}).get("input_size", (3, 224, 224))[1]
    count = FlopCounterMode(display=False)
    with count, torch.device("meta"):
        model.to("meta")(torch.empty(1, 3, side, side))
    return {
        "layers": groups(model.state_dict()),
        "params": sum(p.numel() for p in model.parameters()),
        "macs": count.get_total_flops() // 2,
        "resolution": side,
    }


def images_of(height: int, width: int, count: int = 2) -> torch.Tensor:
    """Images that are the same in every version of PyTorch, and differ."""
    numbers = torch.arange(count * 3 * height * width, dtype=torch.float64)
    return numbers.mul(12.9898).sin().float().reshape(count, 3, height, width)


def example(where: str, folder: Path) -> None:
    """Random weights, and what the network makes of random images with them."""
    torch.manual_seed(sum(map(ord, where)))
    model = make(where).eval()
    disturb(model)
    file = folder / where.partition(":")[2]
    if where.startswith("timm"):
        save_file(
            {name: tensor.contiguous() for name, tensor in model.state_dict().items()}, f"{file}.safetensors"
        )
    else:
        torch.save(model.state_dict(), f"{file}.pth")
    answers = {}
    for height, width in SIDES:
        with torch.no_grad():
            answers[f"{height}x{width}"] = model(images_of(height, width)).tolist()
    Path(f"{file}.json").write_text(json.dumps(answers))


def main(folder: Path, *names: str) -> None:
    library = declare_operators()
    if names[0] == "--layouts":
        import timm
        import torchvision

        found: dict[str, Any] = {
            "timm": timm.__version__,
            "torchvision": torchvision.__version__.split("+")[0],
        }
        found["networks"] = {name: layout(name) for name in names[1:]}
        (folder / "layouts.json").write_text(json.dumps(found, indent=0) + "\n")
    else:
        for name in names:
            example(name, folder)
    del library


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
