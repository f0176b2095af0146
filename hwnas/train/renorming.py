"""Statistics of batch norms that a model file has lost, measured anew without changing what is computed.

Where a norm was folded into its convolution, what stands in its place only shifts: mean 0, variance 1.
Evaluated, that is the same network; in training, which normalises by the batch, it is another one, and what
was learnt is lost in the first step. So mean and variance become those of training images, and scale and
shift what undoes that.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

import torch
from torch import nn

from hwnas.blocks.statistics import modes_kept


class _Moments:
    """Mean and variance of each channel of what a norm is given, over all batches, in float64."""

    def __init__(self) -> None:
        self._count = 0
        self._sums = torch.zeros(2, 0, dtype=torch.float64)

    def see(self, _norm: nn.Module, given: tuple[torch.Tensor, ...]) -> None:
        """A hook before the forward pass; the input's shape is (n, c, h, w)."""
        x = given[0].double()
        sums = torch.stack([x.sum((0, 2, 3)), x.square().sum((0, 2, 3))])
        self._sums = sums if not self._count else self._sums + sums
        self._count += x.numel() // x.shape[1]

    def settle(self, norm: nn.BatchNorm2d) -> None:
        """Give a norm these statistics, and the scale and shift that leave its output as it was."""
        if norm.running_mean is None or norm.running_var is None:
            raise ValueError("a norm must have statistics to be given others")
        mean, squares = (self._sums / self._count).to(norm.weight.device)
        variance = (squares - mean.square()).clamp(min=0)
        scale = norm.weight.double() / (norm.running_var.double() + norm.eps).sqrt()
        norm.bias.add_((mean - norm.running_mean.double()) * scale)
        norm.weight.copy_(scale * (variance + norm.eps).sqrt())
        norm.running_mean.copy_(mean)
        norm.running_var.copy_(variance)


@torch.no_grad()
def renorm(model: nn.Module, names: Collection[str], images: Iterable[torch.Tensor]) -> None:
    """Give batch norms the statistics of images; what the network answers in evaluation stays the same.

    As it does, one pass is enough for all of them.

    Args:
        model: Left in the mode that it was in.
        names: Of the norms, as in ``named_modules``.
        images: Batches of *training* images as the network takes them.
    """
    seen = {name: _Moments() for name in names}
    norms = {name: model.get_submodule(name) for name in names}
    hooks = [norms[name].register_forward_pre_hook(moments.see) for name, moments in seen.items()]
    try:
        with modes_kept(model):
            model.eval()
            for batch in images:
                model(batch)
    finally:
        for hook in hooks:
            hook.remove()
    for name, moments in seen.items():
        moments.settle(norms[name])  # type: ignore[arg-type]
