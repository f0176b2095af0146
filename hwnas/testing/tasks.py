"""What a task must keep."""

from __future__ import annotations

import json
import math
import operator
from typing import TYPE_CHECKING, Any

from hwnas import tasks
from hwnas.tasks.base import Estimate
from hwnas.testing.claims import claim, works

if TYPE_CHECKING:
    import torch
    from torch import nn

    from hwnas.blocks.wired import Value
    from hwnas.data import Dataset
    from hwnas.tasks.base import Predictions, Task

_IMAGES = 64


def check_task(data: Dataset, network: nn.Module | None = None) -> None:
    """Claim that the task of images says what training, searching and shipping ask it.

    Losses that can be learnt from; predictions that are the same however they are batched; a metric that lies
    within its interval, and a merit in [0, 1] that is higher where predictions are better.

    Args:
        data: Images that say by ``Dataset.task`` whose they are; some dozens a split suffice.
        network: An untrained one for them; by default one that answers an image with one row of numbers.

    Raises:
        AssertionError: Something does not hold.
    """
    import torch

    from hwnas import blocks
    from hwnas.blocks.wired import tensors

    claim(hasattr(data, "task"), f"what is checked must be images of a task, but got {data!r}")
    with works(f"the task {data.task!r}"):
        task = tasks.of(data)
        claim(
            task.name == data.task,
            f"a task must be registered by its name, but {data.task!r} is {task.name!r}",
        )
        channels = task.outputs(data)
        claim(
            isinstance(channels, int) and channels > 0,
            f"outputs must be a whole number over 0, but is {channels}",
        )
        targets = torch.from_numpy(data.val.labels[:_IMAGES])
        generator = torch.Generator().manual_seed(0)
        network = network or blocks.build([blocks.Conv(3, 8), blocks.Head(8, 16, channels)])
        outputs = _outputs(network, data, generator)
        _check_losses(task, data, outputs, targets)
        predictions = task.predictions([(outputs, targets)])
        _check_predictions(task, predictions, len(targets))
        halves = task.predictions([(part, target) for part, target in _halves(outputs, targets)])
        claim(
            halves.score == predictions.score, f"{task.name}: batches must not matter for predictions, but do"
        )
        _check_merits(task, data, predictions)
        _check_comparing(task, predictions)
        shapes = tuple(tuple(each.shape[1:]) for each in tensors(outputs))
        _check_shipping(task, data, predictions, shapes if len(shapes) > 1 else shapes[0])


def _outputs(network: nn.Module, data: Dataset, generator: torch.Generator) -> Value:
    """Answers of an untrained network, with noise so that they differ."""
    import torch

    from hwnas.blocks.wired import mapped

    images = torch.from_numpy(data.normalize(data.val.images[:_IMAGES]))
    with torch.no_grad():
        found: Value = network.eval()(images)
    return mapped(lambda each: each + torch.randn(each.shape, generator=generator), found)


def _halves(outputs: Value, targets: torch.Tensor) -> list[tuple[Value, torch.Tensor]]:
    from hwnas.blocks.wired import mapped

    half = len(targets) // 2
    rows = slice(None, half), slice(half, None)
    return [(mapped(operator.itemgetter(some), outputs), targets[some]) for some in rows]


def _check_losses(task: Task, data: Dataset, outputs: Value, targets: torch.Tensor) -> None:
    import numpy as np
    import torch

    from hwnas.blocks.wired import mapped, tensors
    from hwnas.tasks.base import LossSettings

    criterion = task.criterion(data, LossSettings(), torch.device("cpu"))
    images = torch.from_numpy(data.normalize(data.val.images[:_IMAGES]))
    mixed, wanted = criterion.mixed(images, targets, np.random.default_rng(0))
    claim(
        mixed.shape == images.shape and len(wanted) == len(targets),
        f"{task.name}: mixed must keep the number and the shape of images, but gives {tuple(mixed.shape)}",
    )
    outputs = mapped(lambda each: each.clone().requires_grad_(), outputs)
    loss = criterion.loss(outputs, wanted)
    claim(
        loss.ndim == 0 and bool(torch.isfinite(loss)),
        f"{task.name}: the loss must be a finite scalar, is {loss}",
    )
    loss.backward()  # type: ignore[no-untyped-call]
    claim(
        any(each.grad is not None and bool(each.grad.abs().sum() > 0) for each in tensors(outputs)),
        f"{task.name}: the loss must have a gradient, but has none",
    )
    outputs = mapped(torch.Tensor.detach, outputs)
    others = outputs, mapped(lambda each: 4 * each, outputs)
    near, far = (float(criterion.distance(outputs, other)) for other in others)
    claim(
        near <= far,
        f"{task.name}: answers must be nearest to themselves, but distances are {near:.3g} and {far:.3g}",
    )
    claim(
        not task.takes_auxiliary or bool(torch.isfinite(criterion.loss(_coarse(outputs), wanted))),
        f"{task.name}: the loss must take answers of any size where features answer for themselves",
    )
    total, whole = criterion.total(outputs, wanted), task.loss_sum(outputs, targets)
    claim(total.ndim == 0 and whole.ndim == 0, f"{task.name}: total and loss_sum must be scalars")
    blind, broken = task.blindness(data)
    claim(
        math.isfinite(blind) and blind < broken,
        f"{task.name}: a broken network's loss must be over a blind one's, but they are {broken} and {blind}",
    )


def _coarse(outputs: Value) -> Value:
    """Answers of a single place, as the coarsest features may give them."""
    from hwnas.blocks.wired import mapped

    return mapped(lambda each: each.mean((2, 3), keepdim=True), outputs)


def _check_predictions(task: Task, found: Predictions, count: int) -> None:
    metric = task.metric
    claim(
        found.images == count, f"{task.name}: predictions must be of {count} images, but say {found.images}"
    )
    value, (low, high) = found.score.value, found.interval
    claim(
        low <= value <= high,
        f"{task.name}: the {metric.name} must lie in its interval, but {value} is not in [{low}, {high}]",
    )
    claim(
        not metric.is_share or 0 <= low <= high <= 1,
        f"{task.name}: a share must be in [0, 1], but got {value}",
    )
    claim(math.isfinite(found.score.loss), f"{task.name}: the loss must be finite, but is {found.score.loss}")
    data: dict[str, Any] = json.loads(json.dumps(found.to_json(), allow_nan=False))
    for name, wanted in ((metric.key, value), ("images", count), ("interval", [low, high])):
        claim(
            data.get(name) == wanted,
            f"{task.name}: to_json must say {name} = {wanted}, but says {data.get(name)}",
        )


def _check_comparing(task: Task, found: Predictions) -> None:
    """What is kept of predictions is worth what they were; nobody is better than himself."""
    kept = task.outcome(json.loads(json.dumps(found.kept(), allow_nan=False)))
    claim(
        (kept.images, kept.value) == (found.images, found.value) and kept.value == found.score.value,
        f"{task.name}: an outcome must be worth what was kept, {found.value}, but is {kept.value}",
    )
    same = task.difference([kept], [found])
    claim(
        same.mean == 0 and not same.is_real and same.images == found.images,
        f"{task.name}: an outcome must be no better than itself, but the difference is {same.mean}",
    )
    estimate = Estimate.of(found)
    claim(
        Estimate.from_json(json.loads(json.dumps(estimate.to_json(), allow_nan=False))) == estimate,
        f"{task.name}: details must be JSON, but are {found.details}",
    )
    least = task.least_loss(0.1, estimate)
    claim(least <= 0.1, f"{task.name}: the least loss must not be over the loss, 0.1, but is {least}")


def _check_shipping(task: Task, data: Dataset, found: Predictions, answer: tuple[Any, ...]) -> None:
    """Labels, preprocessing and examples can be written down; words are words."""
    labels = task.labels(data)
    claim(task.fits(answer, labels), f"{task.name}: labels must fit answers of {answer}, but {labels} do not")
    claim(
        not task.fits(answer, (*labels, "one more")), f"{task.name}: a label too many must not fit, but does"
    )
    how = json.loads(json.dumps(dict(task.preprocessing(data)), allow_nan=False))
    lacking = [name for name in ("resize", "scale", "mean", "std") if name not in how]
    claim(not lacking, f"{task.name}: preprocessing must say {lacking}, but does not")
    defined = compile(task.example.functions, f"<the example of {task.name}>", "exec").co_names
    lacking = [name for name in ("fitted", "read", "show") if name not in defined]
    claim(not lacking, f"{task.name}: an example must define {lacking}, but does not")
    sample = task.sample(data, "val", 8)
    claim(
        len(sample) == 8, f"{task.name}: a sample must be of the images asked for, 8, but has {len(sample)}"
    )
    kept = task.mistakes(found, data, "val") if found.images == len(data.val) else None
    words = [task.stated(found.value, found.images, "test"), task.sized(1), task.fineness(found.images)]
    words += [task.remark(found.to_json())]
    words += [task.remark(found.details), *task.told(found.to_json(), kept)]
    words += [section.title for section in task.sections(kept)] if kept is not None else []
    claim(all(isinstance(text, str) for text in words), f"{task.name}: what is said must be text, is {words}")


def _check_merits(task: Task, data: Dataset, found: Predictions) -> None:
    from dataclasses import replace

    score = found.score
    step = 0.25 * (abs(score.value) or 1.0) * (1 if task.metric.is_higher_better else -1)
    better = replace(
        score, value=score.value + step, balanced=None if score.balanced is None else score.balanced + step
    )
    merit, more = task.merit(score, "none"), task.merit(better, "none")
    claim(0 <= merit <= 1, f"{task.name}: a merit must be in [0, 1], but is {merit}")
    claim(
        more > merit,
        f"{task.name}: a merit must be higher where the {task.metric.name} is better, but is {merit} for "
        f"{score.value} and {more} for {better.value}",
    )
    images = task.effective_images(data.val.labels, "none")
    claim(0 < images <= len(data.val), f"{task.name}: effective_images must be of the split, but is {images}")
    claim(
        not task.is_clearly_worse(merit, merit, images),
        f"{task.name}: a merit must not be clearly worse than itself, but is",
    )
    text = task.blind_search([merit], data.val.labels, images, "none")
    claim(text is None or isinstance(text, str), f"{task.name}: blind_search must give a text or None")
