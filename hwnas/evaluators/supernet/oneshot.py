"""A supernet with its images: weights are trained here, and architectures scored.

All randomness of a step follows from the seed and the step's number, so that a training that
was cut off goes on as if it had not been.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from hwnas import tasks
from hwnas.blocks.wired import Value, mapped
from hwnas.data.augment import Augmentation
from hwnas.data.batches import Batches
from hwnas.errors import SchemaMismatch, TrainingError
from hwnas.evaluators.base import Live, Traits, mean_seconds, require_data
from hwnas.evaluators.merits import OfAnswers
from hwnas.evaluators.supernet.config import OneShotConfig
from hwnas.evaluators.supernet.network import Gate, Supernet, proxy_space
from hwnas.evaluators.supernet.paths import Paths, release_for
from hwnas.evaluators.supernet.warm_up import warm_up
from hwnas.space import Architecture, SearchSpace
from hwnas.tasks.base import LossSettings, Score
from hwnas.train import checkpoint as files
from hwnas.train import norms, optim, ranks
from hwnas.train.lent import lent, origin

if TYPE_CHECKING:
    from hwnas.data import Dataset
    from hwnas.runs.folder import RunFolder

SCHEMA = "hwnas-supernet/1"
_OTHER = "give the supernet of another search as --supernet, or search into another folder without one"


class OneShot:
    """The supernet of a space on a dataset as an evaluator: ``evaluators.base.SharedWeights``.

    Args:
        space: The space that is searched; the supernet is a proxy of it.
        data: Weights are trained on the training split, architectures scored on validation.
        config: Settings.

    Attributes:
        config: The settings; the batch is not left open in them.
        batch_size: Images a step.
        supernet: The weights.
        paths: What a warm-up trains them on.
        task: What the images are for.
        criterion: What its weights are trained by.
        steps: Weight updates so far.
    """

    def __init__(self, space: SearchSpace, data: Dataset, config: OneShotConfig) -> None:
        self.task = tasks.of(data)
        require_data(space, data)
        config = config.resolved(len(data.train), self.task.usual(pretrained=True).batch_size)
        self.space = space
        self.config = config
        self.batch_size = config.batch_size or 0
        self.device = optim.pick_device(config.device)
        self.proxy = proxy_space(space, width=config.width, resolution=config.resolution)
        release = release_for(space) if config.release is None else config.release
        self.paths = Paths(space, config.seed, release)
        self.supernet = Supernet(self.proxy, config.seed, self.device, shut=self.paths.anchored)
        self._lent = self._begin() if self.proxy.is_begun else ()
        augmentation = Augmentation(crop=config.crop, flip=data.flip)
        self.batches = Batches(data, self.device, self.proxy.input_shape[1], augmentation)
        self.optimizer: torch.optim.Optimizer = optim.sgd(
            self.weights,
            learning_rate=config.learning_rate,
            momentum=config.momentum,
            weight_decay=config.weight_decay,
        )
        settings = LossSettings(class_weights=config.class_weights)
        self.criterion = self.task.criterion(data, settings, self.device)
        self.steps = 0
        self._scores: dict[tuple[int, ...], Score] = {}
        self._spent: list[float] = []

    def loss(
        self,
        split: str,
        gates: Sequence[Gate],
        step: int,
        *,
        in_weights: bool | None = None,
        share: int = 1,
        exact: bool = False,
    ) -> torch.Tensor:
        """The task's loss under gates on the augmented batch of a step.

        Where it is not differentiated in the weights, nothing is kept for that: unless ``in_weights`` says
        so, on all but the training split.

        Several processes share the batch, and their ``ranks.average`` of gradients is that of one process.
        ``exact`` is for second derivatives: in float32 on CUDA too, and of several processes each has the
        loss of a part of its own, whose batch norms know of no other, as they cannot meet on the way back.
        """
        self.supernet.train()
        self.supernet.requires_grad_(split == "train" if in_weights is None else in_weights)
        for parameter in self._lent:
            parameter.requires_grad_(False)
        part = (ranks.rank(), ranks.ranks() * share) if exact else (0, share)
        images, targets = self.batches.step(split, self.batch_size, self.config.seed, step, part)
        with ranks.alone() if exact else nullcontext():
            with norms.shared(self.supernet), optim.autocast(self.device, exact=exact):
                outputs = self.supernet(ranks.part(images), gates)
            outputs = ranks.gathered(mapped(torch.Tensor.float, outputs), len(images))
        return self.criterion.loss(outputs, targets)

    @property
    def weights(self) -> tuple[nn.Parameter, ...]:
        """All that ``weight_step`` trains: what others trained stays as it was."""
        lent = set(map(id, self._lent))
        return tuple(p for p in self.supernet.parameters() if id(p) not in lent)

    def _begin(self) -> tuple[nn.Parameter, ...]:
        """Put in the weights that the space has of known networks; returns them."""
        found = list[nn.Parameter]()
        for number, tensors in lent(self.proxy).items():
            module = self.supernet.mixed(number).candidates[0]
            module.load_state_dict(tensors, strict=False)  # all but the counts of batches
            found += module.parameters()
        return tuple(found)

    @property
    def rate(self) -> float:
        """The learning rate of the last update."""
        return float(self.optimizer.param_groups[0]["lr"])

    def weight_step(self, gates: Sequence[Gate], factor: float) -> float:
        """One update of the weights on a training batch, at a share of the learning rate.

        Weights that the gates leave out have no gradient at all, so that neither weight decay
        nor momentum moves them.
        """
        optim.set_learning_rate(self.optimizer, self.config.learning_rate * factor)
        loss = self.loss("train", gates, self.steps)
        value = optim.check_finite(loss, f"in step {self.steps + 1} of the supernet")
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        ranks.average(p.grad for p in self.supernet.parameters())
        nn.utils.clip_grad_norm_(self.supernet.parameters(), self.config.clip_norm)
        self.optimizer.step()
        self.steps += 1
        self._scores.clear()
        return value

    def score(self, indices: Sequence[int]) -> Score:
        """Metric and loss on validation, with batch norm recalibrated on training images."""
        key = tuple(indices)
        if key not in self._scores:
            began = time.monotonic()
            self._scores[key] = self._validate(key)
            self._spent.append(time.monotonic() - began)
        return self._scores[key]

    def __call__(self, arch: Architecture) -> float:
        """What the task ranks networks by, on validation; the loss tells equals apart."""
        counts = self.scored_images, self.space.num_classes
        return self.task.merit(self.score(arch.indices), self.class_weights, counts)

    @property
    def class_weights(self) -> str:
        """As of ``TrainedNetworks``."""
        return self.config.class_weights

    def all(self, architectures: Iterable[Architecture]) -> list[float]:
        """The scores of several, one after the other."""
        return list(map(self, architectures))

    def prepare(self, steps: int, *, on_step: Live, checkpoint: Path) -> None:
        """Train the supernet on random single paths until it has had so many steps."""
        warm_up(self, steps, on_step=on_step, checkpoint=checkpoint)

    def save_into(self, run: RunFolder) -> None:
        """Leave the supernet in a run."""
        self.save(run.supernet)

    @property
    def traits(self) -> Traits:
        """Repeatable; of other weights, scores of the same architecture differ."""
        side = self.proxy.input_shape[1]
        return Traits(
            f"shared weights after {self.steps} steps, width {self.config.width:g}, {side} pixels",
            images=self.merits.images,
            seconds=mean_seconds(self._spent),
        )

    @property
    def scored_images(self) -> int:
        """Validation images that an architecture is scored on."""
        return min(self.config.validation_images, self.batches.size("val"))

    @property
    def merits(self) -> OfAnswers:
        """Of answers to validation images; how certain, the scores say or, where they do not, the images."""
        known = [score.certainty for score in self._scores.values() if score.certainty is not None]
        images = int(np.median(known)) if known else self._effective_images
        return OfAnswers(self.task, self.class_weights, images)

    @cached_property
    def _effective_images(self) -> int:
        targets = self.batches.targets("val", self.config.validation_images, self.config.seed)
        return self.task.effective_images(targets, self.class_weights)

    def some(self, split: str, count: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Batches of so many random images of a split, the same for every architecture."""
        return self.batches.some(split, count, self.config.seed)

    @torch.no_grad()
    def subnetwork(self, indices: Sequence[int]) -> nn.Sequential:
        """One architecture of the proxy as a network of its own, with its own batch-norm statistics."""
        from hwnas import blocks

        arch = self.proxy.architecture(indices)
        self._recalibrate(arch.indices)
        network = blocks.network(arch)
        parts = list(self.supernet.parts(arch.indices))
        for own, place in zip(network, arch.flow.running, strict=True):
            own.load_state_dict(parts[place].state_dict())
        return network.eval()

    def _recalibrate(self, indices: tuple[int, ...]) -> None:
        images = (images for images, _ in self.some("train", self.config.recalibration_images))
        self.supernet.recalibrate(indices, images)

    @torch.no_grad()
    def _validate(self, indices: tuple[int, ...]) -> Score:
        self._recalibrate(indices)
        self.supernet.eval()
        losses: list[float] = []

        def answers() -> Iterator[tuple[Value, torch.Tensor]]:
            for images, targets in self.some("val", self.config.validation_images):
                with optim.autocast(self.device):
                    outputs = mapped(torch.Tensor.float, self.supernet(images, indices))
                losses.append(float(self.task.loss_sum(outputs, targets)))
                yield outputs, targets

        predictions = self.task.predictions(answers())
        return replace(predictions.score, loss=sum(losses) / predictions.images)

    def identity(self) -> dict[str, Any]:
        """What must be the same for scores to be taken over: the weights too."""
        digest = sha256()
        for parameter in self.supernet.parameters():  # batch-norm statistics are made anew for each score
            digest.update(parameter.detach().cpu().contiguous().numpy().tobytes())
        return {**self.origin(), "steps": self.steps, "weights": digest.hexdigest()[:16]}

    def origin(self) -> dict[str, Any]:
        """What must be the same for weights to be taken over."""
        return {
            "space": self.space.fingerprint,
            "data": self.batches.data.fingerprint,
            "config": {k: v for k, v in self.config.recorded().items() if k != "device"},
        }

    def tensors(self) -> files.Tensors:
        """Weights and momenta."""
        momenta = files.optimizer_tensors(self.optimizer, self.supernet.named_parameters())
        weights = {f"supernet:{k}": v for k, v in self.supernet.state_dict().items()}
        return weights | {f"momentum:{k}": v for k, v in momenta.items()}

    def restore(self, tensors: Mapping[str, torch.Tensor], steps: int, path: Path) -> None:
        """Put back what ``tensors`` gave, after so many steps."""
        parts: dict[str, files.Tensors] = {"supernet": {}, "momentum": {}}
        for key, tensor in tensors.items():
            part, name = key.split(":", 1)
            if part in parts:
                parts[part][name] = tensor
        files.copy_into(self.supernet, parts["supernet"], path)
        files.restore_optimizer(self.optimizer, self.supernet.named_parameters(), parts["momentum"])
        self.steps = steps
        self._scores.clear()

    def taken(self, indices: Sequence[int]) -> files.Tensors:
        """A copy of the weights of one architecture."""
        own = {id(value): name for name, value in self.supernet.state_dict(keep_vars=True).items()}
        parts = (part.state_dict(keep_vars=True).values() for part in self.supernet.path(indices))
        values = {own[id(value)]: value for values in parts for value in values}
        return {name: value.detach().cpu().clone() for name, value in values.items()}

    @torch.no_grad()
    def put(self, tensors: Mapping[str, torch.Tensor]) -> None:
        """Put back what ``taken`` gave; no momentum of before goes on."""
        own = self.supernet.state_dict()
        for name, value in tensors.items():
            own[name].copy_(value)
        self.optimizer.state.clear()
        self._scores.clear()

    def save(self, path: Path) -> None:
        """Write the weights, so that another strategy need not train them again."""
        self.write(path, self.tensors())

    def write(self, path: Path, tensors: Mapping[str, torch.Tensor], **more: Any) -> None:
        """Write tensors with what they are of, and more; of the processes of torchrun, the first one does."""
        if ranks.rank() == 0:
            metadata = {"schema": SCHEMA, "steps": self.steps, **self.origin(), **more}
            files.save_tensors(path, tensors, metadata)

    @classmethod
    def load(cls, path: Path, space: SearchSpace, data: Dataset, *, device: str = "cpu") -> OneShot:
        """The supernet of ``save``, with the settings it was trained under.

        Raises:
            SchemaMismatch: It is of another space or of other data.
            TrainingError: The file is damaged.
        """
        if not path.exists():
            what = f"a supernet must be there, but {path} does not exist"
            raise SchemaMismatch(f"{what}: {_OTHER}", field="supernet")
        tensors, metadata = files.read_tensors(path, SCHEMA, _OTHER)
        try:
            config = OneShotConfig(**metadata["config"], device=device)
        except (KeyError, TypeError, TrainingError) as error:
            raise SchemaMismatch(
                f"{path} must name its settings, but does not: {error}: {_OTHER}", field="config"
            ) from error
        oneshot = cls(space, data, config)
        oneshot._take_over(tensors, metadata, path, _OTHER)
        return oneshot

    def resume(self, path: Path) -> None:
        """Go on from weights of ``save``.

        Raises:
            SchemaMismatch: They are of another space, other data or other settings.
            TrainingError: The file is damaged.
        """
        remedy = "delete it to start anew"
        self._take_over(*files.read_tensors(path, SCHEMA, remedy), path, remedy)

    def _take_over(
        self, tensors: files.Tensors, metadata: Mapping[str, Any], path: Path, remedy: str
    ) -> None:
        for field, value in self.origin().items():
            if metadata.get(field) != value:
                raise SchemaMismatch(
                    f"a supernet must be of the same {field}, but {path} has "
                    f"{metadata.get(field)} instead of {value}: {remedy}",
                    field=field,
                )
        self.restore(tensors, metadata["steps"], path)

    def describe(self) -> dict[str, Any]:
        """The settings, and what the supernet had of them, as JSON."""
        return {
            **self.config.recorded(),
            "proxy": self.proxy.name,
            "steps": self.steps,
            "images": self.steps * self.batch_size,
            **({"began_with": dict(origin(self.proxy))} if self._lent else {}),
        }
