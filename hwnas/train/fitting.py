"""Training one network, from random or from learned weights, resumable to the last bit.

No state of a random generator is saved: the order of the images, their augmentation and their
mixing in an epoch follow from the seed and the epoch's number alone, so that a resumed run
draws what an uninterrupted one would have drawn.

Several processes of ``torchrun`` do what one would: each answers a part of every batch (``ranks``), batch
norms normalise by all of it (``norms``), and the first one tells and writes. Checkpoints do not know how many
there were.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from hwnas import blocks, tasks
from hwnas.blocks import statistics
from hwnas.data.augment import Augmentation
from hwnas.data.batches import Batches, steps_per_epoch
from hwnas.errors import TrainingError
from hwnas.seeding import Seeded
from hwnas.train import checkpoint as files
from hwnas.train import norms, optim, ranks
from hwnas.train.auxiliary import heads_for, require_possible
from hwnas.train.average import averaged
from hwnas.train.config import EpochRecord, Kept, OnStep, TrainConfig, TrainResult
from hwnas.train.divergence import Watch
from hwnas.train.frozen import near_image
from hwnas.train.loss import BatchLoss, TrainingLoss
from hwnas.train.scoring import look
from hwnas.train.teacher import Teacher

if TYPE_CHECKING:
    from hwnas.data import Dataset
    from hwnas.space import Architecture
    from hwnas.tasks.base import Predictions, Score

_SCHEMA = "hwnas-checkpoint/3"
_RECALIBRATION_IMAGES = 2048
_HEAD_FACTOR = 0.5
"""Learning rate of a last layer that learns alone, over that of the whole network."""


def new_network(architecture: Architecture, seed: int) -> nn.Module:
    """The network with fresh weights that follow from the seed; PyTorch's own random state is left alone."""
    with Seeded(seed):
        return optim.place(blocks.network(architecture), torch.device("cpu"))


def fit(
    model: nn.Module,
    data: Dataset,
    config: TrainConfig,
    *,
    teacher: Teacher | None = None,
    origin: Mapping[str, Any] | None = None,
    fresh: Collection[str] | None = None,
    checkpoint: Path | None = None,
    before_epoch: Callable[[], None] = lambda: None,
    recalibrate: Callable[[Iterable[torch.Tensor]], None] | None = None,
    on_epoch: Callable[[EpochRecord], None] = lambda _: None,
    on_step: OnStep = lambda _done, _steps: None,
) -> TrainResult:
    """Train the weights of a network on the training split.

    The weights that stay are those of the epoch that does best on the validation split, or of the
    last, with the batch-norm statistics that training left or with statistics that are estimated
    anew: whichever does best there.

    Args:
        model: Answers what the task wants for (n, channels, height, width); trained in place. It ends
            with averaged weights where ``config.ema`` asks for an average.
        data: Images; the test split is not touched.
        config: Settings.
        teacher: Whose answers are learnt as well, by ``config.distill_weight``.
        origin: Where the model's first weights come from, as JSON.
        fresh: Names of the parameters that are random at first, where all others know pictures already:
            those learn alone in the ``head_epochs``. None where all are random.
        checkpoint: Written after every epoch; where it is there already, training goes on
            from it and ends with the same weights as an uninterrupted run.
        before_epoch: Called before every epoch; what it does to the model must follow from
            the model's weights alone.
        recalibrate: Estimates the model's batch-norm statistics anew from batches of training
            images; by default with all layers normalising by the batch.
        on_epoch: Called after every epoch, in the first process.
        on_step: Called after every step, in the first process.

    Raises:
        Diverged: The loss became NaN or far too high.
        TrainingError: The checkpoint is of another training, or teacher and ``distill_weight``
            do not go together, or a batch has more images than there are, or there can be no auxiliary heads,
            or processes have less than two images of a batch each, or begin with different things.
    """
    usual = tasks.of(data).usual(pretrained=fresh is not None)
    settings = config.resolved(len(data.train), usual)
    if not fresh:
        settings = replace(settings, head_epochs=0, frozen_stride=0)  # all of it knows as much
    trainer = _Fit(model, data, settings, teacher, origin or {}, frozenset(fresh or ()))
    trainer.run(checkpoint, before_epoch, on_epoch, on_step)
    return trainer.settle(
        recalibrate or partial(statistics.recalibrate, trainer.model, frozen=trainer.frozen)
    )


class _Fit:
    """One training: the model, its optimiser, and what has been done so far."""

    def __init__(
        self,
        model: nn.Module,
        data: Dataset,
        config: TrainConfig,
        teacher: Teacher | None,
        origin: Mapping[str, Any],
        fresh: Collection[str],
    ) -> None:
        if (teacher is not None) != (config.distill_weight > 0):
            raise TrainingError(
                "a teacher must be given together with a distill_weight over 0, but got "
                f"{'a' if teacher else 'no'} teacher and {config.distill_weight}"
            )
        _require_enough(config.batch_size or 0)
        self.config = config
        self.origin = dict(origin) | ({"teacher": dict(teacher.record)} if teacher else {})
        self.device = optim.pick_device(config.device)
        self.model = optim.place(model, self.device)
        self.average = averaged(self.model, config.ema) if config.ema else None
        self.task = tasks.of(data)
        require_possible(config.auxiliary, self.task)
        self.heads = heads_for(self.model, data, config)
        self.fresh = fresh
        stride = config.frozen_stride
        self.frozen = near_image(self.model, data.image_shape, stride, fresh) if stride else ()
        self.rate, layer_decay = config.learning_rate or 0.0, config.layer_decay or 1.0
        parts = [list(part.parameters()) for part in (model.children() if layer_decay < 1 else (model,))]
        parts[-1].extend(self.heads.parameters())
        groups = optim.by_depth(parts, layer_decay, config.weight_decay)
        self.optimizer = optim.of_kind(config.optimizer, groups, self.rate, config.momentum)
        self.scaler = optim.scaler(self.device, config.precision)
        flip = data.flip if config.flip is None else config.flip
        self.batches = Batches(
            data, self.device, augmentation=Augmentation(config.crop, flip, config.erasing)
        )
        guide = None if teacher is None else optim.place(teacher.network, self.device).eval()
        criterion = self.task.criterion(data, config.loss, self.device)
        self.objective = TrainingLoss(
            criterion, guide, config.distill_weight, tuple(self.heads), config.auxiliary, config.precision
        )
        self.watch = Watch(*self.task.blindness(data))
        self.epochs, self.batch_size = config.epochs or 0, config.batch_size or 0
        self.history: list[EpochRecord] = []
        self.best: files.Tensors = {}
        self.best_epoch = 0
        self.seen: dict[int, Predictions] = {}  # of the best epoch and of the last one, on validation

    def run(
        self,
        checkpoint: Path | None,
        before_epoch: Callable[[], None],
        on_epoch: Callable[[EpochRecord], None],
        on_step: OnStep,
    ) -> None:
        if checkpoint is not None and checkpoint.exists():
            self._resume(checkpoint)
        self._require_same()
        is_first = ranks.rank() == 0
        while len(self.history) < self.epochs:
            before_epoch()
            record = self._epoch(len(self.history) + 1, on_step if is_first else lambda _done, _steps: None)
            self.history.append(record)
            if record.epoch == 1 or self._worth(record.val) > self._worth(
                self.history[self.best_epoch - 1].val
            ):
                self.best, self.best_epoch = self._weights(), record.epoch
            wanted = (self.best_epoch, record.epoch)
            self.seen = {epoch: found for epoch, found in self.seen.items() if epoch in wanted}
            if checkpoint is not None and is_first:
                self._save(checkpoint)
            if is_first:
                on_epoch(record)

    def settle(self, recalibrate: Callable[[Iterable[torch.Tensor]], None]) -> TrainResult:
        """Leave the model with the best weights and statistics that it had or can have."""
        found: list[tuple[Kept, Score, files.Tensors, Predictions | None]] = []
        for epoch, weights in {self.best_epoch: self.best, self.epochs: self._weights()}.items():
            files.copy_into(self.model, weights, "memory")
            found.append((Kept(epoch, False), self.history[epoch - 1].val, weights, self.seen.get(epoch)))
            recalibrate(
                images for images, _ in self.batches.some("train", _RECALIBRATION_IMAGES, self.config.seed)
            )
            renewed = self._look(self.model)
            found.append((Kept(epoch, True), renewed.score, self._copied(self.model), renewed))
        kept, val, weights, seen = max(found, key=lambda item: self._worth(item[1]))
        files.copy_into(self.model, weights, "memory")
        self.model.requires_grad_(True)
        optim.check_finite(val.loss, "on validation after the last epoch")
        seen = seen or self._look(self.model)  # of an epoch before training was cut off
        return TrainResult(self.config, tuple(self.history), val, kept, seen, self.origin)

    def _look(self, model: nn.Module) -> Predictions:
        return look(model, self.batches, "val", precision=self.config.precision)

    def _worth(self, score: Score) -> tuple[float, float]:
        """What weights are chosen by: the metric, balanced where classes are weighed; then the loss."""
        is_balanced = self.config.class_weights == "balanced" and score.balanced is not None
        loss = score.loss if math.isfinite(score.loss) else math.inf
        return self.task.metric.better((score.balanced or 0.0) if is_balanced else score.value), -loss

    def _weights(self) -> files.Tensors:
        """What would ship now: the averaged weights where there is an average."""
        return self._copied(self.model if self.average is None else self.average.module)

    @staticmethod
    def _copied(model: nn.Module) -> files.Tensors:
        return {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}

    def _epoch(self, epoch: int, on_step: OnStep) -> EpochRecord:
        began = time.perf_counter()
        config = self.config
        order, mixing = (np.random.default_rng([config.seed, epoch, *part]) for part in ((), (1,)))
        steps = steps_per_epoch(self.batches.size("train"), self.batch_size)
        self._set_modes((epoch - 1) * steps, steps)
        loss, total, count = 0.0, 0.0, 0
        batches = self.batches.epoch("train", self.batch_size, order, augmented=config.augment)
        with norms.shared(self.model):
            for number, (images, targets) in enumerate(batches):
                step = (epoch - 1) * steps + number
                outcome = self._step(images, targets, mixing, step, steps)
                loss += float(outcome.loss.detach()) * len(targets)
                total += float(outcome.total)
                count += len(targets)
                on_step(step + 1, steps * self.epochs)
        self.seen[epoch] = self._look(self.model if self.average is None else self.average)
        val = self.seen[epoch].score
        optim.check_finite(val.loss, f"on validation after epoch {epoch}")
        return EpochRecord(
            epoch=epoch,
            loss=loss / count,
            value=total / count,
            val_value=val.value,
            val_loss=val.loss,
            learning_rate=self.optimizer.param_groups[0]["lr"],
            seconds=ranks.of_first(time.perf_counter() - began),
            epochs=self.epochs,
            val_balanced=val.balanced,
            metric=self.task.metric,
        )

    def _step(
        self,
        images: torch.Tensor,
        targets: torch.Tensor,
        mixing: np.random.Generator,
        step: int,
        steps_an_epoch: int,
    ) -> BatchLoss:
        config, before, steps = self.config, self._alone(steps_an_epoch), steps_an_epoch * self.epochs
        if step in (before, self._frozen_from(steps)):
            self._set_modes(step, steps_an_epoch)
        factor = _HEAD_FACTOR
        if step >= before:
            left = steps - before
            factor = optim.cosine(step - before, left, round(config.warmup_share * left))
        optim.set_learning_rate(self.optimizer, self.rate * factor)
        outcome = self.objective(self.model, images, targets, mixing)
        self.watch.see(outcome.task_loss, f"in step {step + 1} of {steps}")
        self.optimizer.zero_grad(set_to_none=True)
        self.scaler.scale(outcome.loss).backward()  # type: ignore[no-untyped-call]
        learning = [parameter for _, parameter in self._learning()]
        ranks.average(parameter.grad for parameter in learning)
        self.scaler.unscale_(self.optimizer)
        nn.utils.clip_grad_norm_(learning, config.clip_norm)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        if self.average is not None:
            self.average.update_parameters(self.model)
        return outcome

    def _learning(self) -> list[tuple[str, nn.Parameter]]:
        """All that is trained, by name: the network's parameters, and those of auxiliary heads."""
        return [*self.model.named_parameters(), *self.heads.named_parameters(prefix="auxiliary")]

    def _alone(self, steps_an_epoch: int) -> int:
        """Steps at the beginning in which only what is fresh learns."""
        return (self.config.head_epochs or 0) * steps_an_epoch

    def _frozen_from(self, steps: int) -> int:
        """The first step in which batch norms use the statistics that they have."""
        return steps - round((self.config.freeze_share or 0.0) * steps)

    def _set_modes(self, step: int, steps_an_epoch: int) -> None:
        """What learns from a step on, and by which statistics; it follows from the number of the step."""
        is_alone = step < self._alone(steps_an_epoch)
        is_frozen = is_alone or step >= self._frozen_from(steps_an_epoch * self.epochs)
        self.model.train()
        for name, parameter in self.model.named_parameters():
            parameter.requires_grad_(not is_alone or name in self.fresh)
        for path, module in self.model.named_modules():
            is_fresh = is_alone and f"{path}.weight" in self.fresh  # its statistics say nothing yet
            if is_frozen and isinstance(module, nn.BatchNorm2d) and not is_fresh:
                module.eval()
        for part in self.frozen:
            part.eval().requires_grad_(False)

    def _identity(self) -> dict[str, object]:
        """What a checkpoint must share with this training to be continued by it."""
        return {
            "config": asdict(self.config),
            "data": self.batches.data.fingerprint,
            "origin": self.origin,
        }

    def _require_same(self) -> None:
        """Refuse processes that go on from something else, on other images or with other weights."""
        if ranks.ranks() == 1:
            return
        state = (each.cpu().reshape(-1).view(torch.uint8) for each in self._weights().values())
        ranks.require_same(
            {
                "settings": repr((self.config, self.origin)).encode(),
                "images": str(self.batches.data.fingerprint).encode(),
                "checkpoint": repr(self.history).encode(),
                "weights": b"".join(each.numpy().tobytes() for each in state),
            }
        )

    def _save(self, path: Path) -> None:
        momenta = files.optimizer_tensors(self.optimizer, self._learning())
        state = {f"model:{k}": v for k, v in self.model.state_dict().items()}
        state |= {f"auxiliary:{k}": v for k, v in self.heads.state_dict().items()}
        state |= {f"optimizer:{k}": v for k, v in momenta.items()}
        if self.average is not None:
            state |= {f"average:{k}": v for k, v in self.average.state_dict().items()}
        if self.best_epoch < len(self.history):  # otherwise it is what the model has
            state |= {f"best:{k}": v for k, v in self.best.items()}
        metadata = {
            "schema": _SCHEMA,
            **self._identity(),
            "scaler": self.scaler.state_dict(),
            "history": [r.to_json() for r in self.history],
            "best_epoch": self.best_epoch,
        }
        files.save_tensors(path, state, metadata)

    def _resume(self, path: Path) -> None:
        tensors, metadata = files.read_tensors(path, _SCHEMA, "delete it to start anew")
        metadata["config"] = asdict(TrainConfig.of_record(metadata.get("config", {})))  # also an older one
        for key, value in self._identity().items():
            if metadata.get(key) != value:
                raise TrainingError(
                    f"a checkpoint must be of the same training, but {path} differs in its {key}: "
                    "delete it to start anew"
                )
        names = ("model", "auxiliary", "optimizer", "average", "best")
        parts: dict[str, files.Tensors] = {name: {} for name in names}
        for key, tensor in tensors.items():
            part, name = key.split(":", 1)
            parts[part][name] = tensor
        files.copy_into(self.model, parts["model"], path)
        files.copy_into(self.heads, parts["auxiliary"], path)
        files.restore_optimizer(self.optimizer, self._learning(), parts["optimizer"])
        if self.average is not None:
            files.copy_into(self.average, parts["average"], path)
        self.scaler.load_state_dict(metadata.get("scaler", {}))
        self.history = [EpochRecord.from_json(record, self.task.metric) for record in metadata["history"]]
        self.best_epoch = metadata["best_epoch"]
        best = parts["best"] or self._weights()
        self.best = {name: tensor.to(self.device) for name, tensor in best.items()}


def _require_enough(batch_size: int) -> None:
    """Refuse a batch of which a process would have less than two images; a last one may be half as large."""
    if ranks.ranks() > 1 and batch_size < 2 * ranks.ranks():
        raise TrainingError(
            f"batch_size must be at least 2 for each of {ranks.ranks()} processes, but got {batch_size}: "
            "take a larger batch or fewer processes"
        )
