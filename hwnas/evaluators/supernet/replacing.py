"""What the teacher's network loses where a candidate replaces one of its blocks.

A feature that changes is not yet an answer that changes: later blocks forgive some errors and enlarge others
(LANA, arXiv:2107.10624, ranks candidates by the loss of the network with one block replaced; DONNA,
arXiv:2012.08859, by features). The loss is looked at from two sides, the teacher's answers and the truth.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, cast

import numpy as np
import torch

from hwnas.latency.base import FloatArray
from hwnas.train import optim

if TYPE_CHECKING:
    from torch import nn

    from hwnas.evaluators.supernet.distillation import Distillation
    from hwnas.tasks.base import Criterion


@torch.no_grad()
def errors(
    distillation: Distillation,
    criterion: Criterion,
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
        distillation: The candidates and their teacher.
        criterion: The task's; answers are not softened where its temperature is 1.
        calibration: Training images that batch-norm statistics are estimated from anew.
        held_out: Batches of other images with their targets, which the errors are of.

    Returns:
        One array a choice; 0 of the teacher's own block.
    """
    distillation.calibrate(calibration)
    modules, teacher = list(distillation.candidates()), distillation.teacher
    sums, count = distillation.zeros(), 0
    for images, targets in held_out:
        features = distillation.features(images)
        taught = _answers(distillation, features[-1], len(teacher))
        least = criterion.loss(taught, targets)
        for number, index, module in modules:
            if index == teacher[number]:
                continue
            outputs = _answers(distillation, _run(module, features[number]), number + 1)
            loss = criterion.distance(outputs, taught) + criterion.loss(outputs, targets) - least
            sums[number][index] += float(loss) / 2 * len(images)
        count += len(images)
    return tuple(np.log1p(np.maximum(total / max(1, count), 0.0)) for total in sums)


def _answers(distillation: Distillation, features: torch.Tensor, after: int) -> torch.Tensor:
    """What the teacher's blocks from a choice on, and its head, answer to features; float32."""
    _, *blocks, head = distillation.supernet.path(distillation.teacher)
    for block in (*blocks[after:], head):
        features = _run(block, features)
    return features.float()


def _run(module: nn.Module, x: torch.Tensor) -> torch.Tensor:
    with optim.autocast(x.device):
        return cast(torch.Tensor, module.eval()(x))
