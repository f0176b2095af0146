"""Classification: one class an image, cross-entropy, accuracy."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hwnas import data as images_of
from hwnas.statistics.answers import Answers, balanced_images
from hwnas.statistics.differences import Difference
from hwnas.statistics.intervals import beats_guessing, right_of
from hwnas.statistics.verdict import Verdict, on_learning
from hwnas.tasks import mistakes
from hwnas.tasks.base import ACCURACY, LossSettings, Outcome, Predictions, Score
from hwnas.tasks.named_classes import NamedClasses
from hwnas.tasks.right import Counted, Right, difference

if TYPE_CHECKING:
    import torch

    from hwnas.data import Dataset

_EXCESS = 5.0  # nats: the right class gets 1/150 of the chance that a blind answer gives it


@dataclass(frozen=True, eq=False)
class Classes(Counted):
    """The classes that a network takes images for.

    Attributes:
        labels: What they are, shape (n,).
        predicted: Their most likely class, shape (n,).
        confidence: Probability that it is given, shape (n,).
        loss: Cross-entropy of each in nats, shape (n,).
        classes: How many classes there are.
    """

    labels: NDArray[np.int64]
    predicted: NDArray[np.int64]
    confidence: NDArray[np.float64]
    loss: NDArray[np.float64]
    classes: int

    @cached_property
    def right(self) -> NDArray[np.bool_]:
        """Which images are taken for what they are, shape (n,)."""
        right: NDArray[np.bool_] = self.predicted == self.labels
        return right

    @cached_property
    def answers(self) -> Answers:
        """How often each class was answered for each class."""
        return Answers.of(self.labels, self.predicted, self.classes)

    @property
    def score(self) -> Score:
        """Accuracy, loss and balanced accuracy over all images."""
        recalls = [float(self.right[self.labels == label].mean()) for label in np.unique(self.labels)]
        return Score(float(self.right.mean()), float(self.loss.mean()), float(np.mean(recalls)))

    @property
    def learning(self) -> Verdict:
        """Whether the network knows more of the images than guessing does."""
        return on_learning(self.answers)

    @property
    def details(self) -> dict[str, Any]:
        """Right answers, and the balanced accuracy with its 95 % interval."""
        return {
            "right": self.answers.right,
            "balanced": self.answers.balanced,
            "balanced_interval": list(self.answers.balanced_interval),
            "is_uneven": self.answers.is_uneven,
        }

    def to_json(self) -> dict[str, Any]:
        """Accuracies with their 95 % intervals, recalls by class."""
        answers = self.answers
        return {
            "accuracy": answers.accuracy,
            "loss": float(self.loss.mean()),
            "images": answers.images,
            "interval": list(answers.interval),
            "balanced_accuracy": answers.balanced,
            "balanced_interval": list(answers.balanced_interval),
            "is_uneven": answers.is_uneven,
            "recalls": list(answers.recalls),
        }


@dataclass(frozen=True)
class CrossEntropy:
    """The loss of a training.

    Attributes:
        settings: Label smoothing, mixing, temperature.
        classes: Number of classes.
        weights: Of each class, shape (classes,), of mean 1 over the training images; None for equal ones.
    """

    settings: LossSettings
    classes: int
    weights: torch.Tensor | None = None

    def mixed(
        self, images: torch.Tensor, targets: torch.Tensor, rng: np.random.Generator
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Images mixed with each other, and how much of each class is in them, shape (n, classes)."""
        from hwnas.tasks.mix import mix

        mixup, cutmix = self.settings.mixup, self.settings.cutmix
        if not (mixup or cutmix):
            return images, targets
        return mix(images, targets, rng, classes=self.classes, mixup=mixup, cutmix=cutmix)

    def loss(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Mean over the images, each by the weight of its class; of a mixed one, of its classes."""
        from torch.nn import functional

        smoothing = self.settings.label_smoothing
        if self.weights is None:
            return functional.cross_entropy(outputs, targets, label_smoothing=smoothing)
        weights = self.weights[targets] if targets.ndim == 1 else targets @ self.weights
        each = functional.cross_entropy(outputs, targets, label_smoothing=smoothing, reduction="none")
        return (weights * each).mean()

    def distance(self, outputs: torch.Tensor, taught: torch.Tensor) -> torch.Tensor:
        """T² KL(teacher, student) of answers softened by T, mean over the batch (arXiv:1503.02531).

        The factor keeps the gradient's size independent of the temperature.
        """
        from torch.nn import functional

        temperature = self.settings.temperature
        student, teacher = (functional.log_softmax(answer / temperature, 1) for answer in (outputs, taught))
        return temperature**2 * functional.kl_div(student, teacher, reduction="batchmean", log_target=True)

    def total(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Images whose most likely class is the one that most of them shows."""
        labels = targets if targets.ndim == 1 else targets.argmax(1)
        return (outputs.argmax(1) == labels).sum()


class Classification(NamedClasses):
    """Images of one class each."""

    name = "classification"
    metric = ACCURACY

    def load(self, source: str, **options: Any) -> Dataset:
        """As ``data.load``."""
        return images_of.load(source, **options)

    def outputs(self, data: Dataset) -> int:
        """One logit a class."""
        return data.num_classes

    def criterion(self, data: Dataset, settings: LossSettings, device: torch.device) -> CrossEntropy:
        """Cross-entropy; with weights of the classes where they are asked for."""
        weights = weights_of(data, device) if settings.class_weights == "balanced" else None
        return CrossEntropy(settings, data.num_classes, weights)

    def blindness(self, data: Dataset) -> tuple[float, float]:
        """The same chance for every class, and five nats more: a network that is sure of wrong answers."""
        blind = math.log(data.num_classes)
        return blind, blind + _EXCESS

    def loss_sum(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Cross-entropy in nats."""
        from torch.nn import functional

        return functional.cross_entropy(outputs, targets, reduction="sum")

    def predictions(self, batches: Iterable[tuple[torch.Tensor, torch.Tensor]]) -> Classes:
        """Classes by logits of shape (n, classes); targets are of shape (n,)."""
        import torch
        from torch.nn import functional

        found, classes = [], 0
        for outputs, labels in batches:
            chances = functional.log_softmax(outputs, 1)
            loss = functional.nll_loss(chances, labels, reduction="none")
            found.append((labels, outputs.argmax(1), chances.amax(1).exp(), loss))
            classes = outputs.shape[1]
        known, predicted, confidence, each = (
            torch.cat(part).cpu().numpy() for part in zip(*found, strict=True)
        )
        return Classes(known, predicted, confidence.astype(np.float64), each.astype(np.float64), classes)

    def merit(self, score: Score, class_weights: str, counts: tuple[int, int] | None = None) -> float:
        """Accuracy, balanced where classes are weighed.

        Where the loss shall tell equals apart, it is lowered by less than one image makes, of whatever
        class.
        """
        images, classes = counts or (1, 1)
        less = (1 - math.exp(-score.loss)) / images if counts else 0.0
        if class_weights == "balanced" and score.balanced is not None:
            return max(0.0, score.balanced - less / classes)
        return max(0.0, score.value - less)

    def merit_name(self, class_weights: str) -> str:
        """Which accuracy."""
        return "balanced accuracy" if class_weights == "balanced" else "accuracy"

    def effective_images(self, targets: NDArray[Any], class_weights: str) -> int:
        """All of them; of balanced accuracy, the rarest class decides."""
        return balanced_images(targets) if class_weights == "balanced" else len(targets)

    def blind_search(
        self, merits: Iterable[float], targets: NDArray[Any], images: int, class_weights: str
    ) -> str | None:
        """Compares the mean accuracy with that of always naming one class."""
        counts, is_balanced = np.bincount(targets), class_weights == "balanced"
        guess = 1 / np.count_nonzero(counts) if is_balanced else float(counts.max() / counts.sum())
        mean = float(np.mean(list(merits)))
        is_better = beats_guessing(right_of(mean, images), images, guess)
        if is_better:
            return None
        facts = f"architectures are right in {mean:.1%} of the images on average, and always naming the "
        facts += f"commonest class in {guess:.1%}"
        if is_balanced:
            facts = f"the balanced accuracy of architectures is {mean:.1%} on average, and that of always "
            facts += f"naming one class {guess:.1%}"
        if is_better is None:
            text = f"{images} validation images cannot tell whether scores are better than guessing: {facts}"
            return f"{text}: give more images"
        text = f"scored blindly: {facts}, so that their order is chance"
        return f"{text}: train what scores them longer"

    def mistakes(self, predictions: Predictions, data: Dataset, split: str) -> Mapping[str, Any] | None:
        """Counts by class, and the surest mistakes as pictures."""
        if not isinstance(predictions, Classes):
            raise TypeError(f"mistakes must be of classes, but got {type(predictions).__name__}")
        found = predictions
        return mistakes.describe(found.labels, found.predicted, found.right, found.confidence, data, split)

    def outcome(self, kept: Mapping[str, Any]) -> Right:
        """Which images are right."""
        return Right.of_kept(kept)

    def difference(self, first: Sequence[Outcome], second: Sequence[Outcome]) -> Difference:
        """Of accuracies, by the images that only one has right."""
        return difference(first, second)


def weights_of(data: Dataset, device: torch.device) -> torch.Tensor:
    """Weights that make the training images of each class count the same together, shape (classes,)."""
    import torch

    counts = np.bincount(data.train.labels, minlength=data.num_classes)
    balanced = len(data.train) / (np.count_nonzero(counts) * np.maximum(counts, 1))
    return torch.from_numpy(balanced).to(device, torch.float32)
