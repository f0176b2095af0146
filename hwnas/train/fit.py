"""Training one network from scratch, resumable to the last bit.

No state of a random generator is saved: the order of the images, their augmentation and their
mixing in an epoch follow from the seed and the epoch's number alone, so that a resumed run
draws what an uninterrupted one would have drawn.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from hwnas import blocks
from hwnas.data.augment import Augmentation
from hwnas.data.batches import Batches, steps_per_epoch
from hwnas.errors import TrainingError
from hwnas.train import checkpoint as files
from hwnas.train import optim
from hwnas.train.average import averaged
from hwnas.train.config import EpochRecord, Score, TrainConfig, TrainResult
from hwnas.train.divergence import Watch
from hwnas.train.objective import Objective, Outcome
from hwnas.train.teacher import Teacher

if TYPE_CHECKING:
    from hwnas.data import Dataset
    from hwnas.space import Architecture

_SCHEMA = "hwnas-checkpoint/2"


def new_network(architecture: Architecture, seed: int) -> nn.Module:
    """The network with fresh weights that follow from the seed; global random state is kept."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return optim.place(blocks.build(architecture.blocks), torch.device("cpu"))


def fit(
    model: nn.Module,
    data: Dataset,
    config: TrainConfig,
    *,
    teacher: Teacher | None = None,
    origin: Mapping[str, Any] | None = None,
    checkpoint: Path | None = None,
    before_epoch: Callable[[], None] = lambda: None,
    on_epoch: Callable[[EpochRecord], None] = lambda _: None,
) -> TrainResult:
    """Train the weights of a network on the training split.

    Args:
        model: Answers (n, classes) for (n, channels, height, width); trained in place. It ends
            with the averaged weights where ``config.ema`` asks for an average.
        data: Images; the test split is not touched.
        config: Settings.
        teacher: Whose answers are learnt as well, by ``config.distill_weight``.
        origin: Where the model's first weights come from, as JSON.
        checkpoint: Written after every epoch; where it is there already, training goes on
            from it and ends with the same weights as an uninterrupted run.
        before_epoch: Called before every epoch; what it does to the model must follow from
            the model's weights alone.
        on_epoch: Called after every epoch.

    Raises:
        Diverged: The loss became NaN or far too high.
        TrainingError: The checkpoint is of another training, or teacher and ``distill_weight``
            do not go together.
    """
    return _Fit(model, data, config, teacher, origin or {}).run(checkpoint, before_epoch, on_epoch)


def evaluate(model: nn.Module, data: Dataset, split: str = "val", *, batch_size: int = 256) -> Score:
    """Accuracy and loss on a split, with the batch-norm statistics the model holds."""
    device = next(model.parameters()).device
    return score(model, Batches(data, device), split, batch_size)


@torch.no_grad()
def score(model: nn.Module, batches: Batches, split: str, batch_size: int = 256) -> Score:
    """What ``evaluate`` does, on batches that are there already."""
    was_training = model.training
    model.eval()
    correct, loss, count = 0.0, 0.0, 0
    for images, labels in batches.ordered(split, batch_size):
        with optim.autocast(batches.device):
            logits = model(images)
        loss += float(functional.cross_entropy(logits.float(), labels, reduction="sum"))
        correct += float((logits.argmax(1) == labels).sum())
        count += len(labels)
    model.train(was_training)
    return Score(correct / count, loss / count)


class _Fit:
    """One training: the model, its optimiser, and what has been done so far."""

    def __init__(
        self,
        model: nn.Module,
        data: Dataset,
        config: TrainConfig,
        teacher: Teacher | None,
        origin: Mapping[str, Any],
    ) -> None:
        if (teacher is not None) != (config.distill_weight > 0):
            raise TrainingError(
                "a teacher must be given together with a distill_weight over 0, but got "
                f"{'a' if teacher else 'no'} teacher and {config.distill_weight}"
            )
        self.config = config
        self.origin = dict(origin) | ({"teacher": dict(teacher.record)} if teacher else {})
        self.device = optim.pick_device(config.device)
        self.model = optim.place(model, self.device)
        self.average = averaged(self.model, config.ema) if config.ema else None
        self.optimizer = optim.sgd(
            model.parameters(),
            learning_rate=config.learning_rate,
            momentum=config.momentum,
            weight_decay=config.weight_decay,
        )
        flip = data.flip if config.flip is None else config.flip
        self.batches = Batches(
            data, self.device, augmentation=Augmentation(config.crop, flip, config.erasing)
        )
        guide = None if teacher is None else optim.place(teacher.network, self.device).eval()
        self.objective = Objective(config, data.num_classes, guide)
        self.watch = Watch(data.num_classes)
        self.history: list[EpochRecord] = []

    def run(
        self,
        checkpoint: Path | None,
        before_epoch: Callable[[], None],
        on_epoch: Callable[[EpochRecord], None],
    ) -> TrainResult:
        if checkpoint is not None and checkpoint.exists():
            self._resume(checkpoint)
        while len(self.history) < self.config.epochs:
            before_epoch()
            record = self._epoch(len(self.history) + 1)
            self.history.append(record)
            if checkpoint is not None:
                self._save(checkpoint)
            on_epoch(record)
        if self.average is not None:
            self.model.load_state_dict(self.average.module.state_dict())
        last = self.history[-1]
        val = Score(last.val_accuracy, last.val_loss)
        return TrainResult(self.config, tuple(self.history), val, self.origin)

    def _epoch(self, epoch: int) -> EpochRecord:
        began = time.perf_counter()
        config = self.config
        order, mixing = (np.random.default_rng([config.seed, epoch, *part]) for part in ((), (1,)))
        steps = steps_per_epoch(self.batches.size("train"), config.batch_size)
        self.model.train()
        loss, correct, count = 0.0, 0.0, 0
        for number, (images, labels) in enumerate(
            self.batches.epoch("train", config.batch_size, order, augmented=config.augment)
        ):
            outcome = self._step(images, labels, mixing, (epoch - 1) * steps + number, steps)
            loss += float(outcome.loss.detach()) * len(labels)
            correct += float(outcome.correct)
            count += len(labels)
        val = score(self.model if self.average is None else self.average, self.batches, "val")
        optim.check_finite(val.loss, f"on validation after epoch {epoch}")
        return EpochRecord(
            epoch=epoch,
            loss=loss / count,
            accuracy=correct / count,
            val_accuracy=val.accuracy,
            val_loss=val.loss,
            learning_rate=self.optimizer.param_groups[0]["lr"],
            seconds=time.perf_counter() - began,
        )

    def _step(
        self,
        images: torch.Tensor,
        labels: torch.Tensor,
        mixing: np.random.Generator,
        step: int,
        steps_an_epoch: int,
    ) -> Outcome:
        config = self.config
        steps = steps_an_epoch * config.epochs
        factor = optim.cosine(step, steps, round(config.warmup_share * steps))
        optim.set_learning_rate(self.optimizer, config.learning_rate * factor)
        outcome = self.objective(self.model, images, labels, mixing)
        self.watch.see(outcome.cross_entropy, f"in step {step + 1} of {steps}")
        self.optimizer.zero_grad(set_to_none=True)
        outcome.loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.model.parameters(), config.clip_norm)
        self.optimizer.step()
        if self.average is not None:
            self.average.update_parameters(self.model)
        return outcome

    def _identity(self) -> dict[str, object]:
        """What a checkpoint must share with this training to be continued by it."""
        return {
            "config": asdict(self.config),
            "data": self.batches.data.fingerprint,
            "origin": self.origin,
        }

    def _save(self, path: Path) -> None:
        momenta = files.optimizer_tensors(self.optimizer, self.model.named_parameters())
        state = {f"model:{k}": v for k, v in self.model.state_dict().items()}
        state |= {f"optimizer:{k}": v for k, v in momenta.items()}
        if self.average is not None:
            state |= {f"average:{k}": v for k, v in self.average.state_dict().items()}
        metadata = {"schema": _SCHEMA, **self._identity(), "history": [asdict(r) for r in self.history]}
        files.save_tensors(path, state, metadata)

    def _resume(self, path: Path) -> None:
        tensors, metadata = files.read_tensors(path, _SCHEMA)
        for key, value in self._identity().items():
            if metadata.get(key) != value:
                raise TrainingError(
                    f"a checkpoint must be of the same training, but {path} differs in its {key}: "
                    "delete it to start anew"
                )
        parts: dict[str, files.Tensors] = {"model": {}, "optimizer": {}, "average": {}}
        for key, tensor in tensors.items():
            part, name = key.split(":", 1)
            parts[part][name] = tensor
        files.copy_into(self.model, parts["model"], path)
        files.restore_optimizer(self.optimizer, self.model.named_parameters(), parts["optimizer"])
        if self.average is not None:
            files.copy_into(self.average, parts["average"], path)
        self.history = [EpochRecord(**record) for record in metadata["history"]]
