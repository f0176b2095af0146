"""Parts of a network near the image, which keep what they learnt elsewhere."""

from __future__ import annotations

from collections.abc import Collection

import torch
from torch import nn

from hwnas.space import Shape


@torch.no_grad()
def near_image(model: nn.Module, shape: Shape, stride: int, fresh: Collection[str]) -> tuple[nn.Module, ...]:
    """The first parts of a network, whose features are no coarser than a share of the image.

    Edges and textures are the same in all pictures, and these parts are the dear ones in training, as their
    features are the largest.

    Args:
        model: A chain at its beginning.
        shape: Of an image.
        stride: Sides of the image over sides of the features, at most.
        fresh: Names of parameters that know nothing yet: the parts end before the first of them.
    """
    found: list[nn.Module] = []
    was_training, features = model.training, next(model.parameters()).new_zeros(1, *shape)
    model.eval()
    for name, part in model.named_children():
        if any(other.startswith(f"{name}.") for other in fresh):
            break
        features = part(features)
        if features.ndim != 4 or features.shape[-1] * stride < shape[-1]:
            break
        found.append(part)
    model.train(was_training)
    return tuple(found)
