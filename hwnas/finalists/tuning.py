"""Which network ships is said after tuning: what was found, or a control under the same measured budgets.

Untuned, a network looks the better the less it was reshaped, and what a search gains may be gone once all of
its networks are tuned. So the found one and the best control of each kind, all proven to keep the budgets,
are tuned alike for a short while, and validation images decide.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hwnas import files, tasks
from hwnas.data.batches import steps_per_epoch
from hwnas.evaluators.base import TrainedNetworks
from hwnas.finalists.latencies import Posteriors
from hwnas.finalists.reading import Indices
from hwnas.finalists.repair import Tell
from hwnas.runs.folder import RunFolder
from hwnas.runs.found import SearchRecord
from hwnas.space import SearchSpace
from hwnas.spaces.canonical import Canonical
from hwnas.tasks.base import Estimate
from hwnas.train import TrainConfig, fit
from hwnas.train.adapting import teacher_of
from hwnas.train.config import TAUGHT, in_epochs
from hwnas.train.teacher import load_teacher
from hwnas.train.training import dataset_of

if TYPE_CHECKING:
    from hwnas.data import Dataset

_EPOCHS, _STEPS = 2, 60  # of tuning at least: two epochs of few images are next to nothing


@dataclass(frozen=True)
class Tuner:
    """Tunes networks of a search that learnt from a trained network.

    Attributes:
        run: Folder of the search.
        scorer: Has their weights.
        data: Images of the search.
        teacher: Run folder of the network that they learnt from.
        config: How they are tuned; see ``settled``.
        tell: Told which one is.
    """

    run: Path
    scorer: TrainedNetworks
    data: Dataset
    teacher: Path
    config: TrainConfig
    tell: Tell = lambda _: None

    def best_of(
        self, rivals: Mapping[str | None, Indices], posteriors: Posteriors, record: SearchRecord
    ) -> tuple[Indices, SearchRecord]:
        """The network that is the best one after tuning, and the record of the search that tells of all.

        Args:
            rivals: Each by its kind of control; what was searched by None.
            posteriors: What is known of their latencies.
            record: Of the search.
        """
        found = {kind: self._tuned(kind or record.strategy, indices) for kind, indices in rivals.items()}
        best = max(found, key=lambda kind: found[kind]["merit"])
        told = [
            {
                "name": kind or record.strategy,
                "indices": list(indices),
                "taken": kind == best,
                "latencies_ms": {
                    constraint.name: share * constraint.budget_ms
                    for constraint, share in zip(
                        posteriors.constraints, posteriors.shares(indices), strict=True
                    )
                },
                **found[kind],
            }
            for kind, indices in rivals.items()
        ]
        return rivals[best], replace(record, extra={**record.extra, "tuned": told})

    def _tuned(self, name: str, indices: Indices) -> dict[str, Any]:
        """What tuning makes of a network; what was done before the search was cut off is not done again."""
        config = settled(self.config, self.data)
        folder, stem = RunFolder(self.run).tuned, self.scorer.space.architecture(indices).id
        done, checkpoint = folder / f"{stem}.json", folder / f"{stem}.safetensors"
        settings = asdict(config)
        if done.exists() and (kept := files.read_json(done, "a tuned network"))["config"] == settings:
            return dict(kept["tuned"])
        folder.mkdir(exist_ok=True)
        result = fit(
            self.scorer.subnetwork(indices),
            self.data,
            config,
            teacher=load_teacher(self.teacher, self.data),
            fresh=(),
            checkpoint=checkpoint,
            on_epoch=in_epochs(self.tell, f"tuning {name}"),
        )
        estimate = Estimate.of(result.seen)
        found = {
            "value": estimate.value,
            "interval": list(estimate.interval),
            "images": estimate.images,
            "merit": self.scorer.task.merit(result.val, self.config.class_weights),
            "epochs": result.config.epochs,
        }
        files.write_json(done, {"config": settings, "tuned": found})
        checkpoint.unlink(missing_ok=True)
        return found


def tuner_of(
    run: Path,
    record: SearchRecord,
    scorer: TrainedNetworks,
    data: Dataset | None,
    epochs: int | None,
    tell: Tell,
) -> Tuner | None:
    """What tunes the networks of a search; None where none is to be tuned.

    Args:
        run: Folder of the search.
        record: Its ``search.json``.
        scorer: What scored in it.
        data: Its images, where they were loaded before.
        epochs: Of tuning; 0 for no tuning, None for as many as are usual.
        tell: Told which network is tuned.

    Raises:
        TrainingError: The network that taught it is gone.
    """
    if epochs == 0 or not record.extra.get("controls") or (teacher := teacher_of(run)) is None:
        return None
    device = str((record.oneshot or {}).get("device", "cpu"))
    config = usual(record.seed, device, scorer.class_weights, epochs)
    return Tuner(run, scorer, data or dataset_of(record.data), teacher, config, tell)


def controls_of(space: SearchSpace, record: SearchRecord) -> dict[Indices, str]:
    """The controls of a search, and what kind each is."""
    key = Canonical(space).key
    return {key(i): name for name, some in record.extra.get("controls", {}).items() for i in some}


def settled(config: TrainConfig, data: Dataset) -> TrainConfig:
    """Settings of a tuning with its rate and its epochs: if none are asked for, 2, or those of 60 steps."""
    usual = tasks.of(data).usual(pretrained=True)
    config = replace(config, learning_rate=config.learning_rate or usual.short_rate)
    if config.epochs is not None:
        return config
    images = len(data.train)
    steps = steps_per_epoch(images, config.batch_size or min(usual.batch_size, images))
    return replace(config, epochs=max(_EPOCHS, math.ceil(_STEPS / steps)))


def usual(seed: int, device: str, class_weights: str = "none", epochs: int | None = None) -> TrainConfig:
    """How networks are tuned before they are compared: by their teacher too, on "cpu" or "cuda".

    No epochs are as many as are usual: who wants controls untuned wants sizes compared all the same.
    """
    return TrainConfig(
        epochs=epochs or None,
        seed=seed,
        device=device,
        distill_weight=TAUGHT,
        class_weights=class_weights,
    )
