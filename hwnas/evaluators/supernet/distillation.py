"""Candidates learn from one network, each from that network's block in its place.

Every candidate begins with what fits of the teacher's weights (``Block.inherit``) and is drawn to the
teacher's features, all of them in parallel on the same batch (DNA, arXiv:1911.13053; DONNA,
arXiv:2012.08859). The loss is the squared error over the variance of each channel, so that all places
count alike. Errors that add up are seen in training: with even chance a choice is fed what a random
candidate before it makes, instead of the teacher's own features. *Layer by layer* it is not: then no choice
depends on another one, as losses, rates, momenta and statistics are each candidate's own.

Decoders inherit next to nothing: they learn from further batches, which cost little where nothing else
learns. What answers learns by the task's loss, of the truth and of the teacher's answers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from torch import nn

from hwnas.blocks import statistics
from hwnas.blocks.wired import Value, mapped, tensors
from hwnas.known import decoders
from hwnas.latency.base import FloatArray
from hwnas.train import optim, ranks

if TYPE_CHECKING:
    from hwnas.evaluators.supernet.network import Supernet, Values
    from hwnas.tasks.base import Criterion

LEARNING_RATE = 8e-3
"""Of Adam at the beginning, for what is not a filter."""

STEP = 0.08
"""Of a filter at the beginning, over the root mean square of its weights.

Filters of a pretrained network differ tenfold in length, and one that is normed learns as fast as it is short
(arXiv:1706.05350): steps in proportion (arXiv:1804.04235, section 8) are as large for all. Mean loss of all
candidates around EfficientNet-Lite0 after 120 steps on photos of clothes at 96 px, one seed: with the same
step for all weights 0.1275 (2e-3), 0.1149 (4e-3), 0.1101 (8e-3); with relative ones 0.1186 (0.02), 0.1084
(0.04), 0.1047 (0.08), 0.1062 (0.12).
"""

MORE = 4
"""Batches that decoders alone learn from, beside each one that all candidates learn from.

Each has an eighth of the multiply-adds of the other one, for EfficientNet-Lite0 and nine decoders of pixels
at 128 px. Other numbers were not tried.
"""

_DEAD = 1e-4
"""Variance of a channel, over the mean of all, under which it says nothing."""


class Distillation:
    """The candidates of a supernet as pupils of one of its paths.

    Args:
        supernet: Its weights change, but for those of the teacher.
        teacher: The candidate of each choice that the others learn from.
        optimizer: Of an earlier part of the same distillation, whose momenta go on; or any other.
        criterion: The task's.
        only: The choices whose candidates learn; all where it is None.
    """

    def __init__(
        self,
        supernet: Supernet,
        teacher: Sequence[int],
        optimizer: torch.optim.Optimizer,
        criterion: Criterion,
        only: Sequence[int] | None = None,
    ) -> None:
        self.supernet, self.teacher, self.criterion = supernet, tuple(teacher), criterion
        choices = supernet.space.choices
        self.numbers = tuple(range(len(choices)) if only is None else only)
        decoding = (n for n, choice in enumerate(choices) if choice.name in decoders.NAMES)
        first = next(decoding, len(choices))
        self.decoders = tuple(number for number in self.numbers if number >= first)
        self._answers = len(choices) - 1 if self.decoders and not supernet.space.head else None
        pupils = [p for _, _, module in self.pupils() for p in module.parameters()]
        self._filters = [p for p in pupils if p.ndim > 1]
        groups: list[dict[str, Any]] = [{"params": [p]} for p in self._filters]
        self.optimizer = torch.optim.Adam([*groups, {"params": [p for p in pupils if p.ndim <= 1]}])
        for parameter in pupils:
            if "exp_avg" in (state := optimizer.state.get(parameter, {})):
                self.optimizer.state[parameter] = state

    def pupils(self) -> Iterator[tuple[int, int, nn.Module]]:
        """Choice, candidate and module of all that can learn."""
        for number, index, module in self.candidates():
            if self._learns(number, index, module):
                yield number, index, module

    def _learns(self, number: int, index: int, module: nn.Module) -> bool:
        return index != self.teacher[number] and any(True for _ in module.parameters())

    def candidates(self) -> Iterator[tuple[int, int, nn.Module]]:
        """Choice, candidate and module of all of them, the teacher's own among them."""
        for number in self.numbers:
            for index, module in enumerate(self.supernet.mixed(number).candidates):
                yield number, index, module

    def run(self, number: int, index: int, values: Values) -> Value:
        """What a candidate gives on what others gave, in the mode that it is in; in training precision."""
        with optim.autocast(next(self.supernet.parameters()).device):
            return self.supernet.mixed(number).run(index, values)

    @torch.no_grad()
    def inherit(self) -> None:
        """Give every candidate what fits of the teacher's weights."""
        for number, index, module in self.pupils():
            blocks, best = self.supernet.space.choices[number].candidates, self.teacher[number]
            blocks[index].inherit(module, blocks[best], self._module(number, best))

    def _module(self, choice: int, index: int) -> nn.Module:
        return cast(nn.ModuleList, self.supernet.choices[choice].candidates)[index]

    @torch.no_grad()
    def features(self, images: torch.Tensor) -> Values:
        """What the teacher's blocks give, by the numbers of their choices, -1 the stem; in eval mode.

        Those behind the last choice whose candidates learn do not run.
        """
        for part in self.supernet.path(self.teacher):
            part.eval()
        with optim.autocast(images.device):
            found: Values = {-1: self.supernet.stem(images)}
        for number, index in enumerate(self.teacher[: max(self.numbers) + 1]):
            found[number] = self.run(number, index, found)
        return found

    def step(
        self,
        images: torch.Tensor,
        targets: torch.Tensor,
        factor: float,
        rng: np.random.Generator | None = None,
    ) -> float:
        """One update of all candidates at a share of the learning rate; returns their mean loss.

        Args:
            images: The batch.
            targets: What is true of it.
            factor: The share.
            rng: Says who is fed what candidates before it make; layer by layer nobody is, without it.
        """
        self._begin(factor)
        if rng is None:
            return self._update(self._losses(self.numbers, images, targets))
        features, before, losses = self.features(images), None, []
        for number, choice in enumerate(self.supernet.choices):
            candidates = cast(nn.ModuleList, choice.candidates)
            source = features
            if before is not None and rng.random() < 0.5:
                source = {**features, number - 1: before}
            passed = int(rng.integers(len(candidates)))
            measure = self._measure(number, features[number], targets)
            for index, module in enumerate(candidates):
                learns = self._learns(number, index, module)
                if not learns and index != passed:
                    continue
                module.train(learns)
                with torch.set_grad_enabled(learns):
                    made = self.run(number, index, source)
                if learns:
                    losses.append(_learnt(measure(made)))
                if index == passed:
                    before = mapped(torch.Tensor.detach, made)
        return self._update(losses)

    def step_of_decoders(self, images: torch.Tensor, targets: torch.Tensor, factor: float) -> None:
        """One update of decoders alone, on features of the teacher, at a share of the learning rate."""
        self._begin(factor)
        self._update(self._losses(self.decoders, images, targets))

    def _losses(
        self, numbers: Sequence[int], images: torch.Tensor, targets: torch.Tensor
    ) -> list[torch.Tensor]:
        """Those of all candidates of some choices on features of the teacher; their gradients are taken."""
        features, losses = self.features(images), []
        for number in numbers:
            measure = self._measure(number, features[number], targets)
            for index, module in enumerate(self.supernet.mixed(number).candidates):
                if self._learns(number, index, module):
                    module.train()
                    made = self.run(number, index, features)
                    losses.append(_learnt(measure(made)))
        return losses

    def _begin(self, factor: float) -> None:
        self._set_rates(factor)
        self.optimizer.zero_grad(set_to_none=True)

    def _update(self, losses: list[torch.Tensor]) -> float:
        value = optim.check_finite(torch.stack(losses).mean(), "in distillation") if losses else 0.0
        ranks.average(p.grad for p in self.supernet.parameters() if p.grad is not None)
        self.optimizer.step()
        return value

    def _measure(self, number: int, target: Value, targets: torch.Tensor) -> Callable[[Value], torch.Tensor]:
        """How far what a candidate of a choice gives is from what it shall give, a scalar."""
        if number == self._answers:
            taught = mapped(torch.Tensor.float, target)
            return lambda made: self._wrong(mapped(torch.Tensor.float, made), taught, targets)
        weights = channel_weights(target)
        return lambda made: error(made, target, weights)

    def _wrong(self, answered: Value, taught: Value, targets: torch.Tensor) -> torch.Tensor:
        return self.criterion.distance(answered, taught) + self.criterion.loss(answered, targets)

    def _set_rates(self, factor: float) -> None:
        """Of each filter by its length now, so that a distillation that was cut off goes on as it was."""
        *filters, others = self.optimizer.param_groups
        others["lr"] = factor * LEARNING_RATE
        if not filters:
            return
        lengths = torch.stack([p.detach().pow(2).mean().sqrt() for p in self._filters]).tolist()
        for group, length in zip(filters, lengths, strict=True):
            group["lr"] = factor * STEP * length

    def zeros(self) -> tuple[FloatArray, ...]:
        """A zero for every candidate, one array a choice."""
        return tuple(np.zeros(len(cast(nn.ModuleList, c.candidates))) for c in self.supernet.choices)

    @torch.no_grad()
    def calibrate(self, images: Iterable[torch.Tensor]) -> None:
        """Estimate the batch-norm statistics of all pupils anew, on what the teacher makes of images."""
        norms = [
            layer for *_, m in self.pupils() for layer in m.modules() if isinstance(layer, nn.BatchNorm2d)
        ]
        with statistics.cumulative(norms):
            for batch in images:
                features = self.features(batch)
                for number, index, module in self.pupils():
                    module.train()
                    self.run(number, index, features)

    @torch.no_grad()
    def errors(
        self, calibration: Iterable[torch.Tensor], held_out: Iterable[tuple[torch.Tensor, torch.Tensor]]
    ) -> tuple[FloatArray, ...]:
        """Error of every candidate on features of the teacher, one array a choice; 0 of the teacher.

        That of what answers is ``log(1 + (d + r) / 2)``, as of ``replacing.errors``.

        Args:
            calibration: Training images that batch-norm statistics are estimated from anew.
            held_out: Batches of other images with their targets, which the errors are of.
        """
        self.calibrate(calibration)
        sums, count = self.zeros(), 0
        for images, targets in held_out:
            features = self.features(images)
            for number, best in enumerate(self.teacher):
                measure = self._measure(number, features[number], targets)
                least = 0.0
                if number == self._answers:
                    taught = mapped(torch.Tensor.float, features[number])
                    least = float(self.criterion.loss(taught, targets))
                for index, module in enumerate(self.supernet.mixed(number).candidates):
                    if index != best:
                        module.eval()
                        found = float(measure(self.run(number, index, features))) - least
                        sums[number][index] += found * len(images)
            count += len(images)
        means = tuple(total / max(1, count) for total in sums)
        if self._answers is not None:
            means[self._answers][:] = of_answers(means[self._answers])
        return means


def of_answers(excess: FloatArray) -> FloatArray:
    """Errors by answers, ``log(1 + excess / 2)``, at least 0; see ``replacing.errors``.

    Args:
        excess: Distance from the teacher's answers, and by how much the loss is more than the teacher's.
    """
    return np.log1p(np.maximum(excess / 2, 0.0))


def _learnt(loss: torch.Tensor) -> torch.Tensor:
    """A loss whose gradients are taken."""
    loss.backward()  # type: ignore[no-untyped-call]
    return loss.detach()


def channel_weights(features: Value) -> tuple[torch.Tensor, ...]:
    """One over the variance of each channel of (n, c, h, w), shape (c,); 0 where a channel is dead.

    One tensor for each of the features.
    """
    return tuple(map(_weights, tensors(features)))


def _weights(features: torch.Tensor) -> torch.Tensor:
    variance = features.float().var(dim=(0, 2, 3), unbiased=False)
    alive = variance > _DEAD * variance.mean()
    return torch.where(alive, 1 / variance.clamp(min=torch.finfo(torch.float32).tiny), 0.0)


def error(made: Value, wanted: Value, weights: Sequence[torch.Tensor]) -> torch.Tensor:
    """Mean squared error over the variance, of the channels that are alive; a scalar.

    Of several features the mean, so that small ones count as much as large ones.
    """
    each = map(_error, tensors(made), tensors(wanted), weights)
    return torch.stack(tuple(each)).mean()


def _error(made: torch.Tensor, wanted: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    squared = (made.float() - wanted.float()).pow(2).mean(dim=(0, 2, 3))
    return (squared * weights).sum() / (weights > 0).sum().clamp(min=1)
