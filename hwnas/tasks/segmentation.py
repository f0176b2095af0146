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
from hwnas.statistics.intervals import SIGNIFICANT, chance_of_gap, right_of, wilson
from hwnas.tasks import masks, segmented
from hwnas.tasks.base import Example, LossSettings, Outcome, Predictions, Score, Section
from hwnas.tasks.colours import palette
from hwnas.tasks.common import OnImages, stretched
from hwnas.tasks.decoding import segmentation_example
from hwnas.tasks.overlap import Counts, Overlaps, difference, guessed, mean_iou
from hwnas.tasks.pixelwise import VOID, PixelLoss
from hwnas.tasks.segmented import MEAN_IOU, Segmented

if TYPE_CHECKING:
    import torch

    from hwnas.data import Dataset

_EXCESS = 5.0  # nats: a pixel's class gets 1/150 of the chance that a blind answer gives it
_LEAST_RISE = 0.005
_LEAST_OF_LOSS = 1e-6  # of a merit, that the loss tells equals apart by
_WORST = 8  # classes that are named after a training


class Segmentation(OnImages):
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

    def least_gain(self, value: float, images: int) -> float:
        """Half a point, or the standard error of a share of so many images where that is more."""
        return max(_LEAST_RISE, math.sqrt(max(value * (1 - value), 1 / images) / images))

    def merit(self, score: Score, class_weights: str, counts: tuple[int, int] | None = None) -> float:
        """Mean IoU, in which every class counts the same anyway."""
        less = _LEAST_OF_LOSS * (1 - math.exp(-score.loss)) if counts else 0.0
        return max(0.0, score.value - less)

    def merit_name(self, class_weights: str) -> str:
        """As the metric."""
        return self.metric.name

    def effective_images(self, targets: NDArray[Any], class_weights: str) -> int:
        """As many images as mean IoU is at least as certain as, before any network is looked at.

        A class of which few images show most of the pixels is as certain as those few: Kish's effective
        size of a sample (Survey Sampling, 1965). Errors of the classes are taken to go together, and images
        to be wholly right or wrong, so that this is cautious.
        """
        pixels = pixels_of(targets)
        shown = pixels[:, pixels.any(axis=0)].astype(np.float64)
        if not shown.size:
            return 1
        of_class = shown.sum(axis=0) ** 2 / (shown**2).sum(axis=0)
        return max(1, int(1 / np.mean(of_class**-0.5) ** 2 + 1e-6))

    def blind_search(
        self, merits: Iterable[float], targets: NDArray[Any], images: int, class_weights: str
    ) -> str | None:
        """Compares the mean merit with the best of an answer that does not look at the images."""
        rows = guessed(pixels_of(targets)).values()
        guess = max(float(mean_iou(each.sum(axis=0))) for each in rows)
        most = max(resampled.interval(each, mean_iou)[1] for each in rows)
        mean = float(np.mean(list(merits)))
        if mean > most:
            return None
        facts = f"the mean IoU of architectures is {mean:.1%} on average, and the best without a look at the "
        facts += f"images {guess:.1%} (95 %: up to {most:.1%})"
        if most > (1 + guess) / 2:
            return f"the validation images cannot tell scores from guesses: {facts}: give more images"
        return f"scored blindly: {facts}, so that their order is chance: train what scores them longer"

    def is_clearly_worse(self, one: float, other: float, images: int) -> bool:
        """By Fisher's exact test, as if so many images were wholly right or wrong."""
        first, second = right_of(one, images), right_of(other, images)
        return first < second and chance_of_gap(first, second, images) < SIGNIFICANT

    def merit_interval(self, merit: float, images: int) -> tuple[float, float]:
        """Wilson's interval of a share of ``effective_images``."""
        return wilson(merit, images)

    def fits(self, answer: tuple[int, ...], labels: Sequence[str]) -> bool:
        """Whether an answer is logits of one class a label, of some height and width."""
        return len(answer) == 3 and answer[0] == len(labels)

    def preprocessing(self, data: Dataset) -> dict[str, Any]:
        """Stretched, standardised; and how answers are read, with a colour for each class."""
        _, height, width = data.image_shape
        colours = zip(data.class_names, palette(data.num_classes), strict=True)
        return {
            **super().preprocessing(data),
            "resize": stretched(height, width),
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
