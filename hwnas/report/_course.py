"""How the search and the training went."""

from __future__ import annotations

from collections.abc import Sequence

from hwnas.latency import doubt
from hwnas.report import _page, _svg
from hwnas.report._record import Json, Record
from hwnas.runs.training import SEED, TrainingRecord
from hwnas.search import beside
from hwnas.tasks import Task
from hwnas.tasks.base import Metric


def course(record: Record) -> str:
    """The expected latency of a one-shot search, driven to its budget; and what is to be known of any.

    Of an exact one: its controls, and how well the errors of blocks foretold what was scored.
    """
    models = [f"{model.target}: {doubt(model.evaluation)}" for model in record.models]  # said of each there
    alarms = [text for text in record.search.alarms if text not in models]
    said = [*alarms, *record.damaged, *record.unfinished]
    parts = [_page.paragraph(_page.mark(str(text), "warn")) for text in said]
    parts += [_page.paragraph(_capital(text)) for text in beside.sentences(record.search)]
    trace = [step for step in record.search.trace if "expected_share" in step]
    if trace:
        parts.insert(0, _gates(trace))
    return _page.section("The search", *parts) if parts else ""


def _capital(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."


def _gates(trace: Sequence[Json]) -> str:
    points = tuple(_svg.Point(float(s["step"]), float(s["expected_share"])) for s in trace)
    chart = _svg.chart(
        [_svg.Group("expected latency", points, "line")],
        _svg.Axis("search step", whole=True),
        _svg.Axis("expected latency / limit", percent=True),
        title="Expected latency over the search, as a share of the limit",
        y_levels=[("limit", 1.0)],
    )
    caption = "The expected latency of the supernet's gates; the limit is the budget less its margin."
    return _page.figure(chart, caption)


def training(record: Record) -> str:
    """The metric and the loss over the epochs, and the rate of learning where it was noted."""
    trained = record.trained
    if trained is None or not trained.history:
        return ""
    history, metric = trained.history, record.task.metric
    name = f"{metric.name[:1].upper()}{metric.name[1:]}"
    quality = _svg.chart(
        [_line(history, "training", metric.key), _line(history, "validation", f"val_{metric.key}")],
        _svg.Axis("epoch", whole=True),
        _svg.Axis(metric.name, percent=metric.is_share),
        title=f"{name} on training and validation images over the epochs",
    )
    worse = "below" if metric.is_higher_better else "above"
    loss = _svg.chart(
        [_line(history, "training", "loss"), _line(history, "validation", "val_loss")],
        _svg.Axis("epoch", whole=True),
        _svg.Axis("loss"),
        title="Loss on training and validation images over the epochs",
    )
    return _page.section(
        "Training",
        _page.paragraph(_recipe(trained)),
        *map(_page.paragraph, _outcome(trained, record.task)),
        _page.pair(
            _page.figure(
                quality, f"Training {metric.name} is on augmented images, so it may be {worse} validation."
            ),
            _page.figure(loss, _losses(trained)),
        ),
    )


def _losses(trained: TrainingRecord) -> str:
    """What differs between the losses on training and on validation images."""
    if trained.config.get("label_smoothing"):
        return "The training loss has label smoothing, the validation loss has none."
    return "The training loss is on augmented images, the validation loss on images as they are."


def _outcome(trained: TrainingRecord, task: Task) -> list[str]:
    """What was learned, with intervals, and what speaks against it; older records say less."""
    parts: list[str] = []
    if "interval" in trained.test:
        parts.append(
            f"In PyTorch: {_value(trained.test, 'test', task)}; {_value(trained.val, 'validation', task)}."
        )
    if trained.kept is not None:
        how = ", with batch-norm statistics estimated anew" if trained.kept["recalibrated"] else ""
        parts.append(f"The weights after epoch {trained.kept['epoch']} were kept: best on validation{how}.")
    known = trained.learning.reasons if trained.learning else ()
    if trained.learnt is not True:
        colour = "bad" if trained.learnt is False else "warn"
        parts += [_page.mark(text, colour) for text in known or ("It did not learn more than guessing.",)]
    if trained.rising is not None:
        metric = task.metric
        text = f"Validation {metric.name} was still {_going(metric)}, by "
        text += f"{metric.gap(trained.rising)}{metric.unit} over the last "
        parts.append(_page.mark(text + "quarter of the epochs: train longer.", "warn"))
    return parts


def _going(metric: Metric) -> str:
    return "rising" if metric.is_higher_better else "falling"


def _value(found: Json, split: str, task: Task) -> str:
    metric, remark = task.metric, task.remark(found)
    text = f"{metric.text(found[metric.key], 2)} (95 %: {metric.within(found['interval'])}) of "
    text += f"{found['images']:,} {split} images"
    return f"{text}, {remark}" if remark else text


def _recipe(trained: TrainingRecord) -> str:
    """What was done, in one sentence; settings that are off are left out."""
    config = trained.config
    parts = [f"{config['epochs']} epochs", f"batches of {config['batch_size']}"]
    parts.append(f"a learning rate of {config['learning_rate']:g}")
    named = {
        "label_smoothing": "label smoothing {:g}",
        "erasing": "random erasing {:g}",
        "mixup": "mixup {:g}",
        "cutmix": "CutMix {:g}",
        "ema": "averaged weights (decay {:g})",
        "distill_weight": "a teacher with the weight {:g}",
        "auxiliary": "auxiliary heads with the weight {:g}",
    }
    parts += [text.format(config[name]) for name, text in named.items() if config.get(name)]
    start = trained.start.get("from", SEED)
    begin = "fresh weights" if start == SEED else f"weights of the {start}"
    return f"{', '.join(parts)}; from {begin}, in {trained.seconds:.0f} s."


def _line(history: Sequence[Json], label: str, name: str) -> _svg.Group:
    points = tuple(_svg.Point(float(h["epoch"]), float(h[name])) for h in history if h.get(name) is not None)
    return _svg.Group(label, points, "line")
