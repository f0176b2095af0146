"""How a supernet is made, trained and asked."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

from hwnas.annotations import require_fields
from hwnas.errors import SpaceError, TrainingError
from hwnas.pools import PoolSpec
from hwnas.train.config import require_all, sgd_checks

TRAININGS = ("paths", "blockwise")
BLOCK_SCORES = ("features", "loss")

BATCH_SIZE = 64
"""Images a step where nothing is said; fewer where there are not so many."""

DISTILLATION_BATCH = 32
"""The same where candidates learn from a network that comes trained."""


@dataclass(frozen=True)
class OneShotConfig:
    """How a supernet is made, trained and asked.

    Attributes:
        width: Channels of the proxy over those of the space.
        resolution: Side of the proxy's images; that of the space where it is None.
        batch_size: Images a step. None: 64, or all training images where there are fewer; where candidates
            learn from a network that comes trained, 32, or as many as the task adapts networks with.
        learning_rate: The highest, of SGD with Nesterov momentum.
        momentum: Of SGD.
        weight_decay: On weights only, not on batch norm and biases.
        clip_norm: Largest gradient norm.
        crop: Share of the side that training images are padded by before a random crop; mirrored
            they are as the data say. None by default: a supernet sees each candidate too seldom
            to overfit, and crops only cost it ranking (``tools/bench_supernet.py --crop``).
        release: Share of a training after which its paths are uniform; until then they leave one
            fixed path gradually (``paths.py``). 0: uniform from the beginning. None: what suits
            the depth of the space.
        recalibration_images: Training images that batch-norm statistics are estimated from
            anew for every architecture that is scored.
        validation_images: Validation images that an architecture is scored on, at most.
        class_weights: "balanced" gives every class the same weight in the loss, however many images it
            has, and scores architectures by balanced accuracy; "none" counts images.
        training: How weights are trained: on random single "paths", or "blockwise": one path as a teacher
            first, then every candidate from its features (``evaluators.blockwise``).
        teacher_share: Share of the steps that train the teacher; 0 where it comes trained.
        block_score: What the error of a candidate is, where they learn block by block: how far its "features"
            are from the teacher's, or by how much it makes the "loss" of the teacher's network rise where it
            replaces a block (``replacing.py``). None: features, and the loss where there is a decoder, whose
            errors are of answers and could not be added to those of features.
        layerwise: Where they learn block by block: whether those of every choice learn by themselves, from
            the teacher's features alone, so that each choice may be taught by another worker of a pool. Else
            a choice is fed, with even chance, what candidates before it make. Two seeds of NAS-Bench-Macro:
            errors rank as well (Kendall tau .794, .799; fed .793, .793), what is put together of candidates
            has a loss .06 higher before it is tuned (``tools/bench_blockwise.py --layerwise``).
        seed: Of initial weights, paths, order and augmentation.
        device: "cpu" or "cuda" (there with bfloat16 autocast).
    """

    width: float = 1.0
    resolution: int | None = None
    batch_size: int | None = None
    learning_rate: float = 0.08
    momentum: float = 0.9
    weight_decay: float = 5e-5
    clip_norm: float = 5.0
    crop: float = 0.0
    release: float | None = None
    recalibration_images: int = 512
    validation_images: int = 2000
    class_weights: str = "none"
    training: str = "paths"
    teacher_share: float = 0.7
    block_score: str | None = None
    layerwise: bool = False
    seed: int = 0
    device: str = "cpu"

    def __post_init__(self) -> None:
        require_fields(self, TrainingError)
        checks = {
            "width must be in (0, 1]": 0 < self.width <= 1,
            "resolution must be at least 8": self.resolution is None or self.resolution >= 8,
            "batch_size must be at least 2": self.batch_size is None or self.batch_size >= 2,
            "release must be in [0, 1]": self.release is None or 0 <= self.release <= 1,
            "recalibration_images must be at least 2": self.recalibration_images >= 2,
            f"training must be one of {TRAININGS}": self.training in TRAININGS,
            f"block_score must be one of {BLOCK_SCORES}": self.block_score in (None, *BLOCK_SCORES),
            "teacher_share must be in [0, 1)": 0 <= self.teacher_share < 1,
            "validation_images must be at least 1": self.validation_images >= 1,
        }
        require_all(self, checks | sgd_checks(self))

    @property
    def is_taught(self) -> bool:
        """Whether candidates learn from a network that comes trained."""
        return self.training == "blockwise" and self.teacher_share == 0

    def require_tasks(self, pool: PoolSpec) -> None:
        """Refuse a pool where candidates are fed what others make: none of them can be taught elsewhere.

        Raises:
            SpaceError: They are.
        """
        if not self.layerwise:
            raise SpaceError(
                f"candidates must learn layer by layer to be taught by a pool, but got {pool} and layerwise "
                "= false: set layerwise = true, or give processes:1"
            )

    def recorded(self) -> dict[str, Any]:
        """The settings as JSON, without those that earlier versions had not, where they are as there."""
        found = asdict(self)
        if self.class_weights == "none":
            del found["class_weights"]
        if self.training == "paths":
            del found["training"], found["teacher_share"]
        if self.training == "paths" or self.block_score is None:
            del found["block_score"]
        if self.training == "paths" or not self.layerwise:
            del found["layerwise"]
        return found

    def resolved(self, images: int, usual: int = DISTILLATION_BATCH) -> OneShotConfig:
        """The same with the batch that so many training images allow where none was asked for.

        Args:
            images: How many there are for training.
            usual: Images a step that the task adapts networks with; no more are distilled with.

        Raises:
            TrainingError: A batch has more images than there are, or less than two for each process.
        """
        from hwnas.train import ranks

        most = min(DISTILLATION_BATCH, usual) if self.is_taught else BATCH_SIZE
        batch_size = self.batch_size or min(most, images)
        if batch_size > images:
            raise TrainingError(
                f"batch_size must be at most the {images} training images, but got {batch_size}: "
                "take a smaller batch or more images"
            )
        if batch_size < 2 * ranks.ranks():
            raise TrainingError(
                f"batch_size must be at least 2 for each of {ranks.ranks()} processes, but got {batch_size}: "
                "take a larger batch or fewer processes"
            )
        return replace(self, batch_size=batch_size)
