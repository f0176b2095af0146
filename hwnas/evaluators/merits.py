"""What the scores of an evaluator are, and how two of them compare."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hwnas.tasks import Task


class Merits(Protocol):
    """What scores in [0, 1] are, higher being better."""

    @property
    def name(self) -> str:
        """In words, for example "balanced accuracy"."""

    @property
    def key(self) -> str:
        """In records: "accuracy", or of anything else "quality"."""

    @property
    def images(self) -> int | None:
        """As many images as a score is as certain as; None where it is not of answers to images."""

    def interval(self, merit: float, /) -> tuple[float, float] | None:
        """95 % interval of one, for so many images; None where they do not say it."""

    def is_clearly_worse(self, one: float, other: float, /) -> bool:
        """Whether one is below another by more than a chance of 5 % explains."""

    def blindness(self, merits: Sequence[float], targets: NDArray[Any], /) -> str | None:
        """An alarm where all are no better than guessing, or images cannot tell.

        Args:
            merits: Of all networks that were scored.
            targets: Of the validation split.
        """


@dataclass(frozen=True)
class OfAnswers:
    """Scores of what networks answer to validation images.

    Attributes:
        task: What they are asked.
        class_weights: As of ``tasks.base.LossSettings``.
        images: As many images as a score is as certain as.
        called: What records call them, if not as the task does.
    """

    task: Task
    class_weights: str
    images: int
    called: str | None = None

    @property
    def name(self) -> str:
        """As the task calls it."""
        return self.task.merit_name(self.class_weights)

    @property
    def key(self) -> str:
        """As the task calls it in records."""
        return self.called or self.task.metric.score_key

    def interval(self, merit: float) -> tuple[float, float] | None:
        """As the task says."""
        return self.task.merit_interval(merit, self.images)

    def is_clearly_worse(self, one: float, other: float) -> bool:
        """As the task says."""
        return self.task.is_clearly_worse(one, other, self.images)

    def blindness(self, merits: Sequence[float], targets: NDArray[Any]) -> str | None:
        """As the task says."""
        return self.task.blind_search(merits, targets, self.images, self.class_weights)


@dataclass(frozen=True)
class OfMeasure:
    """Scores of something that is known exactly and is not what networks answer.

    Attributes:
        name: In words.
        key: What the scores are called in records.
        images: None: no number of images makes them as certain.
    """

    name: str
    key: str = "quality"
    images: None = None

    def interval(self, merit: float) -> None:
        """None: images do not make it uncertain, and what it is worth nobody knows."""

    def is_clearly_worse(self, one: float, other: float) -> bool:
        """Whether it is less: asking again would say the same."""
        return one < other

    def blindness(self, merits: Sequence[float], targets: NDArray[Any]) -> None:
        """None: nobody guesses."""
