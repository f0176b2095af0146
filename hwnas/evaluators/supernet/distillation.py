"""Candidates learn from one network, each from that network's block in its place.

Every candidate begins with what fits of the teacher's weights (``Block.inherit``) and is drawn to the
teacher's features, all of them in parallel on the same batch (DNA, arXiv:1911.13053; DONNA,
arXiv:2012.08859). The loss is the squared error over the variance of each channel, so that all places
count alike. Errors that add up are seen in training: with even chance a choice is fed what a random
candidate before it makes, instead of the teacher's own features.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from torch import nn

from hwnas.blocks import statistics
from hwnas.blocks.wired import Value, mapped, tensors
from hwnas.latency.base import FloatArray
from hwnas.train import optim, ranks

if TYPE_CHECKING:
    from hwnas.evaluators.supernet.network import Supernet, Values

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

_DEAD = 1e-4
"""Variance of a channel, over the mean of all, under which it says nothing."""


class Distillation:
    """The candidates of a supernet as pupils of one of its paths.

    Args:
        supernet: Its weights change, but for those of the teacher.
        teacher: The candidate of each choice that the others learn from.
        optimizer: Of an earlier part of the same distillation, whose momenta go on; or any other.
    """

    def __init__(self, supernet: Supernet, teacher: Sequence[int], optimizer: torch.optim.Optimizer) -> None:
        self.supernet, self.teacher = supernet, tuple(teacher)
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
        """Choice, candidate and module of all, the teacher's own among them."""
        for number, choice in enumerate(self.supernet.choices):
            for index, module in enumerate(cast(nn.ModuleList, choice.candidates)):
                yield number, index, module

    def run(self, number: int, index: int, values: Values) -> Value:
        """What a candidate gives on what others gave, in the mode that it is in."""
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
        """What the teacher's blocks give, by the numbers of their choices, -1 the stem; in eval mode."""
        for part in self.supernet.path(self.teacher):
            part.eval()
        with optim.autocast(images.device):
            found: Values = {-1: self.supernet.stem(images)}
            for number, index in enumerate(self.teacher):
                found[number] = self.run(number, index, found)
        return found

    def step(self, images: torch.Tensor, factor: float, rng: np.random.Generator) -> float:
        """One update of all candidates at a share of the learning rate; returns their mean loss."""
        self._set_rates(factor)
        self.optimizer.zero_grad(set_to_none=True)
        features, before, losses = self.features(images), None, []
        for number, choice in enumerate(self.supernet.choices):
            candidates = cast(nn.ModuleList, choice.candidates)
            source, target = features, features[number]
            if before is not None and rng.random() < 0.5:
                source = {**features, number - 1: before}
            passed = int(rng.integers(len(candidates)))
            weights = channel_weights(target)
            for index, module in enumerate(candidates):
                learns = self._learns(number, index, module)
                if not learns and index != passed:
                    continue
                module.train(learns)
                with torch.set_grad_enabled(learns), optim.autocast(images.device):
                    made = self.run(number, index, source)
                if learns:
                    loss = error(made, target, weights)
                    loss.backward()  # type: ignore[no-untyped-call]
                    losses.append(loss.detach())
                if index == passed:
                    before = mapped(torch.Tensor.detach, made)
        value = optim.check_finite(torch.stack(losses).mean(), "in distillation") if losses else 0.0
        ranks.average(p.grad for p in self.supernet.parameters() if p.grad is not None)
        self.optimizer.step()
        return value

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
        self, calibration: Iterable[torch.Tensor], held_out: Iterable[torch.Tensor]
    ) -> tuple[FloatArray, ...]:
        """Error of every candidate on features of the teacher, one array a choice; 0 of the teacher.

        Args:
            calibration: Training images that batch-norm statistics are estimated from anew.
            held_out: Other images, which the errors are of.
        """
        self.calibrate(calibration)
        sums, count = self.zeros(), 0
        for images in held_out:
            features = self.features(images)
            for number, index, module in self.candidates():
                if index != self.teacher[number]:
                    module.eval()
                    made, target = self.run(number, index, features), features[number]
                    found = float(error(made, target, channel_weights(target)))
                    sums[number][index] += found * len(images)
            count += len(images)
        return tuple(total / max(1, count) for total in sums)


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
