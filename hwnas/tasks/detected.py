"""What a detector finds in images: the objects, and how they meet those that are there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hwnas.data.contents import CLASS, CROWD
from hwnas.known.decoders import FINEST_OF_OBJECTS
from hwnas.statistics.verdict import FAIL, NOT_PROVEN, PASS, Verdict
from hwnas.tasks import matching, precision, suppression
from hwnas.tasks.base import Metric, Score
from hwnas.tasks.precision import Matches
from hwnas.tasks.suppression import Boxes

if TYPE_CHECKING:
    import torch

MEAN_AP = Metric("mAP", is_higher_better=True, is_share=True)

_USEFUL = 0.02  # of the way from a blind answer to a perfect one: what stays below has learned nothing
_GUESSES = 64  # boxes of a class of which the best is guessed


@dataclass(frozen=True, eq=False)
class Detected(Matches):
    """What is found.

    Attributes:
        found: Of each image, shape (objects, 6): corners, score, class, the surest first.
        objects: That are there, of each image, shape (objects, 6): corners, class, crowd.
        loss: Of each image, shape (images,); NaN where it was not looked at.
    """

    found: Sequence[Boxes] = field(repr=False)
    objects: Sequence[Boxes] = field(repr=False)
    loss: NDArray[np.float64]

    @property
    def score(self) -> Score:
        """Mean average precision and loss; every class counts the same already."""
        return Score(self.value, float(self.loss.mean()), certainty=self.certainty)

    @cached_property
    def learning(self) -> Verdict:
        """Whether it is better than the same boxes in every image: by images that are drawn in pairs."""
        blind = guessed(self.objects, self.truths.shape[1])
        if precision.difference([self], [blind]).interval[0] > 0:
            return Verdict(PASS)
        low, high = self.interval
        facts = f"the mAP of {self.images} test images is {self.value:.1%} (95 %: {low:.1%} to {high:.1%}), "
        facts += f"and that of the best boxes that are the same in all images {blind.value:.1%}"
        if not len(self.kind) or high < blind.value + _USEFUL * (1 - blind.value):
            how = "" if len(self.kind) else "nothing is found: "
            remedy = "look at the boxes, train longer, or with another learning rate"
            return Verdict(FAIL, (f"it learned nothing: {how}{facts}: {remedy}",))
        what = f"{self.images} images cannot tell whether it learned anything"
        return Verdict(NOT_PROVEN, (f"{what}: {facts}: test on more images",))

    @cached_property
    def details(self) -> dict[str, Any]:
        """At an IoU of 0.5, by size and by class; intervals are of 95 %."""
        _, of_half, *of_classes = self.intervals
        classes = self.truths.shape[1]
        sized = {
            name: matching.matches(self.found, self.objects, classes, size)
            for name, size in matching.SIZES.items()
        }
        each = self.precisions.mean(axis=-1).tolist()
        return {
            "ap50": float(precision.mean_ap(self.precisions[:, :1])),
            "ap50_interval": list(of_half),
            "ap_by_size": {name: some.value if some.truths.any() else None for name, some in sized.items()},
            "aps": [None if np.isnan(value) else value for value in each],
            "ap_intervals": [list(ends) for ends in of_classes],
        }

    def to_json(self) -> dict[str, Any]:
        """Mean average precision, loss, images, intervals, and ``details``."""
        own = {MEAN_AP.key: self.value, "loss": float(self.loss.mean()), "images": self.images}
        return {**own, "interval": list(self.interval), **self.details}


def predicted(
    batches: Iterable[tuple[Sequence[torch.Tensor], torch.Tensor]], *, losses: bool = True
) -> Detected:
    """What scores and boxes of all levels say; see ``Task.predictions``.

    Args:
        batches: Answers as of ``levels.places``, and objects (n, most objects, 6).
        losses: Whether the loss of each image is computed.
    """
    found: list[Boxes] = []
    objects: list[Boxes] = []
    each: list[float] = []
    classes = 0
    for outputs, targets in batches:
        classes = outputs[0].shape[1]
        for boxes, loss in _of_images(outputs, targets, losses):
            found.append(boxes)
            each.append(loss)
        objects += matching.truths_of(targets.detach().cpu().numpy())
    met = matching.matches(found, objects, classes)
    columns = met.truths, met.image, met.kind, met.sure, met.right, met.void
    return Detected(*columns, found=found, objects=objects, loss=np.array(each))


def _of_images(
    outputs: Sequence[torch.Tensor], targets: torch.Tensor, losses: bool
) -> Iterator[tuple[Boxes, float]]:
    """Objects and loss of each image, whatever stands beside it in the batch."""
    from hwnas.tasks.levels import places
    from hwnas.tasks.objectloss import object_loss

    height, width = (FINEST_OF_OBJECTS * side for side in outputs[0].shape[2:])
    whole = places([each.detach() for each in outputs])
    for number in range(len(targets)):
        one = whole[number]
        scores = one.scores[0].double().sigmoid().cpu().numpy()
        boxes = one.boxes[0].double().cpu().numpy()
        loss = float(object_loss(one, targets[number : number + 1])) if losses else np.nan
        yield suppression.objects(scores, boxes, height, width), loss


def guessed(objects: Sequence[Boxes], classes: int) -> Matches:
    """What one box of each class would come to that is the same in all images.

    Of each class that of some of its boxes which is there in the most images, as sure as in how many.

    Args:
        objects: That are there, of each image, shape (objects, 6): corners, class, crowd.
        classes: How many there are.
    """
    rows = []
    for kind in range(classes):
        of_class = [true[(true[:, CLASS] == kind) & (true[:, CROWD] == 0)] for true in objects]
        boxes = np.concatenate(of_class)
        if not len(boxes):
            continue
        tried = boxes[np.linspace(0, len(boxes) - 1, min(len(boxes), _GUESSES)).astype(int)]
        hits = [(suppression.overlaps(tried, true) >= 0.5).any(axis=1) for true in of_class if len(true)]
        share = np.sum(hits, axis=0) / len(objects)
        rows.append([*tried[share.argmax(), :CLASS], share.max(), kind])
    same = np.array(sorted(rows, key=lambda row: -row[suppression.SCORE])).reshape(-1, 6)
    return matching.matches([same] * len(objects), objects, classes)
