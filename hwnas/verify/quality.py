"""What is known of how good shipped files are: looked at now, or by the verification before."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hwnas import runtimes, tasks
from hwnas.release import Manifest, ShippedModel
from hwnas.statistics.verdict import Verdict
from hwnas.tasks import Task
from hwnas.tasks.base import Estimate, Predictions
from hwnas.verify import checks, folder
from hwnas.verify.folder import CheckedFolder

if TYPE_CHECKING:
    from hwnas.data import Dataset, Split

LEARNING = "learning"


@dataclass(frozen=True)
class Known:
    """What is known of a file on the test split.

    Attributes:
        value: Of the task's metric; None for nothing.
        estimate: What that is made of.
        loss: By how much PyTorch is better.
        checks: The verdicts on it.
    """

    value: float | None = None
    estimate: Estimate | None = None
    loss: float | None = None
    checks: Mapping[str, Verdict] = field(default_factory=dict)

    @classmethod
    def of(cls, predicted: Predictions, of_pytorch: float, precision: str, task: Task) -> Known:
        """From what a file says of the test split."""
        metric, found = task.metric, Estimate.of(predicted)
        verdicts = {
            metric.key: checks.quality(found, of_pytorch, precision, task),
            LEARNING: predicted.learning,
        }
        loss = metric.better(of_pytorch) - metric.better(found.value)
        return cls(found.value, found, loss, verdicts)


class Earlier:
    """What the verifications before this one, of the very same files, found of how good they are.

    Where there is none, what training found is all that is known of what was learned.
    """

    def __init__(self, manifest: Manifest) -> None:
        latest_first = sorted(manifest.verifications, key=lambda v: v.verified, reverse=True)
        self._found = [found for found in latest_first if any(v.value is not None for v in found.variants)]
        self._trained = {} if manifest.learning is None else {LEARNING: manifest.learning}

    def of(self, file: str) -> Known:
        """What is known of a file."""
        for found, item in ((v, item) for v in self._found for item in v.variants):
            if item.file == file and item.value is not None:
                names = (found.metric.key, LEARNING)
                kept = {name: item.checks[name] for name in names if name in item.checks}
                return Known(item.value, item.estimate, item.loss, kept or self._trained)
        return Known(checks=self._trained)

    @property
    def when(self) -> str | None:
        """When the images were looked at; None where they were not."""
        return (self._found[0].verified or "an earlier version") if self._found else None


def predictions(checked: CheckedFolder, model: ShippedModel, split: Split) -> Predictions:
    """What a file says of images, through its own runtime."""
    answer = runtimes.opened(checked.path / model.file, model.runtime)
    return tasks.predictions(
        checked.task, lambda images: answer(folder.normalized(checked.preprocessing, images)), split
    )


@dataclass(frozen=True)
class FileQuality:
    """What a file says of images, wherever it will run.

    Attributes:
        known: On the test split.
        further: On a further test set; None where none was given.
        checks: The verdicts on what is of no device.
    """

    known: Known
    further: Estimate | None
    checks: Mapping[str, Verdict]


def qualities(
    checked: CheckedFolder,
    dataset: Dataset | None,
    further: tuple[str, Split] | None,
    wrong: Mapping[str, tuple[str, ...]],
    on_step: Callable[[str], None],
) -> dict[str, FileQuality]:
    """Each file on the images, once for all devices."""
    earlier, metric, found = Earlier(checked.manifest), checked.task.metric, {}
    for model in checked.manifest.models:
        file = model.file
        known, verdicts = earlier.of(file), {"answers": checks.answers(wrong[file])}
        if dataset is not None:
            on_step(f"{metric.name} of {file}")
            own = predictions(checked, model, dataset.test)
            known = Known.of(own, checked.manifest.test_value, model.precision, checked.task)
        beside = None
        if further is not None:
            on_step(f"{metric.name} of {file} on {further[0]}")
            other = predictions(checked, model, further[1])
            beside = Estimate.of(other)
            verdicts[f"learning, on {further[0]}"] = other.learning
        found[file] = FileQuality(known, beside, verdicts)
    return found
