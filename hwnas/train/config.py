"""How a network is trained, and what came of it. Free of torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from hwnas.errors import TrainingError


@dataclass(frozen=True)
class Score:
    """How well a network does on a split.

    Attributes:
        accuracy: Share of images whose most likely class is right, in [0, 1].
        loss: Mean cross-entropy in nats, without label smoothing.
    """

    accuracy: float
    loss: float


@dataclass(frozen=True)
class TrainConfig:
    """Settings of a training from scratch: SGD with Nesterov momentum, cosine after a warm-up.

    Attributes:
        epochs: Passes over the training images.
        batch_size: Images a step.
        learning_rate: The highest, reached after the warm-up.
        momentum: Of SGD.
        weight_decay: On convolution and linear weights only, not on batch norm and biases.
        warmup_share: Share of all steps in which the learning rate rises linearly.
        label_smoothing: Of the training loss.
        clip_norm: Largest gradient norm.
        augment: Whether images are cropped, mirrored and erased at all.
        crop: Share of the side that images are padded by before a random crop.
        flip: Whether images are mirrored; None as the data say.
        erasing: Chance that a rectangle of an image is blanked (arXiv:1708.04896).
        mixup: Alpha of mixup (arXiv:1710.09412); 0 is off.
        cutmix: Alpha of CutMix (arXiv:1905.04899); 0 is off.
        ema: Decay a step of the running average of the weights, which then is what is
            evaluated and kept; 0 is off. See ``hwnas.train.average``.
        distill_weight: Share of the loss that is the distance from a teacher's answers.
        temperature: That both answers are softened by (arXiv:1503.02531).
        seed: Of the initial weights, the order of the images and the augmentation.
        device: "cpu" or "cuda".
    """

    epochs: int = 8
    batch_size: int = 32
    learning_rate: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 5e-5
    warmup_share: float = 0.1
    label_smoothing: float = 0.1
    clip_norm: float = 5.0
    augment: bool = True
    crop: float = 0.125
    flip: bool | None = None
    erasing: float = 0.0
    mixup: float = 0.0
    cutmix: float = 0.0
    ema: float = 0.0
    distill_weight: float = 0.0
    temperature: float = 4.0
    seed: int = 0
    device: str = "cpu"

    def __post_init__(self) -> None:
        checks = {
            "epochs must be at least 1": self.epochs >= 1,
            "batch_size must be at least 2": self.batch_size >= 2,
            "learning_rate must be positive": self.learning_rate > 0,
            "momentum must be in [0, 1)": 0 <= self.momentum < 1,
            "weight_decay must not be negative": self.weight_decay >= 0,
            "warmup_share must be in [0, 1)": 0 <= self.warmup_share < 1,
            "label_smoothing must be in [0, 1)": 0 <= self.label_smoothing < 1,
            "clip_norm must be positive": self.clip_norm > 0,
            "crop must be in [0, 0.5]": 0 <= self.crop <= 0.5,
            "erasing must be in [0, 1]": 0 <= self.erasing <= 1,
            "mixup must not be negative": self.mixup >= 0,
            "cutmix must not be negative": self.cutmix >= 0,
            "ema must be in [0, 1)": 0 <= self.ema < 1,
            "distill_weight must be in [0, 1]": 0 <= self.distill_weight <= 1,
            "temperature must be positive": self.temperature > 0,
        }
        for invariant, holds in checks.items():
            if not holds:
                raise TrainingError(f"{invariant}, but got {getattr(self, invariant.split()[0])}")


@dataclass(frozen=True)
class EpochRecord:
    """What one epoch did.

    Attributes:
        epoch: From 1.
        loss: Mean of what was minimised: cross-entropy with label smoothing, and what a
            teacher adds.
        accuracy: On the augmented training images, as they were seen; of a mixed image, the
            class that most of it shows counts.
        val_accuracy: On the validation split, after the epoch.
        val_loss: On the validation split, after the epoch.
        learning_rate: Of the last step.
        seconds: Wall time of the epoch.
    """

    epoch: int
    loss: float
    accuracy: float
    val_accuracy: float
    val_loss: float
    learning_rate: float
    seconds: float


@dataclass(frozen=True)
class TrainResult:
    """What came of a training; the weights are in the model that was given to ``fit``.

    Attributes:
        config: The settings.
        history: One record an epoch.
        val: Score on the validation split after the last epoch.
        origin: Where the network's first weights came from, and who taught it.
    """

    config: TrainConfig
    history: tuple[EpochRecord, ...]
    val: Score
    origin: Mapping[str, Any] = field(default_factory=dict)

    @property
    def seconds(self) -> float:
        """Wall time of all epochs."""
        return sum(record.seconds for record in self.history)

    def to_json(self) -> Mapping[str, Any]:
        """A JSON object."""
        return {
            "config": asdict(self.config),
            "history": [asdict(record) for record in self.history],
            "val": asdict(self.val),
            "seconds": self.seconds,
            **self.origin,
        }
