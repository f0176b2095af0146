"""How a network came to keep its budget: what was tried, against what it took."""

from __future__ import annotations

from hwnas.report import _page, _svg, _text
from hwnas.report._record import Record


def ladder(record: Record) -> str:
    """The picture and the table of an adaptation; empty where there was none."""
    found = record.adapting
    if found is None:
        return ""
    metric, groups = found.metric, list[_svg.Group]()
    for rung in dict.fromkeys(step.rung for step in found.steps):
        points = [
            _svg.Point(
                step.ms,
                value,
                step.interval_ms,
                step.interval,
                f"{step.what}: {_text.quality(metric, value, step.interval)}, "
                f"{_text.measured(step.ms, step.interval_ms)} ms",
                step.what,
            )
            for step in found.steps
            if step.rung == rung and (value := step.value) is not None
        ]
        groups.append(_svg.Group(rung, tuple(points)))
    chart = _svg.chart(
        groups,
        _svg.Axis(f"measured ms, {found.target}"),
        _svg.Axis(f"validation {metric.name}", percent=metric.is_share),
        title=f"Validation {metric.name} against measured latency of all that was tried",
        x_levels=(("budget", found.budget_ms),),
    )
    rows = [
        (
            step.rung,
            step.what,
            f"{step.ms:.3f}",
            "–" if step.interval_ms is None else "{:.3f} to {:.3f}".format(*step.interval_ms),
            "–" if step.value is None else metric.text(step.value),
            "–" if step.interval is None else metric.within(step.interval),
            "kept" if step.keeps else "not kept",
            "ships" if number == found.taken else step.note,
        )
        for number, step in enumerate(found.steps)
    ]
    ends = "95 % interval"
    header = ("tried", "what", "ms", ends, f"validation {metric.name}", ends, "budget", "note")
    caption = (
        f"After short tuning, on {found.images} validation images, which also chose what ships: its test "
        "value stands with the models. Whiskers: 95 %."
    )
    return _page.section(
        "From the whole network to the budget",
        _page.figure(chart, caption),
        _page.table(header, rows, numeric=(2, 3, 4, 5)),
        *(_page.paragraph(note) for note in (*found.notes, *found.doubts)),
    )
