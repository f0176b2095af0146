"""The page about a benchmark: any files on any devices."""

from __future__ import annotations

from html import escape

from hwnas.benchmark import FileBenchmark
from hwnas.benchmark.facts import BenchmarkSession
from hwnas.benchmark.row import Row
from hwnas.report import _budgets, _conditions, _page, _svg, _text


def page(found: FileBenchmark) -> str:
    """The whole HTML document."""
    count = len({row.file for row in found.rows})
    title = f"{count} model{'s' if count != 1 else ''}, measured"
    lead = f"{found.created}, with hwnas {found.hwnas}"
    sections = [
        _verdict(found),
        *(_session(found, session) for session in found.sessions),
        _differences(found),
        _endurance(found),
        _files(found),
        *(_operations(row) for row in found.rows if row.operations),
        _failures(found),
    ]
    return _page.page(title, lead, [text for text in sections if text])


def _verdict(found: FileBenchmark) -> str:
    """Of all rows together, as the terminal says it; nothing without a budget, or rows."""
    if found.verdict is None:
        return ""
    said = _page.Html(f"{_budgets.mark(found.verdict, '–')}{escape(found.left_out)}")
    return _page.section(f"Within {found.budget_ms:g} ms", _page.paragraph(said))


def _session(found: FileBenchmark, session: BenchmarkSession) -> str:
    rows = [row for row in found.rows if row.session == session.id]
    header = ("file", "ms", "p90 ms", "load ms", "first run ms", "peak memory", "ran on")
    budget = () if found.budget_ms is None else (f"within {found.budget_ms:g} ms",)
    quality = session.quality
    speaks = "; ".join((*quality.reasons, *quality.notes)) or "nothing speaks against it"
    outside = [f"{row.file}: {row.placement.said}." for row in rows if row.placement.said]
    verdicts = [f"{row.file}: {row.verdict}" for row in rows if row.verdict and row.verdict.reasons]
    return _page.section(
        str(session.place),
        _page.table((*header, *budget), [_cells(row) for row in rows], numeric=range(1, 6)),
        *map(_page.paragraph, (*outside, *verdicts)),
        _page.paragraph(
            _page.Html(f"The session was {_conditions.quality_mark(quality.word)}: {escape(speaks)}.")
        ),
        _page.paragraph(
            f"{_conditions.place(session.environment)}. Interleaved, beside anchors in {session.anchors}.",
            "fine",
        ),
    )


def _cells(row: Row) -> tuple[str, ...]:
    memory = "not told" if row.peak_memory_bytes is None else _text.size(row.peak_memory_bytes)
    cells = (
        row.file,
        _text.measured(row.latency_ms, row.interval_ms),
        _text.ms(row.p90_ms),
        *("not told" if ms is None else _text.ms(ms) for ms in (row.load_ms, row.first_run_ms)),
        memory,
        row.placement.short,
    )
    return cells if row.verdict is None else (*cells, _budgets.mark(row.verdict, "–"))


def _differences(found: FileBenchmark) -> str:
    if not found.differences:
        return ""
    rows = [
        (
            item.second,
            item.first,
            f"{item.ratio_said}×",
            item.interval_said,
            _page.mark("real", "good") if item.is_shown else "not shown",
        )
        for item in found.differences
    ]
    header = ("file", "takes the time of", "so many times", "95 %", "the difference is")
    said = [_page.paragraph(f"{found.differences_said}.")] if found.differences_said else []
    return _page.section("Which differences are real?", _page.table(header, rows, numeric=(2, 3)), *said)


def _endurance(found: FileBenchmark) -> str:
    """How models run without a pause, over time."""
    lasting = [(row.name, row.endurance) for row in found.rows if row.endurance is not None]
    if not lasting:
        return ""
    groups = [
        _svg.Group(name, tuple(_svg.Point(s, ms) for s, ms in endurance.points), "line")
        for name, endurance in lasting
    ]
    chart = _svg.chart(
        groups,
        _svg.Axis("seconds without a pause"),
        _svg.Axis("ms a run"),
        title="Milliseconds a run over the time that each model ran without a pause",
    )
    said = [_page.paragraph(f"{name}: {endurance.said}.") for name, endurance in lasting]
    return _page.section(
        "Without a pause", _page.figure(chart, "One after the other, each point a second."), *said
    )


def _files(found: FileBenchmark) -> str:
    rows = [
        (
            item.name,
            item.description.precision,
            _text.size(item.bytes),
            ", ".join(f"{tensor.name} {tensor.text} {tensor.dtype}" for tensor in item.description.inputs),
            ", ".join(f"{count} {name}" for name, count in item.description.operators.items()),
            _page.code(item.sha256[:12]),
        )
        for item in found.files
    ]
    header = ("file", "precision", "size", "inputs", "operators", "SHA-256")
    if not rows:
        return ""
    return _page.section(
        "The files", _page.table(header, rows, numeric=(2,)), *map(_page.paragraph, found.notes)
    )


def _operations(row: Row) -> str:
    operations = row.operations or ()
    total = sum(item.us for item in operations) or 1.0
    rows = [(item.name, item.by, f"{item.us:.1f}", f"{item.us / total:.0%}") for item in operations]
    header = ("operation", "by", "µs", "share")
    said = [_page.paragraph(f"{row.name}: {row.operations_said}.")] if row.operations_said else []
    return _page.details(f"Operations of {row.name}", _page.table(header, rows, numeric=(2, 3)), *said)


def _failures(found: FileBenchmark) -> str:
    if not found.failures:
        return ""
    reasons = dict.fromkeys(item.reason for item in found.failures)  # a device is gone for all files
    paragraphs = [_page.paragraph(_page.mark(reason, "bad")) for reason in reasons]
    return _page.section("What was not measured", *paragraphs)
