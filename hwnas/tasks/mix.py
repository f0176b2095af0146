"""Training on mixtures of two images: mixup and CutMix."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch.nn import functional


def mix(
    images: torch.Tensor,
    labels: torch.Tensor,
    rng: np.random.Generator,
    *,
    classes: int,
    mixup: float = 0.0,
    cutmix: float = 0.0,
) -> tuple[torch.Tensor, torch.Tensor]:
    """A batch with a shuffled copy of itself mixed in; one share for the whole batch.

    mixup (arXiv:1710.09412) takes a weighted mean, CutMix (arXiv:1905.04899) pastes a
    rectangle. Where both are asked for, each batch gets one of them by the toss of a coin.

    Args:
        images: Shape (n, c, h, w); left as they are.
        labels: Shape (n,).
        rng: Where the randomness comes from.
        classes: Number of classes.
        mixup: Alpha of the Beta distribution that mixup's share comes from; 0 leaves it out.
        cutmix: The same of CutMix.

    Returns:
        Images, and targets of shape (n, classes) that say how much of each class is in them.
    """
    pasted = cutmix > 0 and (mixup == 0 or rng.random() < 0.5)
    alpha = cutmix if pasted else mixup
    share = float(rng.beta(alpha, alpha))
    partner = torch.from_numpy(rng.permutation(len(labels))).to(images.device)
    if pasted:
        top, bottom, left, right = _rectangle(images.shape[2], images.shape[3], 1 - share, rng)
        mixed = images.clone()
        mixed[:, :, top:bottom, left:right] = images[partner, :, top:bottom, left:right]
        share = 1 - (bottom - top) * (right - left) / (images.shape[2] * images.shape[3])
    else:
        mixed = torch.lerp(images[partner], images, share)
    targets = functional.one_hot(labels, classes).to(images.dtype)
    return mixed, torch.lerp(targets[partner], targets, share)


def _rectangle(height: int, width: int, area: float, rng: np.random.Generator) -> tuple[int, int, int, int]:
    """Top, bottom, left and right of a rectangle of the image's shape, cut off at its border."""
    tall, wide = (round(side * math.sqrt(area)) for side in (height, width))
    top, left = (int(rng.integers(side)) - length // 2 for side, length in ((height, tall), (width, wide)))
    return max(top, 0), min(top + tall, height), max(left, 0), min(left + wide, width)
