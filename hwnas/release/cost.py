"""What int8 costs: part of the verdict on an export, on validation images.

Answers may agree with PyTorch's to many decibels and still be worth less where classes are close,
so what they are worth is compared, on the same images.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hwnas import tasks
from hwnas.errors import ExportError
from hwnas.release.images import predicted, predicted_by
from hwnas.statistics.differences import Difference

if TYPE_CHECKING:
    from torch import nn

    from hwnas.data import Dataset
    from hwnas.tasks import Task

WORTH_SAYING = 0.01
"""A larger drop is said; a part of 1 for a share, of the fp32 value for another metric."""

MOST = 0.05
"""A larger one is an error, unless more is allowed."""

_IMAGES = 2000


@dataclass(frozen=True)
class Int8Cost:
    """By how much an int8 model is worse than the network in PyTorch, on the same validation images.

    Attributes:
        runtime: What ran the model.
        task: What the network is for.
        fp32: Its metric in PyTorch.
        int8: That of the model.
        difference: By how much PyTorch is better.
    """

    runtime: str
    task: Task
    fp32: float
    int8: float
    difference: Difference

    @property
    def drop(self) -> float:
        """What is lost, in the unit of limits: of accuracy in [-1, 1]."""
        return self._limited(self.difference.mean)

    @property
    def interval(self) -> tuple[float, float]:
        """95 % interval of the drop."""
        low, high = self.difference.interval
        return self._limited(low), self._limited(high)

    def _limited(self, gap: float) -> float:
        return self.task.metric.limited(gap, self.fp32)

    @property
    def is_harmful(self) -> bool:
        """Whether more is lost than need not be said."""
        return self.drop > WORTH_SAYING and self.difference.is_real

    @property
    def said(self) -> str:
        """One sentence: what is lost, what the images can tell of it, and what to do."""
        task, metric, found = self.task, self.task.metric, self.difference
        low, high = map(metric.gap, found.interval)
        text = (
            f"int8 through {self.runtime}: {task.stated(self.int8, found.images, 'validation')}, "
            f"{metric.text(self.fp32)} in fp32: {'a drop of' if metric.is_higher_better else 'worse by'} "
            f"{metric.gap(found.mean)}{metric.unit} "
            f"(95 %: {low} to {high})"
        )
        if self.is_harmful:
            return f"{text}: fine-tune it with --qat-if-worse 0.01, or give more --calibration-images"
        if self.interval[1] > WORTH_SAYING:
            least = f"{WORTH_SAYING * 100:g} {'point' if metric.is_share else '%'}"
            return f"{text}; {found.images:,} images cannot tell whether {least} is lost"
        return text

    def to_json(self) -> dict[str, Any]:
        """A JSON object; of accuracy with the images that only one of both has right."""
        found = self.difference
        swaps = {} if found.gained is None else {"gained": found.lost, "lost": found.gained}
        return {
            "runtime": self.runtime,
            "images": found.images,
            "fp32": self.fp32,
            "int8": self.int8,
            **swaps,
            "drop": self.drop,
            "interval": list(self.interval),
            "said": self.said,
        }


def of_models(
    module: nn.Module, dataset: Dataset, models: Mapping[str, bytes], most: float = MOST
) -> list[Int8Cost]:
    """Compare int8 models with the network in fp32.

    Args:
        module: The network as it was trained.
        dataset: Its validation split is looked at, at most 2,000 images of it.
        models: int8 models by the runtime that runs them.
        most: Largest drop that is accepted: a part of 1 for a share, of the fp32 value for another metric.

    Raises:
        ExportError: Some model loses more, and that is no chance.
    """
    task = tasks.of(dataset)
    split = task.sample(dataset, "val", _IMAGES)
    exact = predicted(module, dataset, split)
    found = []
    for name, model in models.items():
        rounded = predicted_by(model, name, dataset, split)
        difference = task.difference([exact], [rounded])
        found.append(Int8Cost(name, task, exact.value, rounded.value, difference))
    for cost in found:
        if cost.drop > most and cost.difference.is_real:
            raise ExportError(
                f"int8 must lose at most {task.metric.limit(most)}, but {cost.said}; "
                f"--int8-drop {_up(cost.drop)} accepts it"
            )
    return found


def _up(share: float) -> str:
    """A bound that is not below the share when it is typed."""
    return f"{np.ceil(share * 100) / 100:.2f}"
