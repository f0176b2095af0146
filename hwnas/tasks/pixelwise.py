"""What a training of pixels minimises: cross-entropy and soft dice, at the size of the labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hwnas.tasks.base import LossSettings

if TYPE_CHECKING:
    import numpy as np
    import torch

VOID = 255
"""Label of a pixel that nothing is asked of."""

_LEAST = 1.0  # pixels: keeps the dice of hardly any pixels calm


@dataclass(frozen=True)
class PixelLoss:
    """Cross-entropy of pixels and one less their soft dice. Outputs: logits (n, classes, h, w).

    Attributes:
        settings: Label smoothing, temperature.
        weights: Of each class, shape (classes,), of mean 1 over the training pixels; None for equal ones.
    """

    settings: LossSettings
    weights: torch.Tensor | None = None

    def mixed(
        self, images: torch.Tensor, targets: torch.Tensor, rng: np.random.Generator
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """As they are: two classes in one pixel are no answer to learn."""
        return images, targets

    def loss(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Mean over the pixels that are not void, each by the weight of its class, and the dice."""
        from torch.nn import functional

        logits, truth = resized(outputs, targets), targets.long()
        known = truth != VOID
        each = functional.cross_entropy(
            logits, truth, ignore_index=VOID, label_smoothing=self.settings.label_smoothing, reduction="none"
        )
        if self.weights is not None:
            each = each * self.weights[truth.masked_fill(~known, 0)]
        return each.sum() / known.sum().clamp(min=1) + 1 - soft_dice(logits, truth)

    def distance(self, outputs: torch.Tensor, taught: torch.Tensor) -> torch.Tensor:
        """T² KL(teacher, student) of pixels softened by T, their mean (arXiv:1503.02531).

        At the size of the student's logits.
        """
        from torch.nn import functional

        temperature = self.settings.temperature
        taught = resized(taught, outputs)
        student, teacher = (functional.log_softmax(each / temperature, 1) for each in (outputs, taught))
        apart = functional.kl_div(student, teacher, reduction="none", log_target=True).sum(1)
        return temperature**2 * apart.mean()

    def total(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Mean IoUs of each image alone, summed."""
        import torch

        from hwnas.tasks import segmented

        found = segmented.predicted([(outputs, targets)], boundaries=False).by_image.sum()
        return torch.tensor(float(found), device=outputs.device)


def resized(logits: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """Logits at another tensor's height and width: bilinear, half-pixel centres."""
    from torch.nn import functional

    size = like.shape[-2:]
    if logits.shape[-2:] == size:
        return logits
    return functional.interpolate(logits, size=size, mode="bilinear", align_corners=False)


def cross_entropies(logits: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """Of each image in nats, the mean of its pixels, shape (n,), float64; 0 of one that is all void."""
    import torch
    from torch.nn import functional

    each = functional.cross_entropy(logits, truth, ignore_index=VOID, reduction="none")
    known = (truth != VOID).sum((1, 2)).clamp(min=1)
    return each.sum((1, 2), dtype=torch.float64) / known


def counted(areas: torch.Tensor, where: torch.Tensor, classes: int) -> torch.Tensor:
    """Pixels of each class in each image, where something holds, shape (n, classes).

    Args:
        areas: Classes, shape (n, h, w); any number where nothing holds.
        where: Shape (n, h, w).
        classes: How many there are.
    """
    import torch

    rows = torch.arange(len(areas), device=areas.device)[:, None, None] * (classes + 1)
    places = torch.where(where, areas, classes).add_(rows)
    found = torch.bincount(places.ravel(), minlength=len(areas) * (classes + 1))
    return found.view(len(areas), classes + 1)[:, :classes]


def soft_dice(logits: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """Twice the intersection over both areas, squared as in arXiv:1606.04797, of the whole batch, a scalar.

    Its mean over the classes that the batch shows, so that small ones count as much as large ones.

    Args:
        logits: Shape (n, classes, h, w).
        truth: Shape (n, h, w).
    """
    from torch.nn import functional

    classes = logits.shape[1]
    known = (truth != VOID)[:, None]
    chances = logits.softmax(1) * known
    shown = functional.one_hot(truth.masked_fill(~known[:, 0], 0), classes).movedim(-1, 1) * known
    both = (chances * shown).sum((0, 2, 3))
    area = shown.sum((0, 2, 3)).to(logits.dtype)
    dice = (2 * both + _LEAST) / (chances.square().sum((0, 2, 3)) + area + _LEAST)
    there = area > 0
    return (dice * there).sum() / there.sum().clamp(min=1)
