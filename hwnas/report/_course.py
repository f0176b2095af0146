"""How the search and the training went."""

from __future__ import annotations

from hwnas.latency import doubt
from hwnas.report import _page, _svg
from hwnas.report._record import Json, Record


def course(record: Record) -> str:
    """The expected latency of a one-shot search, driven to its budget; and what is to be known of any."""
    models = [f"{model.target}: {doubt(model.evaluation)}" for model in record.models]  # said of each there
    alarms = [text for text in record.search.get("extra", {}).get("alarms", ()) if text not in models]
    said = [*alarms, *record.damaged, *record.unfinished]
    parts = [_page.paragraph(_page.mark(str(text), "warn")) for text in said]
    trace = [step for step in record.search.get("trace", []) if "expected_share" in step]
    if trace:
        parts.insert(0, _gates(trace))
    return _page.section("The search", *parts) if parts else ""


def _gates(trace: list[Json]) -> str:
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
    """Accuracy and loss over the epochs, and the rate of learning where it was noted."""
    trained = record.trained
    if not trained or not trained["history"]:
        return ""
    history = trained["history"]
    accuracy = _svg.chart(
        [_line(history, "training", "accuracy"), _line(history, "validation", "val_accuracy")],
        _svg.Axis("epoch", whole=True),
        _svg.Axis("accuracy", percent=True),
        title="Accuracy on training and validation images over the epochs",
    )
    loss = _svg.chart(
        [_line(history, "training", "loss"), _line(history, "validation", "val_loss")],
        _svg.Axis("epoch", whole=True),
        _svg.Axis("loss"),
        title="Loss on training and validation images over the epochs",
    )
    return _page.section(
        "Training",
        _page.paragraph(_recipe(trained)),
        *map(_page.paragraph, _judged(trained)),
        _page.pair(
            _page.figure(
                accuracy, "Training accuracy is on augmented images, so it may be below validation."
            ),
            _page.figure(loss, "The training loss has label smoothing, the validation loss has none."),
        ),
    )


def _judged(trained: Json) -> list[str]:
    """What was learned, with intervals, and what speaks against it; older records say less."""
    parts: list[str] = []
    if "interval" in trained.get("test", {}):
        parts.append(
            f"In PyTorch: {_share(trained['test'], 'test')}; {_share(trained['val'], 'validation')}."
        )
    if "kept" in trained:
        how = ", with batch-norm statistics estimated anew" if trained["kept"]["recalibrated"] else ""
        parts.append(
            f"The weights after epoch {trained['kept']['epoch']} were kept: best on validation{how}."
        )
    learnt = trained.get("learnt", True)
    reasons = trained.get("learning", {}).get("reasons") or ["It did not learn more than guessing."]
    if learnt is not True:
        parts += [_page.mark(str(reason), "bad" if learnt is False else "warn") for reason in reasons]
    if trained.get("rising") is not None:
        text = f"Validation accuracy was still rising, by {trained['rising'] * 100:.1f} points over the last "
        parts.append(_page.mark(text + "quarter of the epochs: train longer.", "warn"))
    return parts


def _share(found: Json, split: str) -> str:
    low, high = found["interval"]
    text = f"{found['accuracy']:.2%} (95 %: {low:.1%} to {high:.1%}) of {found['images']:,} {split} images"
    if found["is_uneven"]:
        low, high = found["balanced_interval"]
        text += f", balanced accuracy {found['balanced_accuracy']:.2%} ({low:.1%} to {high:.1%})"
    return text


def _recipe(trained: Json) -> str:
    """What was done, in one sentence; settings that are off are left out."""
    config = trained["config"]
    parts = [f"{config['epochs']} epochs", f"batches of {config['batch_size']}"]
    parts.append(f"a learning rate of {config['learning_rate']:g}")
    named = {
        "label_smoothing": "label smoothing {:g}",
        "erasing": "random erasing {:g}",
        "mixup": "mixup {:g}",
        "cutmix": "CutMix {:g}",
        "ema": "averaged weights (decay {:g})",
        "distill_weight": "a teacher with the weight {:g}",
    }
    parts += [text.format(config[name]) for name, text in named.items() if config.get(name)]
    start = trained.get("start", {}).get("from", "seed")
    begin = "fresh weights" if start == "seed" else f"weights of the {start}"
    return f"{', '.join(parts)}; from {begin}, in {trained['seconds']:.0f} s."


def _line(history: list[Json], label: str, name: str) -> _svg.Group:
    points = tuple(_svg.Point(float(h["epoch"]), float(h[name])) for h in history if h.get(name) is not None)
    return _svg.Group(label, points, "line")
