"""Training a supernet on random single paths, before anything asks it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from hwnas.evaluators.base import SharedWeights
from hwnas.train import optim

CHECKPOINT_EVERY = 100
"""Steps between two checkpoints."""


def warm_up(
    oneshot: SharedWeights,
    steps: int,
    *,
    total: int | None = None,
    on_step: Callable[[Mapping[str, Any]], None] | None = None,
    checkpoint: Path | None = None,
) -> None:
    """Train the supernet on random single paths until it has had so many steps.

    Args:
        oneshot: The supernet; steps it has had already count.
        steps: Weight updates in all.
        total: Length of the learning-rate schedule; ``steps`` where nothing follows.
        on_step: Called after every step.
        checkpoint: Weights, written now and then; training goes on from them if they are there.

    Raises:
        SchemaMismatch: The checkpoint is of another supernet.
        TrainingError: The loss became NaN.
    """

    def one(step: int) -> tuple[str, float]:
        return "warm-up", oneshot.weight_step(oneshot.paths.at(step, steps), rate(step, total or steps))

    train_until(oneshot, steps, one, on_step=on_step, checkpoint=checkpoint)


def train_until(
    oneshot: SharedWeights,
    steps: int,
    one: Callable[[int], tuple[str, float]],
    *,
    on_step: Callable[[Mapping[str, Any]], None] | None = None,
    checkpoint: Path | None = None,
) -> None:
    """Train a supernet, in whatever way, until it has had so many steps.

    Args:
        oneshot: The supernet; steps it has had already count.
        steps: Weight updates in all.
        one: Does the step of a number from 0, and says what it was for and its loss.
        on_step: Called after every step.
        checkpoint: Weights, written now and then; training goes on from them if they are there.

    Raises:
        SchemaMismatch: The checkpoint is of another supernet.
    """
    if checkpoint is not None and checkpoint.exists():
        oneshot.resume(checkpoint)
    began, before = time.monotonic(), oneshot.steps
    while oneshot.steps < steps:
        step = oneshot.steps
        phase, loss = one(step)
        if checkpoint is not None and (oneshot.steps % CHECKPOINT_EVERY == 0 or oneshot.steps == steps):
            oneshot.save(checkpoint)
        if on_step is not None:
            pace = (time.monotonic() - began) / (oneshot.steps - before)
            left = pace * (steps - oneshot.steps)
            on_step({"phase": phase, "step": step + 1, "steps": steps, "loss": loss, "eta_s": left})


def rate(step: int, total: int) -> float:
    """Share of the learning rate: a short rise, then a cosine to 0 at ``total`` steps."""
    return optim.cosine(step, total, round(0.05 * total))
