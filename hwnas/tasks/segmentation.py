"""Segmentation: one class a pixel, cross-entropy with soft dice, mean IoU."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hwnas import known
from hwnas.known import decoders
from hwnas.statistics import resampled
from hwnas.statistics.differences import Difference
from hwnas.tasks import masks, segmented
from hwnas.tasks.base import Example, LossSettings, Outcome, Predictions, Section
from hwnas.tasks.colours import palette
from hwnas.tasks.decoding import segmentation_example
from hwnas.tasks.overlap import Counts, Overlaps, difference, guessed, mean_iou
from hwnas.tasks.pixelwise import VOID, PixelLoss
from hwnas.tasks.placed import OnPlaces
from hwnas.tasks.recipes import Usual
from hwnas.tasks.segmented import MEAN_IOU, Segmented

if TYPE_CHECKING:
    import torch

    from hwnas.data import Dataset

_FROM_NOTHING = Usual(2000, 8, 60, 0.05, batch_size=16)
_PRETRAINED = Usual(700, 4, 30, 0.03, batch_size=16, head_steps=78, layer_decay=0.95, freeze_share=0.3)
_EXCESS = 5.0  # nats: a pixel's class gets 1/150 of the chance that a blind answer gives it
_WORST = 8  # classes that are named after a training


class Segmentation(OnPlaces):
    """Images with a class for every pixel: labels are uint8 (n, height, width), 255 where none is asked."""

    name = "segmentation"
    metric = MEAN_IOU

    def load(self, source: str, **options: Any) -> Dataset:
        """As ``data.segmentation.load``."""
        from hwnas.data import segmentation

        return segmentation.load(source, **options)

    def outputs(self, data: Dataset) -> int:
        """One logit a class."""
        return data.num_classes

    def network(self, name: str) -> str:
        """With the usual decoder, where the name says none."""
        return known.decorated(name, decoders.SEGMENTATION[0])

    def usual(self, *, pretrained: bool) -> Usual:
        """Batches of 16, so that few images give enough steps for a decoder that knows nothing.

        EfficientNet-Lite0 with ``fpnsum64`` on 214 pictures of nuclei at 128 px, one seed: a validation mean
        IoU of 83.7 % after 30 epochs of 16 images a step, of 81.6 % after 20 of 32 at a rate of 0.02.
        """
        return _PRETRAINED if pretrained else _FROM_NOTHING

    def criterion(self, data: Dataset, settings: LossSettings, device: torch.device) -> PixelLoss:
        """Cross-entropy and dice; with weights of the classes by their pixels where they are asked for."""
        return PixelLoss(settings, weights_of(data, device) if settings.class_weights == "balanced" else None)

    def blindness(self, data: Dataset) -> tuple[float, float]:
        """The same chance for every class and no dice, and five nats more."""
        blind = math.log(data.num_classes) + 1
        return blind, blind + _EXCESS

    def loss_sum(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Cross-entropy in nats, of an image the mean of its pixels."""
        from hwnas.tasks.pixelwise import cross_entropies, resized

        return cross_entropies(resized(outputs, targets), targets.long()).sum().to(outputs.dtype)

    def predictions(self, batches: Iterable[tuple[torch.Tensor, torch.Tensor]]) -> Segmented:
        """Classes of pixels by logits (n, classes, h, w), resized to the labels' (n, height, width)."""
        return segmented.predicted(batches)

    def shown(self, targets: NDArray[Any]) -> Counts:
        """Pixels of each class in each image."""
        return pixels_of(targets)

    def guesses(self, targets: NDArray[Any]) -> tuple[float, float]:
        """Of the better of two: the commonest class everywhere, and classes at random."""
        rows = guessed(pixels_of(targets)).values()
        best = max(float(mean_iou(each.sum(axis=0))) for each in rows)
        return best, max(resampled.interval(each, mean_iou)[1] for each in rows)

    def fits(self, answer: tuple[int, ...], labels: Sequence[str]) -> bool:
        """Whether an answer is logits of one class a label, of some height and width."""
        return len(answer) == 3 and answer[0] == len(labels)

    def preprocessing(self, data: Dataset) -> dict[str, Any]:
        """Stretched, standardised; and how answers are read, with a colour for each class."""
        colours = zip(data.class_names, palette(data.num_classes), strict=True)
        return {
            **super().preprocessing(data),
            "answer": {
                "what": "a logit for each class at every place, coarser than the picture",
                "read": "resize bilinearly with half-pixel centres, then take the class of the largest",
            },
            "classes": [{"name": name, "colour": list(colour)} for name, colour in colours],
        }

    @property
    def example(self) -> Example:
        """Writes a mask in the classes' colours, and prints what share of the picture each class has."""
        return segmentation_example()

    def outcome(self, kept: Mapping[str, Any]) -> Overlaps:
        """Intersections and unions of every image."""
        return Overlaps.of_kept(kept)

    def difference(self, first: Sequence[Outcome], second: Sequence[Outcome]) -> Difference:
        """Of mean IoUs, by images that are drawn in pairs."""
        return difference(first, second)

    def sized(self, outputs: int) -> str:
        """Classes of pixels."""
        return f"{outputs} classes of pixels"

    def remark(self, found: Mapping[str, Any]) -> str:
        """How well boundaries are met."""
        if "boundary_f" not in found:
            return ""
        low, high = found["boundary_interval"]
        near = found["boundary_tolerance"]
        return f"boundary F {found['boundary_f']:.1%} ({low:.1%} to {high:.1%}) within {near} px"

    def told(self, found: Mapping[str, Any], mistakes: Mapping[str, Any] | None) -> Iterator[str]:
        """Boundaries, and the worst classes."""
        yield f"{self.remark(found)}, on {found['images']:,} images"
        if mistakes is not None:
            yield f"IoU by class, the worst first: {masks.worst(found, mistakes['class_names'], _WORST)}"

    def mistakes(self, predictions: Predictions, data: Dataset, split: str) -> Mapping[str, Any]:
        """IoU by class, and the best and worst images as pictures."""
        if not isinstance(predictions, Segmented):
            raise TypeError(f"masks must be of segmented images, but got {type(predictions).__name__}")
        return masks.describe(predictions, data, split)

    def sections(self, mistakes: Mapping[str, Any]) -> Iterator[Section]:
        """What pixels are taken for."""
        yield masks.section(mistakes)


def pixels_of(targets: NDArray[Any]) -> Counts:
    """Pixels of each class in each image, shape (images, 255): void is none."""
    return np.array([np.bincount(image.ravel(), minlength=VOID + 1)[:VOID] for image in targets], np.int64)


def weights_of(data: Dataset, device: torch.device) -> torch.Tensor:
    """Weights that make the training pixels of each class count the same together, shape (classes,)."""
    import torch

    counts = pixels_of(data.train.labels).sum(axis=0)[: data.num_classes]
    balanced = counts.sum() / (max(1, np.count_nonzero(counts)) * np.maximum(counts, 1))
    return torch.from_numpy(balanced).to(device, torch.float32)
