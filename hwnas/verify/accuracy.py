"""What is known of the accuracy of shipped files: looked at now, or by the verification before."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from hwnas import runtimes
from hwnas.release.verification import Accuracy, Verification
from hwnas.statistics import verdict
from hwnas.statistics.answers import Answers
from hwnas.statistics.verdict import Verdict
from hwnas.verify import checks, folder
from hwnas.verify.folder import Folder

if TYPE_CHECKING:
    from hwnas.data import Split

ACCURACY, LEARNING = "accuracy", "learning"


@dataclass(frozen=True)
class Known:
    """What is known of a file's accuracy on the test split.

    Attributes:
        value: In [0, 1]; None for nothing.
        accuracy: What that is made of.
        loss: PyTorch's minus it.
        checks: The verdicts on it.
    """

    value: float | None = None
    accuracy: Accuracy | None = None
    loss: float | None = None
    checks: Mapping[str, Verdict] = field(default_factory=dict)

    @classmethod
    def of(cls, answered: Answers, manifest: Mapping[str, Any], precision: str) -> Known:
        """From answers to the test split."""
        found, of_pytorch = Accuracy.of(answered), manifest["test_accuracy_pytorch"]
        judged = {
            ACCURACY: checks.accuracy(found, of_pytorch, precision),
            LEARNING: verdict.on_learning(answered),
        }
        return cls(found.value, found, of_pytorch - found.value, judged)


class Earlier:
    """What the verification before this one, of the very same files, found of their accuracy.

    Where there is none, what training found is all that is known of what was learned.
    """

    def __init__(self, manifest: Mapping[str, Any]) -> None:
        recorded = manifest.get("verification")
        self._found = None if recorded is None else Verification.from_json(recorded)
        learning = manifest.get("learning")
        self._trained = {} if learning is None else {LEARNING: Verdict.from_json(learning)}

    def of(self, file: str) -> Known:
        """What is known of a file."""
        for item in self._found.variants if self._found else ():
            if item.file == file and item.test_accuracy is not None:
                kept = {name: item.checks[name] for name in (ACCURACY, LEARNING) if name in item.checks}
                return Known(item.test_accuracy, item.accuracy, item.accuracy_loss, kept or self._trained)
        return Known(checks=self._trained)

    @property
    def when(self) -> str | None:
        """When the accuracies were found; None where there are none."""
        known = self._found and any(item.test_accuracy is not None for item in self._found.variants)
        return (self._found.verified or "an earlier version") if self._found and known else None


def answers(checked: Folder, entry: Mapping[str, Any], split: Split) -> Answers:
    """What a file answers to images, through its own runtime."""
    logits = runtimes.run(
        checked.path / entry["file"], entry["runtime"], folder.normalized(checked.preprocessing, split.images)
    )
    return Answers.of(split.labels, logits.argmax(axis=1), len(checked.labels))
