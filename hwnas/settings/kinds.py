"""Settings that belong to no class of the stages themselves."""

from __future__ import annotations

from dataclasses import dataclass

from hwnas.errors import TrainingError
from hwnas.search.settings import STRATEGY
from hwnas.tasks import DEFAULT


@dataclass(frozen=True)
class Basics:
    """What every stage needs.

    Attributes:
        folder: Where everything is written.
        device: Where to measure; ``hwnas devices list`` names them. Several as ["host", "pixel"]: the
            network keeps its budgets on all, and ships what the first of them runs.
        space: Search space; ``hwnas spaces list`` names them.
        data: "digits", "clutter", "clutter-hard", a folder of images or parquet files, or an npz file.
        task: What networks are to do with the images: "classification", "segmentation" of images with
            masks, or "detection" of images with boxes.
        seed: Where all randomness of searching and training comes from.
        plugins: Python files that register blocks, spaces, tasks, runtimes, strategies or trackers.
        track: Where to log as well: "mlflow", "mlflow:URI", "tensorboard", "tensorboard:FOLDER", "wandb" or
            "wandb:PROJECT"; see ``hwnas run --track``.
    """

    folder: str = "run"
    device: tuple[str, ...] = ("host",)
    space: str = "macro"
    data: str = "digits"
    task: str = DEFAULT
    seed: int = 0
    plugins: tuple[str, ...] = ()
    track: tuple[str, ...] = ()


@dataclass(frozen=True)
class Targets:
    """Which targets are measured and searched for: every runtime with every precision.

    Attributes:
        runtimes: Runtimes of the devices; all that each has where this is not set. "auto" is the fastest of
            them, found by measuring before the rest; after it, those to choose from, as ["auto", "litert"].
        precisions: "int8" and "fp32"; "16x8", "fp16", "bf16" and "tf32" where the runtimes have them.
    """

    runtimes: tuple[str, ...] | None = None
    precisions: tuple[str, ...] = ("int8", "fp32")


@dataclass(frozen=True)
class Fit:
    """How latency is predicted.

    Attributes:
        model: "posterior", "lookup", "regression", or "transfer" for a new device.
    """

    model: str = "posterior"


@dataclass(frozen=True)
class Search:
    """What is searched.

    Attributes:
        strategy: How to search, for example "exact", "fbnet", "evolution" or "random"; "auto" for what was
            found best for the kind of space and for how networks are scored.
        budgets: Milliseconds, or a share of the range between the fastest and the slowest network, as
            the latency model predicts it, as "60%"; one for all, or one for each runtime and precision,
            in the order of the report: both precisions of the first runtime, then those of the next, then
            those of the next device.
        confidence: Wanted chance that a budget is kept.
        training_steps: Training steps of the supernet, for strategies that only score with it. 600 where it
            is not set; 120 of candidates that learn from a trained teacher.
        objectives: What is to be small beside latency: "macs", "params", "bytes" or "energy_mj".
        limits: What must not be exceeded either, as "bytes=4e6" or "energy_mj=3.5".
        evaluate: Score networks "blockwise": by candidates that learn from the largest network, each from its
            block in the same place; by a "supernet"; from "scratch": by training each of them; or without
            any training, by what random weights make of a few images: "naswot", "synflow", "gradnorm", or
            "similarity" to how another network sees them.
            Blockwise where it is not set, but by a supernet with a strategy that trains one itself.
        teacher: Run folder of a trained network that they learn from; else it is trained here.
        evaluate_epochs: Passes over the training images for each network that is trained from scratch.
        evaluate_images: Images that a network is looked at with where none is trained, and with alike: of
            training, or the first ones of validation where likeness is looked at.
        alike: Run folder of a trained network, or .npy file of dissimilarities of those images, that networks
            are to see them like: that is what is scored, with evaluate = "scratch" or "similarity". Where
            networks are trained for longer the better they are, it decides which, and accuracy in the end.
        pool: Who trains networks from scratch at the same time, or teaches candidates, those of each block
            beside others (with layerwise = true in [search.supernet]): "processes:N" of this machine, or
            "ray[://HOST:PORT][?num_cpus=C&num_gpus=G]" of a Ray cluster.
    """

    strategy: str = STRATEGY
    budgets: tuple[str, ...] = ("60%",)
    confidence: float = 0.9
    training_steps: int | None = None
    objectives: tuple[str, ...] = ()
    limits: tuple[str, ...] = ()
    evaluate: str | None = None
    teacher: str | None = None
    evaluate_epochs: int = 2
    evaluate_images: int = 64
    alike: str | None = None
    pool: str = "processes:1"


@dataclass(frozen=True)
class Finalists:
    """How the found network is held to its budgets, and what else the search leaves to pick from.

    Attributes:
        measure: Whether finalists are measured on the device, and repaired where they are slow.
        rank: "fp32" or "int8": how good they are in which; int8 where any target is, if not set.
        gallery_points: Budgets over the whole range that the gallery is drawn for; 0 for none.
        gallery_each: Architectures scored for each of them.
    """

    measure: bool = True
    rank: str | None = None
    gallery_points: int = 10
    gallery_each: int = 4


SUPERNETS = ("supernet", "blockwise")
"""Ways to score by one network that is trained for all."""

SCARCE = {"gallery_each": 1, "scored": 4}
"""Keys of ``[promise]`` where nothing else is asked for and every score is a training: fewer of them."""


@dataclass(frozen=True)
class Baseline:
    """Another search under the same budgets with the same supernet, for the report.

    Attributes:
        strategy: For example "random"; none where it is not set.
    """

    strategy: str | None = None


@dataclass(frozen=True)
class Origin:
    """What a training has beside the images: first weights, and somebody to learn from.

    Attributes:
        init: First weights: from the "seed", or those of the "supernet", which needs width = 1 in
            [search.supernet]. Where it is not set, of the "supernet" if its candidates learned from a
            trained teacher.
        teacher: Run folder of a network to learn from, trained on the same data. Where it is not set, the
            one that candidates learned from, or none.
    """

    init: str | None = None
    teacher: str | None = None

    def __post_init__(self) -> None:
        if self.init not in (None, "seed", "supernet"):
            raise TrainingError(f'init must be "seed" or "supernet", but got {self.init!r}')

    def inherits(self, *, is_taught: bool) -> bool:
        """Whether first weights are the supernet's; ``is_taught`` is whether a trained teacher taught it."""
        return self.init == "supernet" or (self.init is None and is_taught)


@dataclass(frozen=True)
class Export:
    """How the models are made.

    Attributes:
        calibration_images: Training images that set int8 ranges.
        licence: Of the models, which are yours; goes into the manifest.
        qat_if_worse: Drop by int8 on validation above which the network is fine-tuned under
            the rounding of int8, such as 0.01; never where it is not set.
        qat_epochs: Passes of that fine-tuning.
        int8_drop: Largest drop by int8 on validation that is accepted, 0.05 being five points of accuracy;
            more is an error.
        also: Further precisions of files, such as "16x8", where a runtime has them.
        keep_int8_loss: Most that int8 may lose on validation, in points, such as 0.5: as few layers as it
            takes stay in fp32 (or in 16x8); all are int8 where it is not set.
        keep_by: What chooses these: "ranking" by noise over latency, "haq" (an agent that learns from files)
            or "mixed-dnas" (gates that learn noise and latency).
        layers: Whether to tell what int8 does to each layer.
    """

    calibration_images: int = 256
    licence: str | None = None
    qat_if_worse: float | None = None
    qat_epochs: int = 3
    int8_drop: float = 0.05
    also: tuple[str, ...] = ()
    keep_int8_loss: float | None = None
    keep_by: str = "ranking"
    layers: bool = False


@dataclass(frozen=True)
class Verify:
    """How well the shipped models are measured.

    Attributes:
        rounds: Rounds of measurement; up to three times as many where the interval is wide.
        samples: Timed samples a round.
        min_round_s: No round begins sooner after the one before it.
        accept_noise: Whether a promise that is NOT PROVEN is taken all the same (exit code 0, not 3).
    """

    rounds: int = 9
    samples: int = 7
    min_round_s: float = 1.0
    accept_noise: bool = False
