"""What a task must say of itself, and the few types that it says it with. Free of torch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch

    from hwnas.data import Dataset
    from hwnas.statistics.differences import Difference
    from hwnas.statistics.verdict import Verdict


@dataclass(frozen=True)
class Metric:
    """What predictions are judged by.

    Attributes:
        name: In words, for example "accuracy".
        is_higher_better: Whether more of it is better.
        is_share: Whether it lies in [0, 1] and is told in percent.
    """

    name: str
    is_higher_better: bool
    is_share: bool

    @property
    def key(self) -> str:
        """Its name in records."""
        return self.name.replace(" ", "_")

    def text(self, value: float, decimals: int = 1) -> str:
        """A value for people; decimals of a share in percent, four digits of another."""
        return f"{value:.{decimals}%}" if self.is_share else f"{value:.4g}"

    def better(self, value: float) -> float:
        """The value with the sign that makes more better."""
        return value if self.is_higher_better else -value


ACCURACY = Metric("accuracy", is_higher_better=True, is_share=True)
"""What records that name no metric are of."""


@dataclass(frozen=True)
class Score:
    """How well a network does on images.

    Attributes:
        value: Of the task's metric.
        loss: Mean of the task's plain loss.
        balanced: The metric with every class counting the same; None where it was not looked at, or
            where there are no classes.
    """

    value: float
    loss: float
    balanced: float | None = None

    def to_json(self, metric: Metric) -> dict[str, Any]:
        """A JSON object; the metric goes by its own name."""
        return {metric.key: self.value, "loss": self.loss, f"balanced_{metric.key}": self.balanced}


@dataclass(frozen=True)
class LossSettings:
    """How a loss is shaped; a task takes what has a meaning for it.

    Attributes:
        label_smoothing: Share of a target that is spread over all classes.
        mixup: Alpha of mixup; 0 is off.
        cutmix: Alpha of CutMix; 0 is off.
        temperature: That answers are softened by before they are compared with a teacher's.
        class_weights: "balanced" gives every class the same weight, "none" counts images.
    """

    label_smoothing: float = 0.0
    mixup: float = 0.0
    cutmix: float = 0.0
    temperature: float = 4.0
    class_weights: str = "none"


class Criterion(Protocol):
    """What a training minimises, on one device. Outputs are float32, the first axis counts images."""

    def mixed(
        self, images: torch.Tensor, targets: torch.Tensor, rng: np.random.Generator
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """A batch as it is learnt from: images mixed with each other, and what they then show."""

    def loss(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Mean over the images of what ``mixed`` gave, a scalar."""

    def distance(self, outputs: torch.Tensor, taught: torch.Tensor) -> torch.Tensor:
        """Mean distance from a teacher's answers, a scalar."""

    def total(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """The metric summed over the images of what ``mixed`` gave, a scalar."""


class Predictions(Protocol):
    """What a network predicts for images of which the truth is known."""

    @property
    def images(self) -> int:
        """How many images."""

    @property
    def score(self) -> Score:
        """What they come to."""

    @property
    def interval(self) -> tuple[float, float]:
        """95 % interval of the metric."""

    @property
    def learning(self) -> Verdict:
        """Whether the network knows more of the images than an answer that does not look at them."""

    def gain(self, other: Predictions) -> Difference:
        """By how much these are better than others of the same images; positive is better."""

    def to_json(self) -> dict[str, Any]:
        """A JSON object: the score by the metric's name, images, intervals, what else the task knows."""


class Task(Protocol):
    """What networks are trained for.

    Attributes:
        name: Its key in ``tasks.TASKS``.
        metric: What predictions are judged by.
    """

    @property
    def name(self) -> str:
        """Its key in ``tasks.TASKS``."""

    @property
    def metric(self) -> Metric:
        """What predictions are judged by."""

    def load(self, source: str, **options: Any) -> Dataset:
        """Read images; options as of ``data.load``."""

    def outputs(self, data: Dataset) -> int:
        """How many channels the head of a network must have for these images."""

    def criterion(self, data: Dataset, settings: LossSettings, device: torch.device) -> Criterion:
        """What a training on these images minimises."""

    def blindness(self, data: Dataset) -> tuple[float, float]:
        """The loss of answers that do not look at the image, and what only a broken network stays above."""

    def loss_sum(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """The plain loss summed over images, a scalar."""

    def predictions(self, batches: Iterable[tuple[torch.Tensor, torch.Tensor]]) -> Predictions:
        """What outputs, float32, say of images, with their targets; batch by batch."""

    def least_gain(self, value: float, images: int) -> float:
        """By how much a metric of about this value must change on so many images to have changed."""

    def merit(self, score: Score, class_weights: str, few: tuple[int, int] | None = None) -> float:
        """What searches rank networks by: in [0, 1], higher is better.

        Args:
            score: On validation images.
            class_weights: As of ``LossSettings``.
            few: How many images those are, and how many outputs the network has, where the loss shall
                tell equals apart.
        """

    def merit_name(self, class_weights: str) -> str:
        """What ``merit`` is called."""

    def effective_images(self, targets: NDArray[Any], class_weights: str) -> int:
        """As many images as a merit on images with these targets is as certain as."""

    def blind_search(
        self, merits: Iterable[float], targets: NDArray[Any], images: int, class_weights: str
    ) -> str | None:
        """An alarm where merits are no better than those of guessing, or the images cannot tell.

        Args:
            merits: Of all networks that were scored.
            targets: Of the validation split.
            images: What ``effective_images`` said.
            class_weights: As of ``LossSettings``.
        """

    def is_clearly_worse(self, one: float, other: float, images: int) -> bool:
        """Whether one merit is below another by more than a chance of 5 % explains."""

    def mistakes(self, predictions: Predictions, data: Dataset, split: str) -> Mapping[str, Any] | None:
        """What is worth keeping of single images, as JSON; None for nothing."""
