"""Detection: a box and a class for every object, quality focal loss with GIoU, COCO's mean AP."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hwnas import known
from hwnas.data.contents import CLASS, CROWD
from hwnas.known import decoders
from hwnas.statistics.differences import Difference
from hwnas.tasks import detected, findings, matching, suppression
from hwnas.tasks.base import Example, LossSettings, Outcome, Predictions, Section
from hwnas.tasks.colours import palette
from hwnas.tasks.detected import MEAN_AP, Detected
from hwnas.tasks.finding import detection_example
from hwnas.tasks.placed import OnPlaces
from hwnas.tasks.precision import Matches, difference
from hwnas.tasks.recipes import Usual

if TYPE_CHECKING:
    import torch

    from hwnas.data import Dataset
    from hwnas.tasks.objectloss import Answers, ObjectLoss

_FROM_NOTHING = Usual(2000, 8, 60, 0.05, batch_size=8)
_PRETRAINED = Usual(
    *(1800, 4, 60, 0.1), batch_size=8, head_steps=120, freeze_share=0.3, frozen_stride=4, short_rate=0.01
)
_BLIND = 3.0  # boxes beside their objects cost 2, scores that say nothing about 1
_EXCESS = 20.0
_WORST = 8  # classes that are named after a training
_THRESHOLD = 0.3  # where validation images have not said a better one
_READ = """\
score = sigmoid(logit); the place of column x and row y is (x + 0.5, y + 0.5) * stride, and each level has \
twice the stride of the one before; the left, upper, right and lower sides are log(1 + exp(number)) strides \
away, or, of several numbers a side, the mean of 0, 1, … by their softmax; of each class, a box is left out \
that overlaps a surer one by more than nms_iou; boxes are in pixels of the stretched picture"""


class Detection(OnPlaces):
    """Images with boxes: labels are float32 (n, most objects, 6), see ``hwnas.data.Split``.

    Networks answer scores and boxes of every level in turn, each a tensor of its own; see ``tasks.levels``.
    """

    name = "detection"
    metric = MEAN_AP

    def load(self, source: str, **options: Any) -> Dataset:
        """As ``data.detection.load``."""
        from hwnas.data import detection

        return detection.load(source, **options)

    def outputs(self, data: Dataset) -> int:
        """One score a class."""
        return data.num_classes

    def network(self, name: str) -> str:
        """With the usual neck and head, where the name says none."""
        return known.decorated(name, decoders.DETECTION)

    def usual(self, *, pretrained: bool) -> Usual:
        """Small batches, a high rate and many steps: pictures are large and few, and ImageNet shows no boxes.

        EfficientNet-Lite0 with ``fpn64`` on 237 photos of playing cards at 160 px, one seed, mAP of 59
        validation images. After 600 steps: 37.6 % at a rate of 0.03 that falls by 0.95 a block, as is usual
        of classifiers; without that fall 40.6 at 0.05, 44.1 at 0.1, 44.3 at 0.2; at 0.1 after 1,200 steps
        56.8. Blocks up to a fourth of the image's side left as they are, 45.0 in .7 of the time (up to an
        eighth 43.3). No better than 44.1 after 600 steps: zooms by 0.2 (37.5) or 1 (41.5) in the place of
        0.4, changed colours (37.9), AdamW (34.2); batches of 4 at 0.05 46.2, which is no difference yet. Of a
        searched network that had 43.5, 60 more steps left 39.5 at 0.1, 40.8 at 0.03 and 41.7 at 0.01.
        """
        return _PRETRAINED if pretrained else _FROM_NOTHING

    def criterion(self, data: Dataset, settings: LossSettings, device: torch.device) -> ObjectLoss:
        """Quality focal loss, GIoU and distributions; nothing of the settings has a meaning for it."""
        from hwnas.tasks.objectloss import ObjectLoss

        return ObjectLoss()

    def blindness(self, data: Dataset) -> tuple[float, float]:
        """Boxes beside all objects and scores that say nothing; and far more than that."""
        return _BLIND, _BLIND + _EXCESS

    def loss_sum(self, outputs: Answers, targets: torch.Tensor) -> torch.Tensor:
        """The loss of each image alone, summed."""
        import torch

        from hwnas.tasks.levels import places
        from hwnas.tasks.objectloss import object_loss

        found = places(outputs)
        each = [object_loss(found[n], targets[n : n + 1]) for n in range(len(targets))]
        return torch.stack(each).sum()

    def predictions(self, batches: Iterable[tuple[Answers, torch.Tensor]]) -> Detected:
        """Objects by scores and boxes of all levels, class by class without those that overlap."""
        return detected.predicted(batches)

    def shown(self, targets: NDArray[Any]) -> NDArray[np.int64]:
        """Objects of each class in each image, without crowds."""
        objects = matching.truths_of(targets)
        classes = 1 + max((int(rows[:, CLASS].max(initial=0)) for rows in objects), default=0)
        return np.array(
            [
                np.bincount(rows[rows[:, CROWD] == 0, CLASS].astype(int), minlength=classes)
                for rows in objects
            ],
            np.int64,
        )

    def guesses(self, targets: NDArray[Any]) -> tuple[float, float]:
        """Of the same boxes in all images."""
        objects = matching.truths_of(targets)
        found = detected.guessed(objects, self.shown(targets).shape[1])
        return found.value, found.interval[1]

    def fits(self, answer: tuple[Any, ...], labels: Sequence[str]) -> bool:
        """Whether an answer is a score for each label and four sides, level by level."""
        if len(answer) < 2 or len(answer) % 2 or any(not isinstance(each, tuple) for each in answer):
            return False
        pairs = zip(answer[::2], answer[1::2], strict=True)
        return all(
            scores[0] == len(labels) and boxes[0] % 4 == 0 and scores[1:] == boxes[1:]
            for scores, boxes in pairs
        )

    def judged(self, answers: tuple[NDArray[Any], ...]) -> Mapping[str, Mapping[int, NDArray[Any]]]:
        """The boxes of all levels, by the best score of each place: no other box is ever looked at.

        A level of a size that no object has learns no boxes at all, and what it says of them is noise.
        """
        chances = [1 / (1 + np.exp(-scores.max(axis=1, keepdims=True))) for scores in answers[::2]]
        return {"boxes": {2 * level + 1: chance for level, chance in enumerate(chances)}}

    def preprocessing(self, data: Dataset) -> dict[str, Any]:
        """Stretched, standardised; and how answers are read, with a colour for each class."""
        colours = zip(data.class_names, palette(data.num_classes + 1)[1:], strict=True)
        return {
            **super().preprocessing(data),
            "answer": {
                "what": "for each level, the finest first, logits of the classes, then sides of boxes",
                "read": _READ,
                "finest_stride": decoders.FINEST_OF_OBJECTS,
                "score_threshold": _THRESHOLD,
                "nms_iou": suppression.OVERLAP,
                "most_objects": suppression.MOST,
            },
            "classes": [{"name": name, "colour": list(colour)} for name, colour in colours],
        }

    def settled(self, look: Callable[[], Predictions]) -> Mapping[str, Any]:
        """The score from which on objects are found best at an IoU of 0.5, and how well."""
        threshold, f1 = _objects(look()).best_threshold
        return {"score_threshold": round(threshold - 5e-4, 3), "f1_on_validation": round(f1, 3)}

    @property
    def example(self) -> Example:
        """Prints class, score and box of each object, and draws the boxes."""
        return detection_example()

    def outcome(self, kept: Mapping[str, Any]) -> Matches:
        """What was found in every image, and what is there."""
        return Matches.of_kept(kept)

    def difference(self, first: Sequence[Outcome], second: Sequence[Outcome]) -> Difference:
        """Of mean average precisions, by images that are drawn in pairs."""
        return difference(first, second)

    def sized(self, outputs: int) -> str:
        """Classes of objects."""
        return f"{outputs} class{'' if outputs == 1 else 'es'} of objects"

    def remark(self, found: Mapping[str, Any]) -> str:
        """At an IoU of a half, and by size."""
        if "ap50" not in found:
            return ""
        low, high = found["ap50_interval"]
        sizes = (f"{value:.1%} {name}" for name, value in found["ap_by_size"].items() if value is not None)
        by_size = f"; mAP by size {', '.join(sizes)}" if any(found["ap_by_size"].values()) else ""
        return f"AP50 {found['ap50']:.1%} ({low:.1%} to {high:.1%}){by_size}"

    def told(self, found: Mapping[str, Any], mistakes: Mapping[str, Any] | None) -> Iterator[str]:
        """AP50, and the worst classes."""
        yield f"{self.remark(found)}, on {found['images']:,} images"
        if mistakes is not None:
            yield f"AP by class, the worst first: {findings.worst(found, mistakes['class_names'], _WORST)}"

    def mistakes(self, predictions: Predictions, data: Dataset, split: str) -> Mapping[str, Any]:
        """AP by class, and the best and worst images as pictures."""
        return findings.describe(_objects(predictions), data, split)

    def sections(self, mistakes: Mapping[str, Any]) -> Iterator[Section]:
        """What is found and what is not."""
        yield findings.section(mistakes)


def _objects(predictions: Predictions) -> Detected:
    if not isinstance(predictions, Detected):
        raise TypeError(f"predictions must be objects in images, but got {type(predictions).__name__}")
    return predictions
