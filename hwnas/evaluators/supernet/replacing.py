"""What the teacher's network loses where a candidate replaces one of its blocks.

A feature that changes is not yet an answer that changes: later blocks forgive some errors and enlarge others
(LANA, arXiv:2107.10624, ranks candidates by the loss of the network with one block replaced; DONNA,
arXiv:2012.08859, by features). The loss is looked at from two sides, the teacher's answers and the truth.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, cast

import torch

from hwnas.blocks.wired import Value, mapped
from hwnas.evaluators.supernet.distillation import of_answers
from hwnas.latency.base import FloatArray
from hwnas.train import optim

if TYPE_CHECKING:
    from hwnas.evaluators.supernet.distillation import Distillation
    from hwnas.evaluators.supernet.network import Values


@torch.no_grad()
def errors(
    distillation: Distillation,
    calibration: Iterable[torch.Tensor],
    held_out: Iterable[tuple[torch.Tensor, torch.Tensor]],
) -> tuple[FloatArray, ...]:
    """Error of every candidate by the answers of the teacher with it in place of its own block.

    It is ``log(1 + (d + r) / 2)``, at least 0: ``d`` the distance from the teacher's answers (of classes
    KL(teacher || network)), ``r`` by how much the task's loss (cross-entropy) exceeds the teacher's. Where
    the teacher's probabilities are right both are the same in expectation, and their mean is steadier.
    Errors are added up, but what one block spoils, no other can spoil: the logarithm tempers large ones.

    Batch norms of a candidate have statistics of the teacher's features, which are what it is fed here. The
    teacher's blocks behind it keep theirs, as if nothing had been replaced; only they run again.

    Args:
        distillation: The candidates and their teacher, and the task's criterion; answers are not softened
            where its temperature is 1.
        calibration: Training images that batch-norm statistics are estimated from anew.
        held_out: Batches of other images with their targets, which the errors are of.

    Returns:
        One array a choice; 0 of the teacher's own block.
    """
    distillation.calibrate(calibration)
    modules, teacher = list(distillation.candidates()), distillation.teacher
    criterion = distillation.criterion
    sums, count = distillation.zeros(), 0
    for images, targets in held_out:
        features = distillation.features(images)
        taught = _answers(distillation, features)
        least = criterion.loss(taught, targets)
        for number, index, module in modules:
            if index == teacher[number]:
                continue
            module.eval()
            made = distillation.run(number, index, features)
            outputs = _answers(distillation, features, number, made)
            loss = criterion.distance(outputs, taught) + criterion.loss(outputs, targets) - least
            sums[number][index] += float(loss) * len(images)
        count += len(images)
    return tuple(of_answers(total / max(1, count)) for total in sums)


def _answers(
    distillation: Distillation, features: Values, number: int = -1, made: Value | None = None
) -> Value:
    """What the teacher answers where a choice gives something else: float32.

    Args:
        distillation: Knows the teacher's blocks; those that read what has changed run again.
        features: What they give.
        number: Of the choice.
        made: What it gives; None where nothing has changed.
    """
    values, changed = dict(features), set[int]()
    if made is not None:
        values[number] = made
        changed.add(number)
    supernet, teacher = distillation.supernet, distillation.teacher
    for later in range(number + 1, len(teacher)):
        if changed.intersection(supernet.mixed(later).reads[teacher[later]]):
            values[later] = distillation.run(later, teacher[later], values)
            changed.add(later)
    with optim.autocast(next(supernet.parameters()).device):
        answered = cast(Value, supernet.head(values[len(teacher) - 1]))
    return mapped(torch.Tensor.float, answered)
