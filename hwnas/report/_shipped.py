"""What ships: every variant, and what int8 costs and gains against fp32."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from hwnas.release.verification import VariantCheck, Verification
from hwnas.report import _budgets, _page, _text
from hwnas.report._record import Record
from hwnas.runs.around import KEPT
from hwnas.statistics.differences import ratio_interval
from hwnas.tasks import Task
from hwnas.tasks.base import Estimate, Metric


def variants(record: Record) -> str:
    """fp32 beside int8 for each runtime, and every file with its verdict."""
    if not record.verifications:
        return ""
    stale = (_page.paragraph(_page.mark(text, "bad")) for text in record.stale)
    several = len(record.verifications) > 1
    return _page.section(
        "What ships: fp32 and int8",
        *stale,
        *(part for checked in record.verifications for part in _on_device(record, checked, several)),
        _further(record),
        *(
            _page.paragraph(f"{item['said']}.")
            for item in (record.manifest.int8_costs if record.manifest else ())
        ),
        _rounding(record),
    )


def _on_device(record: Record, checked: Verification, several: bool) -> Iterator[str]:
    """What was found on a device, which is named where there are several."""
    reasons: dict[str, list[str]] = {}
    for item in checked.variants:
        for reason in item.reasons:
            reasons.setdefault(reason, []).append(item.name)
    if several:
        yield f"<h3>On {_page.code(checked.device)}</h3>"
    yield _precisions(record, checked.variants)
    yield _files(record.task, checked.variants)
    yield _around(checked.variants)
    for reason, names in reasons.items():
        yield _page.paragraph(f"{', '.join(names)}: {reason}.")


def _around(checked: Sequence[VariantCheck]) -> str:
    """What a picture takes as a whole, where that was measured."""
    rows, programs = [], set()
    for item in checked:
        if item.around is None or item.network is None:
            continue
        found = item.around.on_budget(item.network, item.budget_ms, item.session)
        parts = (item.network, item.around.preparing, item.around.reading, item.around.whole(item.network))
        kept = "–" if found is None else f"{KEPT[found.word]} ({_text.ms(item.budget_ms or 0)} ms)"
        rows.append((item.name, *(_text.measured(*part) for part in parts), kept))
        programs.add(item.around.of_what)
    if not rows:
        return ""
    header = ("ms a picture", "network", "preparing", "reading the answer", "whole", "the budget with them")
    text = "Budgets and verdicts are of the network alone. Preparing a picture, from its decoded pixels, and "
    text += f"reading the answer are done as in what ships for Python: {'; '.join(sorted(programs))}."
    return (
        "<h3>With preparing and reading</h3>"
        + _page.table(header, rows, numeric=range(1, 5))
        + _page.paragraph(text, "fine")
    )


def _precisions(record: Record, checked: Sequence[VariantCheck]) -> str:
    by_name, metric = {item.name: item for item in checked}, record.task.metric
    rows = []
    for name, exact in by_name.items():
        small = by_name.get(name.replace("-fp32", "-int8"))
        if "-fp32" in name and small is not None:
            rows.append((name.replace("-fp32", ""), *_both(exact, small, metric)))
    if not rows:
        return ""
    header = (
        *("runtime", f"{metric.name} fp32", f"{metric.name} int8"),
        *("int8 costs", "ms fp32", "ms int8", "speed-up"),
    )
    return _page.table(header, rows, numeric=range(1, 7)) + _page.paragraph(_resolution(record), "fine")


def _both(exact: VariantCheck, small: VariantCheck, metric: Metric) -> tuple[str, ...]:
    """The cells of one runtime: the metric of both and the difference, latencies and their ratio."""
    loss = speed_up = "–"
    if exact.value is not None and small.value is not None:
        gap = metric.better(exact.value) - metric.better(small.value)
        loss = "nothing" if gap == 0 else f"{_text.gap(metric, gap)}{metric.unit}"
    if exact.measured_ms is not None and small.measured_ms is not None:
        speed_up = f"{exact.measured_ms / small.measured_ms:.2f}×"
        ends = ratio_interval(exact.measured_ms, exact.interval_ms, small.measured_ms, small.interval_ms)
        speed_up += f" ({ends[0]:.2f} to {ends[1]:.2f})" if ends else ""
    values = (_value(exact, metric), _value(small, metric))
    return *values, loss, _latency(exact), _latency(small), speed_up


def _value(item: VariantCheck, metric: Metric) -> str:
    return "–" if item.value is None else metric.text(item.value, 2)


def _quality(item: VariantCheck, task: Task) -> str:
    return _value(item, task.metric) if item.estimate is None else _with_interval(item.estimate, task)


def _with_interval(found: Estimate, task: Task) -> str:
    metric, remark = task.metric, task.remark(found.details)
    text = f"{metric.text(found.value, 2)} ({metric.within(found.interval)})"
    return f"{text}, {remark}" if remark else text


def _latency(item: VariantCheck) -> str:
    return "–" if item.measured_ms is None else _text.measured(item.measured_ms, item.interval_ms)


def _further(record: Record) -> str:
    """The metric on a further test set, where one was given."""
    task = record.task
    found: dict[str, tuple[int, Sequence[VariantCheck]]] = {}
    for checked in record.verifications:
        if checked.further is not None:  # of files, wherever they run
            found.setdefault(str(checked.further["name"]), (checked.further["images"], checked.variants))
    text = ""
    for name, (images, variants) in found.items():
        rows = [(item.name, _with_interval(item.further, task)) for item in variants if item.further]
        said = f"{name}: {images:,} images that the network was not trained on, as far as is known."
        text += "<h3>A further test set</h3>" + _page.paragraph(said)
        text += _page.table(("variant", task.metric.name), rows, numeric=(1,))
    return text


def _rounding(record: Record) -> str:
    """What calibration and quantisation-aware fine-tuning came to, where that was asked for."""
    found = record.manifest.int8 if record.manifest else None
    if not found:
        return ""
    tuned, metric = found["qat"] or {}, record.task.metric
    rows = [
        (
            runtime,
            metric.text(found["fp32"], 2),
            metric.text(value, 2),
            metric.text(tuned[runtime], 2) if runtime in tuned else "–",
        )
        for runtime, value in found["ptq"].items()
    ]
    which = "the fine-tuned weights" if found["shipped"] == "qat" else "the weights as they were trained"
    allowed = found["allowed_loss"] * 100
    allowed = f"{allowed:.2f} points below" if metric.is_share else f"{allowed:.2f} % worse than"
    text = f"On validation images. More than {allowed} fp32 would be "
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
    count = record.search.data.get("images", {}).get("test")
    fineness = record.task.fineness(count) if count else ""
    return f"{text} {fineness}" if fineness else text


def _files(task: Task, checked: Sequence[VariantCheck]) -> str:
    rows, files = [], [item.file for item in checked]
    for item in checked:
        name = item.file if files.count(item.file) == 1 else f"{item.file} as {item.name}"
        rows.append(
            (
                _page.code(name),
                _budgets.mark(item.verdict, "no budget"),
                _text.size(item.bytes),
                _quality(item, task),
                _latency(item),
                "–" if item.budget_ms is None else _text.ms(item.budget_ms),
            )
        )
    header = ("file", "verified", "size", f"test {task.metric.name}", "measured ms", "budget ms")
    return _page.table(header, rows, numeric=(2, 3, 4, 5))
