"""How a network is trained, and what came of it. Free of torch."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from hwnas.annotations import require_fields
from hwnas.errors import TrainingError
from hwnas.tasks.base import ACCURACY, LossSettings, Metric, Predictions, Score
from hwnas.tasks.recipes import FROM_NOTHING, Usual

CLASS_WEIGHTS = ("none", "balanced")
AUTO = "auto"
PRECISIONS = (AUTO, "fp32", "bf16", "fp16")
OPTIMIZERS = ("sgd", "lars", "lamb")
HIGHEST_RATE = 1000.0
"""No training under a higher learning rate learns anything; a slip of the hand does not run for hours."""


def sgd_checks(config: Any) -> dict[str, bool]:
    """What must hold of the settings of any training, of a network or a supernet, and whether it does."""
    return {
        f"learning_rate must be over 0 and at most {HIGHEST_RATE:g}": (
            config.learning_rate is None or 0 < config.learning_rate <= HIGHEST_RATE
        ),
        "momentum must be in [0, 1)": 0 <= config.momentum < 1,
        "weight_decay must be in [0, 1]": 0 <= config.weight_decay <= 1,
        "clip_norm must be positive and finite": 0 < config.clip_norm < math.inf,
        "crop must be in [0, 0.5]": 0 <= config.crop <= 0.5,
        f"class_weights must be one of {CLASS_WEIGHTS}": config.class_weights in CLASS_WEIGHTS,
        "seed must be from 0 to 2**63 - 1": 0 <= config.seed < 2**63,
    }


def require_all(config: object, checks: Mapping[str, bool]) -> None:
    """Raise TrainingError for the first that does not hold; it begins with the name of the setting."""
    for invariant, holds in checks.items():
        if not holds:
            raise TrainingError(f"{invariant}, but got {getattr(config, invariant.split()[0])!r}")


BEFORE_ADAPTING = {"head_epochs": 0, "layer_decay": 1.0, "freeze_share": 0.0, "frozen_stride": 0}
"""Of trainings by versions that had no such setting."""

TAUGHT = 0.5
"""``distill_weight`` where there is a teacher, unless another is asked for."""


@dataclass(frozen=True)
class TrainConfig:
    """Settings of a training: SGD with Nesterov momentum, or LARS or LAMB; cosine after a warm-up.

    What is None depends on the task, and on whether the network begins with weights that know pictures
    already (*pretrained*), or with random ones; see ``resolved``. What is said of it here is of classifiers.

    Attributes:
        epochs: Passes over the training images. None: as many as 2,000 steps take, but 8 to 60;
            pretrained, as many as 700 steps take, but 4 to 20.
        batch_size: Images a step. None: 32, or all where there are fewer.
        learning_rate: The highest, reached after the warm-up. None: 0.1; pretrained, 0.02; under LAMB two
            fifths of that. Those are for batches as they usually are: for one that is k times as large they
            are k times as high (linear scaling, arXiv:1706.02677), under LAMB sqrt(k) times
            (arXiv:1904.00962). What is given is taken as it is.
        optimizer: "sgd"; for large batches "lars" (arXiv:1708.03888) or "lamb" (arXiv:1904.00962).
        momentum: Of SGD and LARS, and the first one of LAMB.
        weight_decay: On convolution and linear weights only, not on batch norm and biases.
        warmup_share: Share of all steps in which the learning rate rises linearly.
        label_smoothing: Of the training loss.
        clip_norm: Largest gradient norm.
        head_epochs: Passes at the beginning in which only the last layer learns, on top of features that
            stay as they are. None: 0; pretrained, as many as 64 steps take, but at most a third of all.
        layer_decay: Learning rate of a block over that of the block behind it (arXiv:1801.06146,
            section 3.2). None: 1, all alike; pretrained, 0.95.
        freeze_share: Share of the steps, at the end, in which batch norms use the statistics that they
            have, instead of those of a small batch. None: 0; pretrained, 0.3.
        frozen_stride: Where the head is fresh, blocks near the image whose features are no coarser than
            this share of it, as 4 for a fourth, stay as they are. None: 0, which is none of them;
            pretrained detectors, 4.
        augment: Whether images are cropped, mirrored and erased at all.
        crop: Share of the side that images are padded by before a random crop.
        flip: Whether images are mirrored; None as the data say.
        erasing: Chance that a rectangle of an image is blanked (arXiv:1708.04896).
        mixup: Alpha of mixup (arXiv:1710.09412); 0 is off.
        cutmix: Alpha of CutMix (arXiv:1905.04899); 0 is off.
        ema: Decay a step of the running average of the weights, which then is what is
            evaluated and kept; 0 is off. See ``hwnas.train.average``.
        distill_weight: Share of the loss that is the distance from a teacher's answers.
        auxiliary: Weight in the loss of auxiliary heads, which the features that a decoder reads get in
            training only; 0 is off. See ``hwnas.train.auxiliary`` for what they were worth.
        temperature: That both answers are softened by (arXiv:1503.02531).
        class_weights: "balanced" gives every class the same weight in the loss, however many
            images it has, and lets the epoch of the best balanced accuracy ship; "none" counts images.
        seed: Of the initial weights, the order of the images and the augmentation.
        device: "cpu" or "cuda".
        precision: What answers and gradients are computed in: "fp32", "bf16", or on CUDA "fp16", with scaled
            gradients. Weights are fp32. "auto" is bf16 on CUDA, and on a CPU fp32.
    """

    epochs: int | None = None
    batch_size: int | None = None
    learning_rate: float | None = None
    optimizer: str = "sgd"
    momentum: float = 0.9
    weight_decay: float = 5e-5
    warmup_share: float = 0.1
    label_smoothing: float = 0.1
    clip_norm: float = 5.0
    head_epochs: int | None = None
    layer_decay: float | None = None
    freeze_share: float | None = None
    frozen_stride: int | None = None
    augment: bool = True
    crop: float = 0.125
    flip: bool | None = None
    erasing: float = 0.0
    mixup: float = 0.0
    cutmix: float = 0.0
    ema: float = 0.0
    distill_weight: float = 0.0
    temperature: float = 4.0
    auxiliary: float = 0.0
    class_weights: str = "none"
    seed: int = 0
    device: str = "cpu"
    precision: str = AUTO

    def __post_init__(self) -> None:
        require_fields(self, TrainingError)
        checks = {
            "epochs must be at least 1": self.epochs is None or self.epochs >= 1,
            "batch_size must be at least 2": self.batch_size is None or self.batch_size >= 2,
            "warmup_share must be in [0, 1)": 0 <= self.warmup_share < 1,
            "label_smoothing must be in [0, 1)": 0 <= self.label_smoothing < 1,
            "head_epochs must not be negative": self.head_epochs is None or self.head_epochs >= 0,
            "layer_decay must be in (0, 1]": self.layer_decay is None or 0 < self.layer_decay <= 1,
            "freeze_share must be in [0, 1)": self.freeze_share is None or 0 <= self.freeze_share < 1,
            "frozen_stride must not be negative": self.frozen_stride is None or self.frozen_stride >= 0,
            "erasing must be in [0, 1]": 0 <= self.erasing <= 1,
            "mixup must not be negative, and at most 1000": 0 <= self.mixup <= 1000,
            "cutmix must not be negative, and at most 1000": 0 <= self.cutmix <= 1000,
            "ema must be in [0, 1)": 0 <= self.ema < 1,
            "distill_weight must be in [0, 1]": 0 <= self.distill_weight <= 1,
            "auxiliary must be in [0, 1]": 0 <= self.auxiliary <= 1,
            "temperature must be in [0.01, 1000]": 0.01 <= self.temperature <= 1000,
            f"optimizer must be one of {OPTIMIZERS}": self.optimizer in OPTIMIZERS,
            f"precision must be one of {PRECISIONS}": self.precision in PRECISIONS,
            "precision must be fp32 or bf16 on a CPU": self.precision != "fp16" or self.device != "cpu",
        }
        require_all(self, checks | sgd_checks(self))

    @property
    def loss(self) -> LossSettings:
        """How the task's loss is shaped."""
        return LossSettings(
            self.label_smoothing, self.mixup, self.cutmix, self.temperature, self.class_weights
        )

    @classmethod
    def of_record(cls, record: Mapping[str, Any]) -> TrainConfig:
        """The settings of a record, also of an older version that had fewer of them.

        Raises:
            TrainingError: There are settings that this version does not know, or odd ones.
        """
        odd = sorted(set(record) - {item.name for item in fields(cls)})
        if odd:
            raise TrainingError(
                f"recorded settings of training must be known to this version, but {', '.join(odd)} "
                f"{'is' if len(odd) == 1 else 'are'} not: train the run again"
            )
        try:
            return cls(**{**BEFORE_ADAPTING, **record})
        except TrainingError as error:
            raise TrainingError(f"{error}, in recorded settings of training: train the run again") from error

    def resolved(self, images: int, usual: Usual = FROM_NOTHING) -> TrainConfig:
        """The same with the numbers that so many training images make of what was left open.

        Args:
            images: How many there are for training.
            usual: What the task does where nothing is said; by default that of classifiers from nothing.

        Raises:
            TrainingError: A batch has more images than there are, or nothing is left to learn after
                ``head_epochs``.
        """
        from hwnas.data.batches import steps_per_epoch

        batch_size = self.batch_size or min(usual.batch_size, images)
        if batch_size > images:
            raise TrainingError(
                f"batch_size must be at most the {images} training images, but got {batch_size}: "
                "take a smaller batch or more images"
            )
        steps = steps_per_epoch(images, batch_size)
        enough = math.ceil(usual.steps / steps)
        epochs = self.epochs or min(usual.most_epochs, max(usual.fewest_epochs, enough))
        head_epochs = self.head_epochs
        if head_epochs is None:
            head_epochs = min(math.ceil(usual.head_steps / steps), epochs // 3)
        if head_epochs >= epochs:
            raise TrainingError(
                f"head_epochs must leave some of the {epochs} epochs for the whole network, but got "
                f"{head_epochs}: give fewer, or more epochs"
            )
        return replace(
            self,
            epochs=epochs,
            batch_size=batch_size,
            head_epochs=head_epochs,
            learning_rate=self.learning_rate or usual.rate(batch_size, self.optimizer),
            **{
                name: getattr(usual, name) if getattr(self, name) is None else getattr(self, name)
                for name in ("layer_decay", "freeze_share", "frozen_stride")
            },
        )


@dataclass(frozen=True)
class EpochRecord:
    """What one epoch did.

    Attributes:
        epoch: From 1.
        loss: Mean of what was minimised: the task's loss, and what a teacher and auxiliary heads add.
        value: The task's metric on the augmented training images, as they were seen; of an image
            with others mixed in, what most of it shows counts.
        val_value: The metric on the validation split, after the epoch.
        val_loss: On the validation split, after the epoch.
        learning_rate: Of the last step.
        seconds: Wall time of the epoch.
        epochs: How many there are to be; 0 in older records.
        val_balanced: The metric on the validation split with every class counting the same; None
            without classes, and in older records.
        metric: What it is.
    """

    epoch: int
    loss: float
    value: float
    val_value: float
    val_loss: float
    learning_rate: float
    seconds: float
    epochs: int = 0
    val_balanced: float | None = None
    metric: Metric = ACCURACY

    def __str__(self) -> str:
        return (
            f"epoch {self.epoch}/{self.epochs}  loss {self.loss:.3f}  "
            f"validation {self.metric.text(self.val_value, 2)}  {self.seconds:.1f} s"
        )

    @property
    def val(self) -> Score:
        """Score on the validation split after the epoch."""
        return Score(self.val_value, self.val_loss, self.val_balanced)

    def to_json(self) -> dict[str, Any]:
        """A JSON object; the metric goes by its own name."""
        found = asdict(self)
        del found["metric"]
        return {_named(name, self.metric): value for name, value in found.items()}

    @classmethod
    def from_json(cls, data: Mapping[str, Any], metric: Metric) -> EpochRecord:
        """Rebuild what ``to_json`` wrote of an epoch of this metric."""
        names = {_named(item.name, metric): item.name for item in fields(cls)}
        return cls(**{names[name]: value for name, value in data.items()}, metric=metric)


def _named(name: str, metric: Metric) -> str:
    """The name in records of a field: it says which metric it is."""
    known = {
        "value": metric.key,
        "val_value": f"val_{metric.key}",
        "val_balanced": f"val_balanced_{metric.key}",
    }
    return known.get(name, name)


@dataclass(frozen=True)
class Kept:
    """Which of the weights that a training had are the ones that stay.

    Attributes:
        epoch: Number of the epoch that ended with them.
        recalibrated: Whether their batch-norm statistics were estimated anew.
    """

    epoch: int
    recalibrated: bool


@dataclass(frozen=True)
class TrainResult:
    """What came of a training; the weights are in the model that was given to ``fit``.

    Attributes:
        config: The settings; nothing is left open in them.
        history: One record an epoch.
        val: Score on the validation split of the weights that were kept.
        kept: Which weights those are: the epoch they are of, and whether batch-norm statistics were
            estimated anew for them.
        seen: What they say of that split, image by image.
        origin: Where the network's first weights came from, and who taught it.
    """

    config: TrainConfig
    history: tuple[EpochRecord, ...]
    val: Score
    kept: Kept
    seen: Predictions = field(repr=False, compare=False)
    origin: Mapping[str, Any] = field(default_factory=dict)

    @property
    def seconds(self) -> float:
        """Wall time of all epochs."""
        return sum(record.seconds for record in self.history)


OnStep = Callable[[int, int], None]
"""Is told how many steps of a training are done, and of how many."""


def in_steps(tell: Callable[[str], None], what: str) -> OnStep:
    """The callback of those who tell people how far a training is within an epoch."""
    return lambda done, steps: tell(f"{what}: step {done} of {steps}")


def in_epochs(tell: Callable[[str], None], what: str) -> Callable[[EpochRecord], None]:
    """The callback of those who tell people what is trained, and how far it is."""
    return lambda record: tell(f"{what}: epoch {record.epoch}/{record.epochs}")
