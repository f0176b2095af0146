"""int8 as an equal: what rounding costs a trained network, and fine-tuning where it costs too much."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hwnas import files, runtimes
from hwnas.errors import Diverged, ExportError
from hwnas.export import RUNTIMES, lower
from hwnas.runs.folder import RunFolder
from hwnas.statistics.differences import Difference
from hwnas.train import TrainConfig, evaluate, optim, qat, save_weights

if TYPE_CHECKING:
    from torch import nn

    from hwnas.data import Dataset
    from hwnas.space import Shape
    from hwnas.train import EpochRecord


@dataclass(frozen=True)
class Rounding:
    """What int8 costs a network, on the validation split.

    Attributes:
        allowed_loss: Drop of accuracy below fp32 that was accepted, in [0, 1].
        fp32: Accuracy of PyTorch in fp32.
        ptq: Accuracy of the int8 models after calibration alone, by runtime.
        qat: The same after quantisation-aware fine-tuning; None where there was none.
        gain: By how much fine-tuning raised the accuracy of the runtime that does worst, on the same
            images; None where there was none.
        failure: Why the fine-tuning was given up, if it was.
    """

    allowed_loss: float
    fp32: float
    ptq: Mapping[str, float]
    qat: Mapping[str, float] | None = None
    gain: Difference | None = None
    failure: str | None = None

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
        low, high = (end * 100 for end in self.gain.interval)
        told = "" if self.gain.is_real else f": not told apart by {self.gain.images:,} validation images, so "
        kept = "" if self.gain.is_real else "the network stays as it was trained"
        return (
            f"fine-tuning for int8 changed accuracy by {self.gain.mean * 100:+.2f} points "
            f"(95 %: {low:+.2f} to {high:+.2f}){told}{kept}"
        )

    def to_json(self) -> dict[str, Any]:
        """A JSON object."""
        gain = None if self.gain is None else self.gain.to_json()
        shipped = "qat" if self.is_tuned else "ptq"
        return {**asdict(self), "gain": gain, "said": self.said, "shipped": shipped}


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
        allowed_loss: Drop of validation accuracy that needs no fine-tuning.
        origin: As of ``train.fit``.
        checkpoint: As of ``train.fit``.
        on_epoch: Called after every epoch of fine-tuning.

    Raises:
        ExportError: The network cannot be lowered.
        TrainingError: The checkpoint is of another fine-tuning.
    """
    fp32 = evaluate(module, dataset).value
    before = _right(module, input_shape, dataset, calibration)
    ptq = _shares(before)
    if fp32 - min(ptq.values()) <= allowed_loss:
        return module, Rounding(allowed_loss, fp32, ptq)
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
        after = _right(tuned, input_shape, dataset, calibration)
    except (Diverged, ExportError) as error:
        return module, Rounding(allowed_loss, fp32, ptq, failure=str(error))
    gain = Difference.of([min(after.values(), key=np.mean)], [min(before.values(), key=np.mean)])
    found = Rounding(allowed_loss, fp32, ptq, _shares(after), gain)
    return (tuned if found.is_tuned else module), found


def accuracies(
    module: nn.Module, input_shape: Shape, dataset: Dataset, calibration: np.ndarray
) -> dict[str, float]:
    """Accuracy of a network's int8 models on the validation split, through each runtime itself."""
    return _shares(_right(module, input_shape, dataset, calibration))


def _shares(right: Mapping[str, NDArray[np.bool_]]) -> dict[str, float]:
    return {runtime: float(each.mean()) for runtime, each in right.items()}


def _right(
    module: nn.Module, input_shape: Shape, dataset: Dataset, calibration: np.ndarray
) -> dict[str, NDArray[np.bool_]]:
    """Which validation images the int8 models answer rightly, by runtime."""
    images = dataset.normalize(dataset.val.images)
    found = {}
    for runtime in RUNTIMES:
        lowered = lower(module, input_shape, runtime, "int8", calibration=calibration, check=False)
        logits = runtimes.run(lowered.model, runtime, images)
        found[runtime] = logits.argmax(axis=1) == dataset.val.labels
    return found


def tune_run(
    run: Path,
    module: nn.Module,
    dataset: Dataset,
    trained: Mapping[str, Any],
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
        allowed_loss: Drop of validation accuracy that needs no fine-tuning.
        epochs: Passes of the fine-tuning.
        device: Where it runs: "cpu", "cuda" or "auto".
        on_epoch: Called after every epoch of fine-tuning.

    Returns:
        The network that int8 models are to be made from, and what is to be told about it: both
        accuracies, the settings, and the hash of its weights.
    """
    config = replace(
        qat.recipe(TrainConfig.of_record(trained["config"]), epochs),
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
        origin={"weights_sha256": trained["weights_sha256"]},
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
