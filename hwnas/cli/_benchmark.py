"""What is printed of benchmarks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import typer
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from hwnas.cli._app import coloured, emit_json, err, leave, out, print_quality, print_table
from hwnas.statistics.bounds import decimals

if TYPE_CHECKING:
    from hwnas.benchmark import FileBenchmark
    from hwnas.benchmark.facts import BenchmarkSession
    from hwnas.benchmark.row import Row

_OPERATIONS = 12  # that are printed of a profile; the page and the JSON have all
_GAP = 2  # columns of the terminal between two of a table
_NAME = 8  # columns that the name of a file needs at least
_COLUMNS = (
    "file",
    "precision",
    "latency",
    "95 % interval",
    "p90",
    "load",
    "first run",
    "memory",
    "size",
    "ran on",
)
_LEAST_FIRST = ("size", "memory", "first run", "load", "p90")
"""What a narrow terminal does not show, the least important first."""


def tell(found: FileBenchmark, *, as_json: bool) -> None:
    """Print what was found, as one JSON object or for people."""
    if as_json:
        emit_json(found.to_json())
    else:
        show_benchmark(found)


def leave_benchmark(found: FileBenchmark, *, accept_noise: bool) -> None:
    """End with 1 where a file was not measured, after saying why, else as the verdict wants it."""
    for reason in dict.fromkeys(item.reason for item in found.failures):  # a device is gone for all files
        err.print(f"[bold red]error:[/] {escape(reason)}", soft_wrap=True, highlight=False)
    if found.failures:
        raise typer.Exit(1)
    leave(found.verdict, accept_noise=accept_noise)


def show_benchmark(found: FileBenchmark) -> None:
    """Print a table a session, what was left outside of delegates, differences and profiles."""
    for session in found.sessions:
        rows = [row for row in found.rows if row.session == session.id]
        _show_session(found, session, rows)
    if len(found.sessions) > 1:
        _show_order(found)
    for row in found.rows:
        if row.endurance is not None:
            out.print(escape(f"{row.name}: {row.endurance.said}"), highlight=False, soft_wrap=True)
        _show_operations(found, row)
    for difference in found.differences:
        out.print(escape(difference.said), highlight=False, soft_wrap=True)
    if found.differences_said:
        out.print(escape(found.differences_said), highlight=False, soft_wrap=True)
    for note in found.notes:
        err.print(f"[yellow]{escape(note)}[/]", highlight=False, soft_wrap=True)
    if found.budget_ms is not None and found.rows:
        out.print(f"{coloured(found.verdict)}{escape(found.left_out)}", highlight=False, soft_wrap=True)


def _show_session(found: FileBenchmark, session: BenchmarkSession, rows: list[Row]) -> None:
    budget = () if found.budget_ms is None else (f"≤ {found.budget_ms:g}",)
    cells = [
        (*map(escape, _cells(found, row)), *([coloured(row.verdict)] if row.verdict else ())) for row in rows
    ]
    _print_fitting(f"{session.place}, times in ms", (*_COLUMNS, *budget), cells)
    for row in rows:
        if row.placement.said:
            out.print(escape(f"{row.file}: {row.placement.said}"), highlight=False, soft_wrap=True)
        for reason in row.verdict.reasons if row.verdict else ():
            out.print(f"[bold]{escape(row.file)}[/]: {escape(reason)}", highlight=False, soft_wrap=True)
    quality = session.quality
    print_quality(
        {"word": quality.word, "reasons": quality.reasons, "notes": quality.notes}, str(session.place)
    )


def _print_fitting(title: str, names: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table without the columns that its terminal is too narrow for; says which those are.

    What is left is not broken, but for names of files where even that is too wide.

    Args:
        title: Above the table.
        names: Of the columns; the first is that of the names of files.
        rows: Cells as rich markup, one for each column.
    """
    widths = [
        max(Text.from_markup(text).cell_len for text in column) + _GAP
        for column in zip(names, *rows, strict=True)
    ]
    left_out: list[str] = []
    for name in _LEAST_FIRST:
        kept = [at for at, other in enumerate(names) if other not in left_out]
        if sum(widths[at] for at in kept) <= out.width:
            break
        left_out += [name] if name in names else []
    kept = [at for at, name in enumerate(names) if name not in left_out]
    has_room = sum(widths[at] for at in kept[1:]) + _NAME + _GAP <= out.width  # else all must fold
    table = _table(title)
    for at in kept:
        table.add_column(names[at], no_wrap=has_room and at > 0, overflow="fold")
    for row in rows:
        table.add_row(*(row[at] for at in kept))
    out.print(table)
    if left_out:
        said = f"too narrow here for {', '.join(left_out)}: --json and --html have them"
        out.print(said, highlight=False, soft_wrap=True)


def _table(title: str) -> Table:
    return Table(title=escape(title), title_justify="left", box=None, padding=(0, _GAP, 0, 0))


def _show_order(found: FileBenchmark) -> None:
    """Everything that was measured, the fastest first."""
    rows = []
    for row in sorted(found.rows, key=lambda row: row.latency_ms):
        interval = "too few rounds" if row.interval_ms is None else "–".join(map(_ms, row.interval_ms))
        rows.append([*map(escape, (row.file, str(row.place), _ms(row.latency_ms), interval))])
    _print_fitting("the fastest first", ("file", "on", "ms", "95 % interval"), rows)


def _cells(found: FileBenchmark, row: Row) -> Iterator[str]:
    facts = found.file(row.file)
    yield row.file
    yield found.precision(row)
    yield _ms(row.latency_ms)
    if row.interval_ms is None:
        yield "too few rounds"
    else:
        yield "–".join(map(_ms, row.interval_ms))
    yield _ms(row.p90_ms)
    yield _ms(row.load_ms)
    yield _ms(row.first_run_ms)
    yield "not told" if row.peak_memory_bytes is None else _size(row.peak_memory_bytes)
    yield _size(facts.bytes)
    yield row.placement.short


def _show_operations(found: FileBenchmark, row: Row) -> None:
    """The operations that take longest; a sentence where the runtime has no profile."""
    if not found.per_op:
        return
    if row.operations is None:
        out.print(
            escape(f"{row.name}: its runtime has no profile of operations there"),
            highlight=False,
            soft_wrap=True,
        )
        return
    total = sum(operation.us for operation in row.operations) or 1.0
    longest = sorted(row.operations, key=lambda operation: -operation.us)
    table = _table(row.name)
    for column in ("operation", "by", "µs", "share"):
        table.add_column(column)
    for operation in longest[:_OPERATIONS]:
        share = f"{operation.us / total:.0%}"
        table.add_row(escape(operation.name), escape(operation.by), f"{operation.us:.1f}", share)
    print_table(table)
    if rest := longest[_OPERATIONS:]:
        left = sum(operation.us for operation in rest)
        out.print(f"and {len(rest)} more: {left:.1f} µs, {left / total:.0%}", highlight=False)
    if row.operations_said:
        out.print(escape(f"{row.name}: {row.operations_said}"), highlight=False, soft_wrap=True)


def _ms(value: float | None) -> str:
    return (
        "not told"
        if value is None
        else f"{value:.{max(3, decimals(value))}f}"
        if value < 10
        else f"{value:.1f}"
    )


def _size(count: int) -> str:
    if count < 1024:
        return f"{count} B"
    return f"{count / 1024:.0f} KiB" if count < 1024 * 1024 else f"{count / 1024 / 1024:.1f} MiB"
