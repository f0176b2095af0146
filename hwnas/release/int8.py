"""int8 as an equal: what rounding costs a trained network, and fine-tuning where it costs too much."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hwnas import files, tasks
from hwnas.errors import Diverged, ExportError
from hwnas.export import RUNTIMES, lower
from hwnas.release.images import predicted_by
from hwnas.runs.folder import RunFolder
from hwnas.runs.training import TrainingRecord
from hwnas.statistics.differences import Difference
from hwnas.statistics.metric import ACCURACY, Metric
from hwnas.train import TrainConfig, evaluate, optim, qat, save_weights

if TYPE_CHECKING:
    from torch import nn

    from hwnas.data import Dataset
    from hwnas.space import Shape
    from hwnas.tasks.base import Predictions
    from hwnas.train import EpochRecord


@dataclass(frozen=True)
class Rounding:
    """What int8 costs a network, on the validation split.

    Attributes:
        allowed_loss: Drop below fp32 that was accepted: a part of 1 for a share, of the fp32 value for
            another metric.
        fp32: Of PyTorch in fp32.
        ptq: Of the int8 models after calibration alone, by runtime.
        qat: The same after quantisation-aware fine-tuning; None where there was none.
        gain: By how much fine-tuning bettered the runtime that does worst, on the same images; None
            where there was none.
        failure: Why the fine-tuning was given up, if it was.
        metric: What all of these are.
    """

    allowed_loss: float
    fp32: float
    ptq: Mapping[str, float]
    qat: Mapping[str, float] | None = None
    gain: Difference | None = None
    failure: str | None = None
    metric: Metric = ACCURACY

    @property
    def is_tuned(self) -> bool:
        """Whether the fine-tuned weights are shown to be the better ones, by the runtime that does worst.

        Where the images cannot tell, the network stays as it was trained.
        """
        return self.gain is not None and self.gain.is_real and self.gain.mean > 0

    @property
    def said(self) -> str:
        """What fine-tuning came to, in words; empty where there was none."""
        if self.gain is None:
            return ""
        metric = self.metric
        low, high = (metric.gap(end, 2, "+") for end in self.gain.interval)
        told = "" if self.gain.is_real else f": not told apart by {self.gain.images:,} validation images, so "
        kept = "" if self.gain.is_real else "the network stays as it was trained"
        return (
            f"fine-tuning for int8 {'changed' if metric.is_higher_better else 'bettered'} {metric.name} by "
            f"{metric.gap(self.gain.mean, 2, '+')}{metric.unit} (95 %: {low} to {high}){told}{kept}"
        )

    def to_json(self) -> dict[str, Any]:
        """A JSON object."""
        gain = None if self.gain is None else self.gain.to_json()
        shipped = "qat" if self.is_tuned else "ptq"
        found = asdict(self)
        del found["metric"]  # the manifest says which
        return {**found, "gain": gain, "said": self.said, "shipped": shipped}


def tune(
    module: nn.Module,
    input_shape: Shape,
    dataset: Dataset,
    config: TrainConfig,
    calibration: np.ndarray,
    *,
    allowed_loss: float,
    origin: Mapping[str, Any] | None = None,
    checkpoint: Path | None = None,
    on_epoch: Callable[[EpochRecord], None] = lambda _: None,
) -> tuple[nn.Module, Rounding]:
    """The network whose int8 models are the better ones: as it is, or fine-tuned where that is shown.

    It is fine-tuned only where the int8 model of some runtime loses more than ``allowed_loss``;
    a fine-tuning that diverges leaves the network as it was. The test split plays no part.

    Args:
        module: A trained network; left as it is.
        input_shape: Of one image.
        dataset: What it was trained on.
        config: Of the fine-tuning.
        calibration: Normalised training images that int8 ranges come from.
        allowed_loss: Drop on the validation split that needs no fine-tuning; see ``Rounding``.
        origin: As of ``train.fit``.
        checkpoint: As of ``train.fit``.
        on_epoch: Called after every epoch of fine-tuning.

    Raises:
        ExportError: The network cannot be lowered.
        TrainingError: The checkpoint is of another fine-tuning.
    """
    task, fp32 = tasks.of(dataset), evaluate(module, dataset).value
    before = _predicted(module, input_shape, dataset, calibration)
    known = partial(Rounding, allowed_loss, fp32, _values(before), metric=task.metric)
    if task.metric.lost(_worst(before, task.metric).value, fp32) <= allowed_loss:
        return module, known()
    tuned = deepcopy(module)
    try:
        qat.fine_tune(
            tuned,
            dataset,
            config,
            calibration,
            origin=origin,
            checkpoint=checkpoint,
            on_epoch=on_epoch,
        )
        after = _predicted(tuned, input_shape, dataset, calibration)
    except (Diverged, ExportError) as error:
        return module, known(failure=str(error))
    gain = task.difference([_worst(after, task.metric)], [_worst(before, task.metric)])
    found = known(_values(after), gain)
    return (tuned if found.is_tuned else module), found


def qualities(
    module: nn.Module, input_shape: Shape, dataset: Dataset, calibration: np.ndarray
) -> dict[str, float]:
    """The metric of a network's int8 models on the validation split, through each runtime itself."""
    return _values(_predicted(module, input_shape, dataset, calibration))


def _values(predicted: Mapping[str, Predictions]) -> dict[str, float]:
    return {runtime: each.value for runtime, each in predicted.items()}


def _worst(predicted: Mapping[str, Predictions], metric: Metric) -> Predictions:
    return min(predicted.values(), key=lambda each: metric.better(each.value))


def _predicted(
    module: nn.Module, input_shape: Shape, dataset: Dataset, calibration: np.ndarray
) -> dict[str, Predictions]:
    """What the int8 models say of the validation images, by runtime."""
    found = {}
    for runtime in RUNTIMES:
        lowered = lower(module, input_shape, runtime, "int8", calibration=calibration, check=False)
        found[runtime] = predicted_by(lowered.model, runtime, dataset, dataset.val)
    return found


def tune_run(
    run: Path,
    module: nn.Module,
    dataset: Dataset,
    trained: TrainingRecord,
    calibration: np.ndarray,
    *,
    allowed_loss: float,
    epochs: int = 3,
    device: str = "auto",
    on_epoch: Callable[[EpochRecord], None] = lambda _: None,
) -> tuple[nn.Module, dict[str, Any]]:
    """``tune`` for the trained network of a run; keeps fine-tuned weights in the run's folder.

    Args:
        run: Its folder; ``weights.int8.safetensors`` is written where fine-tuning helped.
        module: Its network.
        dataset: What it was trained on.
        trained: What ``train.json`` holds.
        calibration: Normalised training images that int8 ranges come from.
        allowed_loss: Drop on the validation split that needs no fine-tuning; see ``Rounding``.
        epochs: Passes of the fine-tuning.
        device: Where it runs: "cpu", "cuda" or "auto".
        on_epoch: Called after every epoch of fine-tuning.

    Returns:
        The network that int8 models are to be made from, and what is to be told about it: both
        values, the settings, and the hash of its weights.
    """
    config = replace(
        qat.recipe(TrainConfig.of_record(trained.config), epochs),
        device=optim.pick_device(device).type,
    )
    folder = RunFolder(run)
    _, channels, height, width = calibration.shape
    better, found = tune(
        module,
        (channels, height, width),
        dataset,
        config,
        calibration,
        allowed_loss=allowed_loss,
        origin={"weights_sha256": trained.weights_sha256},
        checkpoint=folder.int8_checkpoint,
        on_epoch=on_epoch,
    )
    record = {
        **found.to_json(),
        "config": asdict(config) if found.qat or found.failure else None,
        "weights_sha256": None,
    }
    folder.int8_weights.unlink(missing_ok=True)
    if found.is_tuned:
        save_weights(better, folder.int8_weights, {"data": dataset.fingerprint})
        record["weights_sha256"] = files.sha256(folder.int8_weights)
    folder.int8_checkpoint.unlink(missing_ok=True)
    return better, record
