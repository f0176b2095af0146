"""What a task must say of itself, and the few types that it says it with. Free of torch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from hwnas.statistics.metric import ACCURACY, Metric
from hwnas.tasks.recipes import Usual
from hwnas.tasks.sections import Section

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray

    from hwnas.blocks.wired import Value
    from hwnas.data import Dataset, Split
    from hwnas.statistics.differences import Difference
    from hwnas.statistics.verdict import Verdict


@dataclass(frozen=True)
class Score:
    """How well a network does on images.

    Attributes:
        value: Of the task's metric.
        loss: Mean of the task's plain loss.
        balanced: The metric with every class counting the same; None where it was not looked at, or
            where there are no classes.
        certainty: How many right or wrong answers a share of this value would be as certain on; None where
            it is not known, or those are the images.
    """

    value: float
    loss: float
    balanced: float | None = None
    certainty: int | None = field(default=None, compare=False)

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
    """What a training minimises, on one device.

    Outputs are float32, the first axis counts images; of networks with several they are a tuple.
    """

    def mixed(
        self, images: torch.Tensor, targets: torch.Tensor, rng: np.random.Generator
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """A batch as it is learnt from: images mixed with each other, and what they then show."""

    def loss(self, outputs: Value, targets: torch.Tensor) -> torch.Tensor:
        """Mean over the images of what ``mixed`` gave, a scalar."""

    def distance(self, outputs: Value, taught: Value) -> torch.Tensor:
        """Mean distance from a teacher's answers, a scalar."""

    def total(self, outputs: Value, targets: torch.Tensor) -> torch.Tensor:
        """The metric summed over the images of what ``mixed`` gave, a scalar."""


class Outcome(Protocol):
    """How well a network does on images, as far as comparisons with others on the same images need it."""

    @property
    def images(self) -> int:
        """How many images."""

    @property
    def value(self) -> float:
        """Of the task's metric."""

    @property
    def interval(self) -> tuple[float, float]:
        """95 % interval of it."""

    def kept(self) -> dict[str, Any]:
        """A JSON object that ``Task.outcome`` reads."""


class Predictions(Outcome, Protocol):
    """What a network predicts for images of which the truth is known."""

    @property
    def score(self) -> Score:
        """What they come to."""

    @property
    def learning(self) -> Verdict:
        """Whether the network knows more of the images than an answer that does not look at them."""

    @property
    def details(self) -> dict[str, Any]:
        """What else of them a verification records, as JSON."""

    def to_json(self) -> dict[str, Any]:
        """What a training records: the score by the metric's name, images, intervals, what else is known."""


@dataclass(frozen=True)
class Estimate:
    """How well a file does through its own runtime, as a verification records it.

    Attributes:
        images: How many were answered.
        value: Of the metric.
        interval: Of it, 95 %.
        details: What else the task knows of the answers.
    """

    images: int
    value: float
    interval: tuple[float, float]
    details: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, found: Predictions) -> Estimate:
        """What predictions come to."""
        return cls(found.images, found.value, found.interval, found.details)

    def to_json(self) -> dict[str, Any]:
        """A JSON object."""
        own = {"images": self.images, "value": self.value, "interval": list(self.interval)}
        return {**own, **self.details}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Estimate:
        """Rebuild what ``to_json`` wrote."""
        low, high = data["interval"]
        details = {name: value for name, value in data.items() if name not in cls.__dataclass_fields__}
        return cls(data["images"], data["value"], (low, high), details)


COVERING = '''\
def fitted(picture):
    """Scaled until it covers what the model reads, its centre cut out."""
    return ImageOps.fit(picture, size, Image.Resampling.BILINEAR)


'''
STRETCHING = '''\
def fitted(picture):
    """Stretched to what the model reads."""
    return picture.resize(size, Image.Resampling.BILINEAR)


'''


@dataclass(frozen=True)
class Example:
    """What a task adds to the programs of inference that ship, and to their folder.

    Attributes:
        functions: Lines of Python that define three functions, which ``hwnas verify`` times as well, and read
            what these need of ``folder``, where the program is, and of ``how``, its preprocessing:
            ``fitted(picture)`` is a picture in RGB as one of ``size``, width and height (``COVERING`` and
            ``STRETCHING`` are two such); ``read(answers, width, height)`` is what is read of answers to a
            picture of that size, floats with channels first, of several outputs a list of them;
            ``show(found, picture, name)`` prints what was read of a picture.
        files: Further files of the shipping folder, by name, as programs for phones.
    """

    functions: str
    files: Mapping[str, str] = field(default_factory=dict)


class Task(Protocol):
    """What networks are trained for.

    Attributes:
        name: Its key in ``tasks.TASKS``.
        metric: What predictions are judged by.
        takes_auxiliary: Whether features can answer for themselves in training.
    """

    @property
    def name(self) -> str:
        """Its key in ``tasks.TASKS``."""

    @property
    def metric(self) -> Metric:
        """What predictions are judged by."""

    @property
    def takes_auxiliary(self) -> bool:
        """Whether features can answer for themselves in training, by a 1x1 convolution.

        The loss then takes such answers of any height and width in the place of the network's own.
        """

    def load(self, source: str, **options: Any) -> Dataset:
        """Read images; options as of ``data.load``."""

    def outputs(self, data: Dataset) -> int:
        """How many channels the head of a network must have for these images."""

    def network(self, name: str) -> str:
        """What a known network of a name is called with what this task puts in the place of its classifier.

        Raises:
            SpaceError: There stands something else already.
        """

    def usual(self, *, pretrained: bool) -> Usual:
        """What a training does where nothing is said.

        Args:
            pretrained: Whether the network begins with weights that know pictures already.
        """

    def criterion(self, data: Dataset, settings: LossSettings, device: torch.device) -> Criterion:
        """What a training on these images minimises."""

    def blindness(self, data: Dataset) -> tuple[float, float]:
        """The loss of answers that do not look at the image, and what only a broken network stays above."""

    def loss_sum(self, outputs: Value, targets: torch.Tensor) -> torch.Tensor:
        """The plain loss summed over images, a scalar."""

    def predictions(self, batches: Iterable[tuple[Value, torch.Tensor]]) -> Predictions:
        """What outputs, float32, say of images, with their targets; batch by batch."""

    def least_gain(self, value: float, images: int) -> float:
        """By how much a metric of about this value must change on so many images to have changed."""

    def merit(self, score: Score, class_weights: str, counts: tuple[int, int] | None = None) -> float:
        """What searches rank networks by: in [0, 1], higher is better.

        Args:
            score: On validation images.
            class_weights: As of ``LossSettings``.
            counts: How many images those are, and how many outputs the network has, where the loss shall
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

    def labels(self, data: Dataset) -> tuple[str, ...]:
        """The lines of ``labels.txt``: what is needed to read answers, one line of text each."""

    def fits(self, answer: tuple[Any, ...], labels: Sequence[str]) -> bool:
        """Whether an answer of this shape, to one image, can be read by these labels.

        Args:
            answer: Of several outputs, a tuple of shapes.
            labels: As of ``labels``.
        """

    def judged(self, answers: tuple[NDArray[Any], ...]) -> Mapping[str, Mapping[int, NDArray[Any]]]:
        """Outputs that rounding to whole numbers is judged of together, as of ``parity.Judged``.

        Args:
            answers: Of the network in fp32. Those that are not named are judged each alone.
        """

    def preprocessing(self, data: Dataset) -> Mapping[str, Any]:
        """How a picture becomes what networks are fed, as JSON; with ``scale``, ``mean`` and ``std``."""

    def settled(self, look: Callable[[], Predictions]) -> Mapping[str, Any]:
        """What validation images say of how to read answers, for ``answer`` of preprocessing; may be empty.

        Args:
            look: Gives what the trained network says of them.
        """

    @property
    def example(self) -> Example:
        """What the examples that ship do with answers."""

    def sample(self, data: Dataset, split: str, count: int) -> Split:
        """Random images that stand for a split, all where there are fewer.

        They set int8 ranges, and models are compared with PyTorch on them.
        """

    def load_test(self, source: str, resolution: int, labels: Sequence[str]) -> Split:
        """Images to test a trained network on that has these labels.

        Raises:
            DataError: They cannot be read, or are not for this network.
        """

    def outcome(self, kept: Mapping[str, Any]) -> Outcome:
        """What ``Outcome.kept`` wrote; raises DataError where it is damaged."""

    def difference(self, first: Sequence[Outcome], second: Sequence[Outcome]) -> Difference:
        """By how much one network is better than another, one outcome a training, on the same images."""

    def least_loss(self, loss: float, found: Estimate) -> float:
        """The least that is lost with 95 % where so much of the metric is, on the same images."""

    def merit_interval(self, merit: float, images: int) -> tuple[float, float] | None:
        """95 % interval of a merit on so many images; None where the images do not say it."""

    def fineness(self, images: int) -> str:
        """How fine a difference so many test images can show, a sentence; empty where it is not known."""

    def sized(self, outputs: int) -> str:
        """What so many outputs of a network are, in words."""

    def stated(self, value: float, images: int, split: str) -> str:
        """In words, how well a network does on the images of a split."""

    def remark(self, found: Mapping[str, Any]) -> str:
        """What is to be said beside the metric, of ``Predictions.to_json`` or ``details``; may be empty."""

    def told(self, found: Mapping[str, Any], mistakes: Mapping[str, Any] | None) -> Iterator[str]:
        """Further lines on a training: of ``Predictions.to_json``, and what ``mistakes`` kept."""

    def sections(self, mistakes: Mapping[str, Any]) -> Iterator[Section]:
        """The task's own sections of the report, from what ``mistakes`` kept."""


__all__ = [
    "ACCURACY",
    "Criterion",
    "Estimate",
    "Example",
    "LossSettings",
    "Metric",
    "Outcome",
    "Predictions",
    "Score",
    "Section",
    "Task",
]
