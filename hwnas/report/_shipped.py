"""What ships: every variant, and what int8 costs and gains against fp32."""

from __future__ import annotations

from collections.abc import Sequence

from hwnas.release.verification import Accuracy, VariantCheck
from hwnas.report import _page, _promise, _text
from hwnas.report._record import Record
from hwnas.statistics.differences import ratio_interval


def variants(record: Record) -> str:
    """fp32 beside int8 for each runtime, and every file with its verdict."""
    checked = record.verification
    if checked is None:
        return ""
    reasons: dict[str, list[str]] = {}
    for item in checked.variants:
        for reason in item.reasons:
            reasons.setdefault(reason, []).append(item.name)
    stale = (_page.paragraph(_page.mark(text, "bad")) for text in record.stale)
    return _page.section(
        "What ships: fp32 and int8",
        *stale,
        _precisions(record, checked.variants),
        _files(checked.variants),
        *(_page.paragraph(f"{', '.join(names)}: {reason}.") for reason, names in reasons.items()),
        _further(record),
        *(_page.paragraph(f"{item['said']}.") for item in (record.manifest or {}).get("int8_costs", ())),
        _rounding(record),
    )


def _precisions(record: Record, checked: Sequence[VariantCheck]) -> str:
    by_name = {item.name: item for item in checked}
    rows = []
    for name, exact in by_name.items():
        small = by_name.get(name.replace("-fp32", "-int8"))
        if "-fp32" in name and small is not None:
            rows.append((name.replace("-fp32", ""), *_both(exact, small)))
    if not rows:
        return ""
    header = ("runtime", "accuracy fp32", "accuracy int8", "int8 costs", "ms fp32", "ms int8", "speed-up")
    return _page.table(header, rows, numeric=range(1, 7)) + _page.paragraph(_resolution(record), "fine")


def _both(exact: VariantCheck, small: VariantCheck) -> tuple[str, ...]:
    """The cells of one runtime: accuracies and their difference, latencies and their ratio."""
    loss = speed_up = "–"
    if exact.test_accuracy is not None and small.test_accuracy is not None:
        points = exact.test_accuracy - small.test_accuracy
        loss = "nothing" if points == 0 else f"{_text.points(points)} points"
    if exact.measured_ms is not None and small.measured_ms is not None:
        speed_up = f"{exact.measured_ms / small.measured_ms:.2f}×"
        if exact.interval_ms is not None and small.interval_ms is not None:
            low, high = ratio_interval(
                exact.measured_ms, exact.interval_ms, small.measured_ms, small.interval_ms
            )
            speed_up += f" ({low:.2f} to {high:.2f})"
    return _share(exact), _share(small), loss, _latency(exact), _latency(small), speed_up


def _share(item: VariantCheck) -> str:
    return "–" if item.test_accuracy is None else f"{item.test_accuracy:.2%}"


def _accuracy(item: VariantCheck) -> str:
    return _share(item) if item.accuracy is None else _with_interval(item.accuracy)


def _with_interval(found: Accuracy) -> str:
    low, high = found.interval
    balanced = f", balanced {found.balanced:.1%}" if found.is_uneven else ""
    return f"{found.value:.2%} ({low:.1%} to {high:.1%}){balanced}"


def _latency(item: VariantCheck) -> str:
    return "–" if item.measured_ms is None else _text.measured(item.measured_ms, item.interval_ms)


def _further(record: Record) -> str:
    """Accuracies on a further test set, where one was given."""
    checked = record.verification
    if checked is None or checked.further is None:
        return ""
    rows = [(item.name, _with_interval(item.further)) for item in checked.variants if item.further]
    name, images = checked.further["name"], checked.further["images"]
    said = f"{name}: {images:,} images that the network was not trained on, as far as is known."
    return (
        "<h3>A further test set</h3>"
        + _page.paragraph(said)
        + _page.table(("variant", "accuracy"), rows, numeric=(1,))
    )


def _rounding(record: Record) -> str:
    """What calibration and quantisation-aware fine-tuning came to, where that was asked for."""
    found = (record.manifest or {}).get("int8")
    if not found:
        return ""
    tuned = found["qat"] or {}
    rows = [
        (
            runtime,
            f"{found['fp32']:.2%}",
            f"{accuracy:.2%}",
            f"{tuned[runtime]:.2%}" if runtime in tuned else "–",
        )
        for runtime, accuracy in found["ptq"].items()
    ]
    which = "the fine-tuned weights" if found["shipped"] == "qat" else "the weights as they were trained"
    allowed = _text.points(found["allowed_loss"])[1:]
    text = f"On validation images. More than {allowed} points below fp32 would be "
    text += f"fine-tuned under the rounding of int8; {which} ship in int8."
    text += f" {found['said']}." if found.get("said") else ""
    text += f" The fine-tuning was given up: {found['failure']}" if found.get("failure") else ""
    header = ("runtime", "fp32", "int8, calibrated", "int8, fine-tuned")
    return (
        "<h3>What rounding costs</h3>"
        + _page.table(header, rows, numeric=(1, 2, 3))
        + _page.paragraph(text, "fine")
    )


def _resolution(record: Record) -> str:
    """How fine a difference the test images can show."""
    text = "Measured through each runtime on the whole test split; all intervals hold with 95 %."
    count = record.search["data"].get("images", {}).get("test")
    return text + (f" One of the {count:,} test images is {100 / count:.3g} points." if count else "")


def _files(checked: Sequence[VariantCheck]) -> str:
    rows, files = [], [item.file for item in checked]
    for item in checked:
        name = item.file if files.count(item.file) == 1 else f"{item.file} as {item.name}"
        rows.append(
            (
                _page.code(name),
                _promise.mark(item.verdict, "no budget"),
                _text.size(item.bytes),
                _accuracy(item),
                _latency(item),
                "–" if item.budget_ms is None else _text.ms(item.budget_ms),
            )
        )
    header = ("file", "verified", "size", "test accuracy", "measured ms", "budget ms")
    return _page.table(header, rows, numeric=(2, 3, 4, 5))
