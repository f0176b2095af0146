"""Batch norms whose batch is shared by several processes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm

from hwnas.errors import TrainingError
from hwnas.train import ranks


@contextmanager
def shared(model: nn.Module) -> Iterator[None]:
    """In here, batch norms that train normalise by the batch of all processes, as one process would.

    They are the same modules with the same tensors, so that nothing of it is to be seen in a state or an
    average; one process is left as it is. PyTorch's own ``SyncBatchNorm`` needs CUDA, and other modules.

    Raises:
        TrainingError: There are batch norms of another kind.
    """
    norms = [m for m in model.modules() if isinstance(m, _BatchNorm)] if ranks.ranks() > 1 else []
    for norm in norms:
        if type(norm) is not nn.BatchNorm2d or not (norm.affine and norm.track_running_stats):
            raise TrainingError(
                "batch norms must be BatchNorm2d with weights and statistics to be shared by processes, but "
                f"got {norm}: train in one process"
            )
    for norm in norms:
        norm.__class__ = _SharedNorm
    try:
        yield
    finally:
        for norm in norms:
            norm.__class__ = nn.BatchNorm2d


class _SharedNorm(nn.BatchNorm2d):
    """A batch norm of all processes' images (n, c, h, w)."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Of the images of this process."""
        if not self.training or self.running_mean is None or self.running_var is None:
            return super().forward(input)
        output: torch.Tensor
        output, mean, variance, count = _Normalised.apply(  # type: ignore[no-untyped-call]
            input, self.weight, self.bias, self.eps
        )
        with torch.no_grad():
            counter = self.num_batches_tracked
            counter.add_(1)  # type: ignore[union-attr]
            momentum = 1 / float(counter) if self.momentum is None else self.momentum  # type: ignore[arg-type]
            self.running_mean.lerp_(mean, momentum)
            self.running_var.lerp_(variance * count / (count - 1), momentum)
        return output


class _Normalised(torch.autograd.Function):
    """Normalising by the mean and variance of all processes (arXiv:1502.03167, and its gradients).

    Gives the output, and mean, variance (biased) and number of values a channel; only the output is
    differentiable.
    """

    @staticmethod
    def forward(
        ctx: Any, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, eps: float
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        mean, variance, count = _moments(x)
        scale = (variance + eps).rsqrt()
        ctx.save_for_backward(x, weight, mean, scale, count)
        ctx.set_materialize_grads(False)
        output = functional.batch_norm(x, mean, variance, weight, bias, eps=eps)
        ctx.mark_non_differentiable(mean, variance, count)
        return output, mean, variance, count

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        x, weight, mean, scale, count = ctx.saved_tensors
        given = _exact(gradients[0])
        centred = _exact(x) - _wide(mean)
        own = torch.stack([_sums(given), _sums(given * centred) * scale])
        shift, slope = ranks.summed(own.clone()) / count
        # weight * scale * (given - shift - centred * scale * slope), in two passes
        factor = weight * scale
        back = torch.addcmul(_wide(-factor * shift), given, _wide(factor))
        back.addcmul_(centred, _wide(-factor * scale * slope))
        return back.to(x.dtype), own[1], own[0], None


def _moments(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Mean and biased variance of each channel over all processes, and how many values that is.

    Of those of each process, so that none is the difference of two large numbers. ``torch.var_mean`` is
    thirty times as slow on a CPU.
    """
    x = _exact(x)
    mean = x.mean((0, 2, 3))
    variance = (x - _wide(mean)).square_().mean((0, 2, 3))
    seen = mean.new_zeros(ranks.ranks(), 3, len(mean))
    seen[ranks.rank()] = torch.stack([torch.full_like(mean, x.numel() / x.shape[1]), mean, variance])
    counts, means, variances = ranks.summed(seen).unbind(1)
    count = counts.sum(0)
    centre = (counts * means).sum(0) / count
    return centre, (counts * (variances + (means - centre).square())).sum(0) / count, count


def _exact(x: torch.Tensor) -> torch.Tensor:
    """In float32 where it is in half precision."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def _sums(x: torch.Tensor) -> torch.Tensor:
    return x.sum((0, 2, 3))


def _wide(channels: torch.Tensor) -> torch.Tensor:
    return channels.view(1, -1, 1, 1)
