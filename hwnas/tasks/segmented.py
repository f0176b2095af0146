"""What a network takes the pixels of images for: counts of every image, no masks of all of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hwnas.statistics import resampled
from hwnas.statistics.verdict import FAIL, NOT_PROVEN, PASS, Verdict
from hwnas.tasks import boundary, pixelwise
from hwnas.tasks.base import Metric, Score
from hwnas.tasks.overlap import Counts, Overlaps, guessed, mean_iou

if TYPE_CHECKING:
    import torch

MEAN_IOU = Metric("mean IoU", is_higher_better=True, is_share=True)

SHOWN = 6
"""So many of the best images, and of the worst ones, are kept as masks."""

_USEFUL = 0.25  # of the way from a blind answer to a perfect one: what stays below has learned nothing
_AT_ONCE = 1 << 23  # logits at the size of the labels


@dataclass(frozen=True, eq=False)
class Segmented(Overlaps):
    """What pixels are taken for.

    Attributes:
        pixels: Of each class, shape (images, classes).
        boundary: F measure of each image, shape (images,); NaN where it was not looked at.
        loss: Cross-entropy of each image, the mean of its pixels, in nats, shape (images,).
        masks: Classes of the images that are answered best and worst, by their row, shape (h, w) each.
        near: How many pixels away a boundary is still met.
    """

    pixels: Counts
    boundary: NDArray[np.float64]
    loss: NDArray[np.float64]
    masks: dict[int, NDArray[np.uint8]]
    near: int

    @property
    def score(self) -> Score:
        """Mean IoU and loss; every class counts the same already."""
        return Score(self.value, float(self.loss.mean()), certainty=self.certainty)

    @cached_property
    def learning(self) -> Verdict:
        """Whether it is better than answers that do not look: by images that are drawn in pairs."""
        guesses = guessed(self.pixels)
        gaps = [resampled.difference([self.rows], [rows], mean_iou) for rows in guesses.values()]
        if all(gap.interval[0] > 0 for gap in gaps):
            return Verdict(PASS)
        blind = max(float(mean_iou(rows.sum(axis=0))) for rows in guesses.values())
        low, high = self.interval
        facts = f"the mean IoU of {self.images} test images is {self.value:.1%} (95 %: {low:.1%} to "
        facts += f"{high:.1%}), and that of the best answer that does not look at them {blind:.1%}"
        taken = (self.unions + self.intersections - self.pixels).sum(axis=0)
        is_constant = np.count_nonzero(taken) == 1 and np.count_nonzero(self.pixels.sum(axis=0)) > 1
        if is_constant or high < blind + _USEFUL * (1 - blind):
            how = "all pixels are taken for one class: " if is_constant else ""
            remedy = "look at the masks, train longer, or with another learning rate"
            return Verdict(FAIL, (f"it learned nothing: {how}{facts}: {remedy}",))
        what = f"{self.images} images cannot tell whether it learned anything"
        return Verdict(NOT_PROVEN, (f"{what}: {facts}: test on more images",))

    @cached_property
    def details(self) -> dict[str, Any]:
        """IoU by class, and how well boundaries are met, with 95 % intervals."""
        met = self.boundary[:, None]
        return {
            "ious": list(self.ious),
            "iou_intervals": [list(each) for each in self.iou_intervals],
            "boundary_f": float(met.mean()),
            "boundary_interval": list(resampled.interval(met, lambda sums: sums[..., 0] / len(met))),
            "boundary_tolerance": self.near,
        }

    def to_json(self) -> dict[str, Any]:
        """Mean IoU, loss, images, intervals, and ``details``."""
        own = {MEAN_IOU.key: self.value, "loss": float(self.loss.mean()), "images": self.images}
        return {**own, "interval": list(self.interval), **self.details}


@dataclass(frozen=True, eq=False)
class _Part:
    """Some images in a row."""

    both: Counts
    either: Counts
    pixels: Counts
    boundary: NDArray[np.float64]
    loss: NDArray[np.float64]
    masks: NDArray[np.uint8]


def predicted(batches: Iterable[tuple[torch.Tensor, torch.Tensor]], *, boundaries: bool = True) -> Segmented:
    """What logits (n, classes, h, w) say of labels (n, height, width); see ``Task.predictions``.

    Args:
        batches: Logits and labels.
        boundaries: Whether boundaries are looked at, which takes its time.
    """
    found: list[_Part] = []
    masks: list[tuple[float, int, NDArray[np.uint8]]] = []  # the worst image first
    near = row = 0
    for outputs, truth in batches:
        near = boundary.tolerance(*truth.shape[1:])
        for part in _parts(outputs, truth, boundaries):
            worth = Overlaps(part.both, part.either).by_image
            masks += [(float(v), row + n, part.masks[n].copy()) for n, v in enumerate(worth)]
            masks.sort(key=lambda item: item[:2])
            masks = masks if len(masks) <= 2 * SHOWN else masks[:SHOWN] + masks[-SHOWN:]
            row += len(worth)
            found.append(part)
    joined = {
        name: np.concatenate([getattr(part, name) for part in found])
        for name in ("both", "either", "pixels", "boundary", "loss")
    }
    return Segmented(
        joined["both"],
        joined["either"],
        joined["pixels"],
        joined["boundary"],
        joined["loss"],
        {number: mask for _, number, mask in masks},
        near,
    )


def _parts(outputs: torch.Tensor, truth: torch.Tensor, boundaries: bool) -> Iterator[_Part]:
    """So many images at a time that their logits at the size of the labels fit."""
    import torch

    count = max(1, _AT_ONCE // (outputs.shape[1] * truth.shape[1] * truth.shape[2]))
    for some, labels in zip(torch.split(outputs, count), torch.split(truth.long(), count), strict=True):
        yield _part(pixelwise.resized(some, labels), labels, boundaries)


def _part(logits: torch.Tensor, truth: torch.Tensor, boundaries: bool) -> _Part:
    import torch

    classes, seen = logits.shape[1], logits.argmax(1)
    known = truth != pixelwise.VOID
    of_class, taken, both = (
        pixelwise.counted(areas, where, classes)
        for areas, where in ((truth, known), (seen, known), (seen, known & (seen == truth)))
    )
    met = boundary.f_measures(seen, truth, classes) if boundaries else torch.full((len(truth),), torch.nan)
    loss = pixelwise.cross_entropies(logits, truth)
    kept = (both, of_class + taken - both, of_class, met.double(), loss, seen.to(torch.uint8))
    return _Part(*(tensor.detach().cpu().numpy() for tensor in kept))
