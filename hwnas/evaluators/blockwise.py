"""Scores architectures by candidates that learnt from a teacher, block by block.

It is a supernet that is trained in another way: first one path, the *teacher*, or it is taken from a network
that is trained already; then all other candidates from the teacher's features. What is put together of them
is scored like any path of a supernet. Beside that every candidate has an error of its own, and their sum
proposes networks before one is scored.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from hwnas.errors import SpaceError
from hwnas.evaluators.base import Live, Traits
from hwnas.evaluators.supernet import replacing
from hwnas.evaluators.supernet.distillation import MORE, Distillation
from hwnas.evaluators.supernet.oneshot import OneShot
from hwnas.evaluators.supernet.warm_up import rate, train_until
from hwnas.latency.base import FloatArray
from hwnas.tasks.base import LossSettings
from hwnas.train import optim, ranks

if TYPE_CHECKING:
    from torch import nn

    from hwnas.data import Dataset
    from hwnas.evaluators.layerwise import Teaching
    from hwnas.evaluators.supernet.config import OneShotConfig
    from hwnas.runs.folder import RunFolder
    from hwnas.space import SearchSpace
    from hwnas.tasks.base import Criterion
    from hwnas.train.checkpoint import Tensors
    from hwnas.train.teacher import Teacher

_HELD_OUT = 512
"""Validation images that errors are estimated on."""

_FED = 7  # a purpose of randomness
_FAR = 1 << 32  # steps, from which on batches are those of decoders alone


class Blockwise(OneShot):
    """A supernet of one teacher and many pupils: ``evaluators.base.BlockErrors``.

    Arguments and attributes are those of ``OneShot``; of its settings ``teacher_share`` says how many of
    the steps train the teacher, and ``block_score`` what the error of a candidate is.
    """

    _errors: tuple[FloatArray, ...] | None = None
    _teacher: Mapping[str, Any] | None = None
    _teaching: Teaching | None = None

    def __init__(self, space: SearchSpace, data: Dataset, config: OneShotConfig) -> None:
        if space.is_tied:
            raise SpaceError(
                f"each candidate that is taught must stand in one place, but those of {space.name} stand in "
                "several: search with --strategy auto, or with one that samples and --evaluate supernet"
            )
        super().__init__(space, data, config)

    def teach(self, teacher: Teacher) -> None:
        """Let a trained network be the teacher: that of the path that all others are versions of.

        Raises:
            SpaceError: It is another network.
        """
        wanted = self.proxy.architecture(self.paths.anchor)
        if teacher.architecture is None or teacher.architecture.blocks != wanted.blocks:
            named = teacher.architecture.space.name if teacher.architecture else "nothing known"
            raise SpaceError(
                f"a teacher must be the largest network of {self.proxy.name}, but got {named}: search "
                "its own space at full width and resolution"
            )
        parts = [part for part in self.supernet.parts(self.paths.anchor) if part.state_dict()]
        theirs = [part for part in cast("nn.Sequential", teacher.network) if part.state_dict()]
        for own, learned in zip(parts, theirs, strict=True):
            own.load_state_dict(learned.state_dict())
        self._teacher = teacher.record

    def share(self, teaching: Teaching) -> None:
        """Let the workers of a pool teach the candidates, each those of one choice or a few.

        Raises:
            SpaceError: Candidates are fed what others make, so that none can be taught elsewhere.
        """
        self.config.require_tasks(teaching.pool)
        self._teaching = teaching

    def describe(self) -> dict[str, Any]:
        """As of a supernet, who taught it, and by which workers."""
        teacher = {"teacher": dict(self._teacher)} if self._teacher else {}
        return super().describe() | teacher | ({"pool": str(self._teaching.pool)} if self._teaching else {})

    def save_into(self, run: RunFolder) -> None:
        """Leave the weights in a run; momenta are of no more use."""
        weights = {name: tensor for name, tensor in self.tensors().items() if name.startswith("supernet:")}
        self.write(run.supernet, weights)

    def teacher_steps(self, steps: int) -> int:
        """How many of so many steps train the teacher."""
        return round(self.config.teacher_share * steps)

    def prepare(self, steps: int, *, on_step: Live, checkpoint: Path) -> None:
        """Train the teacher, then let all candidates learn from it, until there were so many steps in all.

        The candidates by the workers of ``share``, where there are some.
        """
        first = self.teacher_steps(steps)
        distillation: Distillation | None = None

        def one(step: int) -> tuple[str, float]:
            nonlocal distillation
            if step < first:
                return "teacher", self.weight_step(self.paths.anchor, rate(step, first))
            distillation = distillation or self._distillation(inherits=step == first)
            return "distillation", self._distil(distillation, steps)

        here = steps if self._teaching is None else first
        train_until(self, here, one, on_step=on_step, checkpoint=checkpoint)
        if self._teaching is not None and self.steps < steps:
            from hwnas.evaluators import layerwise

            layerwise.teach(self, steps, self._teaching, on_step)
            self._errors = None
            self.save(checkpoint)

    def begin(self, steps: int) -> None:
        """Let candidates inherit where the distillation, until so many steps in all, has not begun."""
        self._distillation(inherits=self.steps == self.teacher_steps(steps))

    def learn_apart(self, numbers: Sequence[int], steps: int) -> list[float]:
        """Let the candidates of some choices learn until so many steps; their mean loss in each."""
        distillation = self._distillation(only=numbers)
        return [self._distil(distillation, steps) for _ in range(self.steps, steps)]

    @property
    def pupils(self) -> Counter[int]:
        """How many candidates can learn, by the choices that have such."""
        found = Distillation(self.supernet, self.paths.anchor, self.optimizer, self.criterion)
        return Counter(number for number, *_ in found.pupils())

    def pupils_of(self, numbers: Sequence[int]) -> Tensors:
        """What has been learnt of some choices, by names in the supernet."""
        found = Distillation(self.supernet, self.paths.anchor, self.optimizer, self.criterion, numbers)
        return {
            f"choices.{number}.candidates.{index}.{name}": tensor
            for number, index, module in found.pupils()
            for name, tensor in module.state_dict().items()
        }

    def _distillation(self, *, inherits: bool = False, only: Sequence[int] | None = None) -> Distillation:
        """What goes on with the distillation, of some choices or all; at its beginning candidates inherit."""
        found = Distillation(self.supernet, self.paths.anchor, self.optimizer, self.criterion, only)
        self.supernet.requires_grad_(True)
        if inherits:
            if self.config.teacher_share:
                self._recalibrate(self.paths.anchor)
            found.inherit()
        self.optimizer = found.optimizer
        return found

    def _distil(self, distillation: Distillation, steps: int) -> float:
        """The next step of a distillation that goes on until so many in all."""
        part = ranks.rank(), ranks.ranks()
        seed, first = self.config.seed, self.teacher_steps(steps)
        factor = optim.cosine(self.steps - first, steps - first)
        rng = None if self.config.layerwise else np.random.default_rng([seed, _FED, self.steps])
        batch = self.batches.step("train", self.batch_size, seed, self.steps, part)
        loss = distillation.step(*batch, factor, rng)
        for number in range(MORE if distillation.decoders else 0):
            further = _FAR + MORE * self.steps + number
            distillation.step_of_decoders(
                *self.batches.step("train", self.batch_size, seed, further, part), factor
            )
        self.steps += 1
        self._scores.clear()
        self._errors = None
        return loss

    def block_errors(self) -> tuple[FloatArray, ...]:
        """Error of every candidate in its place, one array a choice: 0 for the teacher's own."""
        if self._errors is None:
            usual = "features" if self.space.is_row else "loss"
            self._errors = self.errors_by(self.config.block_score or usual)
        return self._errors

    def errors_by(self, block_score: str) -> tuple[FloatArray, ...]:
        """The errors by one of ``config.BLOCK_SCORES``, on held-out validation images."""
        self._recalibrate(self.paths.anchor)
        criterion = self._plain_criterion()
        distillation = Distillation(self.supernet, self.paths.anchor, self.optimizer, criterion)
        calibration = (images for images, _ in self.some("train", self.config.recalibration_images))
        held_out = self.some("val", _HELD_OUT)
        if block_score == "loss":
            return replacing.errors(distillation, calibration, held_out)
        return distillation.errors(calibration, held_out)

    def _plain_criterion(self) -> Criterion:
        """The task's, of answers that are not softened."""
        settings = LossSettings(temperature=1.0, class_weights=self.class_weights)
        return self.task.criterion(self.batches.data, settings, self.device)

    @property
    def traits(self) -> Traits:
        """As of a supernet."""
        found = super().traits
        return Traits(
            f"distilled block by block, {found.fidelity}", images=found.images, seconds=found.seconds
        )
