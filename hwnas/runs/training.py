"""``train.json``: how the network of a run was trained, and what it came to.

Written by the training through this class, and read through it, whichever version wrote.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from hwnas.runs.parts import DATA, METRIC, as_written, metric_of
from hwnas.shapes import COUNT, NONE, SHARE, SIZE, SOME, Items, Shape, require
from hwnas.statistics.metric import ACCURACY, Metric
from hwnas.statistics.verdict import Verdict

SCHEMA = "hwnas-train/1"
SEED = "seed"
"""Where random first weights come from."""
TRAIN = "the record of training"
_SHAPE = {
    "config": {
        "epochs?": (SOME, NONE),
        "batch_size?": (SOME, NONE),
        "learning_rate?": SIZE,
        "seed?": COUNT,
        "distill_weight?": SHARE,
    },
    "data": DATA,
    "metric?": METRIC,
    "seconds": SIZE,
    "history": [{"epoch": SOME, "seconds?": SIZE}],
    "kept?": {"epoch": SOME},
    "start?": dict,
    "weights_sha256?": str,
}


@dataclass(frozen=True)
class TrainingRecord:
    """How the network of a run was trained, and what it came to by a metric.

    Attributes:
        config: Settings, as ``TrainConfig`` has them.
        data: What ``Dataset.describe`` said.
        seconds: Wall time of all epochs.
        history: One object an epoch, as ``EpochRecord.to_json`` says.
        val_value: The metric on the validation split.
        test_value: On the test split.
        metric: What networks of the task are judged by.
        architecture: Name of the network; empty where an older file does not say.
        val: What else is known of the validation split, as the task says; empty in older files.
        test: The same of the test split.
        kept: Which weights stayed: ``epoch`` and ``recalibrated``; None in older files.
        start: Where the first weights came from.
        teacher: Who taught it; None for nobody.
        rising: By how much the metric still got better at the end; None where it did not.
        learnt: Whether it knows more than guessing; None where the images cannot tell.
        learning: The verdict on that; None in older files.
        weights_sha256: Hash of the weights; None in older files.
        schema: Of the file.
    """

    config: Mapping[str, Any]
    data: Mapping[str, Any]
    seconds: float
    history: tuple[Mapping[str, Any], ...]
    val_value: float
    test_value: float
    metric: Metric = ACCURACY
    architecture: str = ""
    val: Mapping[str, Any] = field(default_factory=dict)
    test: Mapping[str, Any] = field(default_factory=dict)
    kept: Mapping[str, Any] | None = None
    start: Mapping[str, Any] = field(default_factory=lambda: {"from": SEED})
    teacher: Mapping[str, Any] | None = None
    rising: float | None = None
    learnt: bool | None = True
    learning: Verdict | None = None
    weights_sha256: str | None = None
    schema: str = SCHEMA

    @property
    def test_images(self) -> int | None:
        """How many images the test split has; None where an older file does not say."""
        found = self.data.get("images", {}).get("test")
        return None if found is None else int(found)

    @property
    def began_with(self) -> Mapping[str, Any] | None:
        """Weights that others had trained, through all that was learnt from since; None for none."""
        if "began_with" in self.start:
            found: Mapping[str, Any] = self.start["began_with"]
            return found
        return self.start if "licence" in self.start else None

    def to_json(self) -> dict[str, Any]:
        """A JSON object; the metric goes by its own name."""
        key = self.metric.key
        told = {
            "schema": self.schema,
            "architecture": self.architecture,
            "data": dict(self.data),
            "config": dict(self.config),
            "history": list(self.history),
            "val": dict(self.val),
            "kept": self.kept,
            "seconds": self.seconds,
            "start": dict(self.start),
            "teacher": self.teacher,
            "metric": asdict(self.metric),
            "rising": self.rising,
            f"val_{key}": self.val_value,
            "learnt": self.learnt,
            "learning": None if self.learning is None else self.learning.to_json(),
            f"test_{key}": self.test_value,
            "test": dict(self.test),
            "weights_sha256": self.weights_sha256,
        }
        return {name: value for name, value in told.items() if value is not None or name in _OPEN}

    @classmethod
    def from_json(cls, data: Any, path: Path, remedy: str) -> TrainingRecord:
        """Rebuild what ``to_json`` wrote, or an earlier version.

        Args:
            data: The content of the file.
            path: Of the file, for messages.
            remedy: What makes it anew: the end of a sentence.

        Raises:
            SchemaMismatch: It does not hold what it must.
        """
        require(data, _SHAPE, TRAIN, path, remedy)
        metric = metric_of(data)
        require(data, _outcome(metric), TRAIN, path, remedy)
        learning = data.get("learning")
        plain = ("val", "test", "start", "architecture", "schema")
        with as_written(TRAIN, path, remedy, "train"):
            return cls(
                config=data["config"],
                data=data["data"],
                seconds=data["seconds"],
                history=tuple(data["history"]),
                val_value=data[f"val_{metric.key}"],
                test_value=data[f"test_{metric.key}"],
                metric=metric,
                kept=data.get("kept"),
                teacher=data.get("teacher"),
                rising=data.get("rising"),
                learnt=data.get("learnt", True),
                learning=None if learning is None else Verdict.from_json(learning),
                weights_sha256=data.get("weights_sha256"),
                **{name: data[name] for name in plain if data.get(name) is not None},
            )


_OPEN = ("rising", "learnt")  # null says something there


def _outcome(metric: Metric) -> Shape:
    """What a training came to, by the name of the metric."""
    key = metric.key
    value: Shape = SHARE if metric.is_share else float
    outcome = {
        f"{key}?": value,
        f"balanced_{key}?": (value, NONE),
        "loss?": SIZE,
        "images?": COUNT,
        "interval?": Items(value, 2, 2),
        "balanced_interval?": Items(value, 2, 2),
        "recalls?": [(SHARE, NONE)],
        "ious?": [(SHARE, NONE)],
        "iou_intervals?": [Items(SHARE, 2, 2)],
        "boundary_f?": SHARE,
        "boundary_interval?": Items(SHARE, 2, 2),
        "boundary_tolerance?": SOME,
    }
    return {
        f"test_{key}": value,
        f"val_{key}": value,
        "history": [{f"{key}?": value, f"val_{key}?": value}],
        "val?": outcome,
        "test?": outcome,
    }


def named_by(origin: Mapping[str, Any]) -> str:
    """What ``--from`` takes for the same weights: their source, or the network that they were cut to.

    A decoder stands behind the source as it stood behind the network; that of a run is its own. Random
    weights have the name of the network.
    """
    if "narrowed_from" in origin or origin.get("from", SEED) == SEED:
        return str(origin.get("network", "NETWORK"))
    source = str(origin["from"])
    _, plus, rest = str(origin.get("network", "")).partition("+")
    return source if source.startswith("run:") else source + plus + rest.partition("-")[0]
