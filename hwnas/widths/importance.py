"""How much each channel of a network matters, by the loss on images."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch

from hwnas.tasks.base import Criterion
from hwnas.widths.groups import Prunable


def taylor(
    found: Prunable, criterion: Criterion, batches: Iterable[tuple[torch.Tensor, torch.Tensor]]
) -> dict[str, torch.Tensor]:
    """By how much the loss changes without each channel, to first order (arXiv:1906.10771).

    Weights of all layers that make, norm or read a channel count together, image batch by image batch; batch
    norms keep their statistics, as they do in use.

    Args:
        found: The network.
        criterion: The task's loss.
        batches: Normalised images and what is known of them.

    Returns:
        Shape (channels,) for each group, not negative.
    """
    from torch_pruning.pruner.importance import GroupTaylorImportance

    measure = GroupTaylorImportance(group_reduction="sum", normalizer=None)
    model, total, count = found.module, dict[str, torch.Tensor](), 0
    was = model.training
    model.eval()
    for images, targets in batches:
        model.zero_grad(set_to_none=True)
        criterion.loss(model(images), targets).backward()  # type: ignore[no-untyped-call]
        count += 1
        for name, values in found.importance(measure).items():
            total[name] = total[name] + values if name in total else values
    model.zero_grad(set_to_none=True)
    model.train(was)
    return {name: values / count for name, values in total.items()}


def kept(importance: Mapping[str, torch.Tensor], name: str, widths: Iterable[int]) -> list[float]:
    """Importance of the channels that stay at each width, those that matter most."""
    ordered = importance[name].double().sort(descending=True).values.cumsum(0)
    return [float(ordered[width - 1]) if width else 0.0 for width in widths]
