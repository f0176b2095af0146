"""``hwnas table``: look at latency tables, compare and merge them."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from hwnas import files
from hwnas.cli._app import App, Json, app, emit_json, err, finite, out, print_table
from hwnas.errors import TableError
from hwnas.runs import outputs
from hwnas.tables import conditions, operations
from hwnas.tables.table import LatencyTable

tables = App(no_args_is_help=True, help="Latency tables: show, compare, merge, repair, export.")
app.add_typer(tables, name="table")

_UNFOLLOWED = (
    "from round to round, models and anchors are faster or slower each by itself: rounds are not divided by "
    "the anchors beside them"
)
PathArgument = Annotated[Path, typer.Argument(help="A table, as hwnas profile writes it.")]


@tables.command()
def show(path: PathArgument, as_json: Json = False) -> None:
    """Show what was measured, on what, under which conditions, and what is doubtful."""
    table = LatencyTable.load(path)
    doubtful = conditions.unstable(table)
    qualities = conditions.qualities(table)
    if as_json:
        emit_json(_as_json(table, doubtful, qualities))
        return
    known = {name: table.environment.get(name) for name in operations.IDENTITY if name != "gpu"}
    words = [f"{name} {str(value)[:32]}" for name, value in known.items() if value]
    words += [f"gpu {name}"] if (name := operations.gpu_name(table.environment)) else []
    out.print(f"[bold]{table.target}[/]  " + ", ".join(words))
    for session, quality in qualities.items():
        out.print(f"session {session}: {quality}", highlight=False)
    if not table.scale.follow:
        out.print(_UNFOLLOWED, highlight=False, soft_wrap=True)
    rows = Table("key", "kind", "ms", "95 % interval", "rounds", "doubt")
    for key, m in sorted(table.measurements.items(), key=lambda pair: pair[1].latency_ms):
        rows.add_row(
            key,
            m.kind,
            f"{m.latency_ms:.4g}",
            "–" if m.relative_interval is None else f"±{100 * m.relative_interval:.1f} %",
            str(len(m.rounds)),
            doubtful.get(key, ""),
        )
    print_table(rows)
    for item in table.rounds:
        if item.failed:
            err.print(f"[yellow]failed:[/] {item.key}: {item.failed}", soft_wrap=True)


@tables.command()
def diff(
    before: PathArgument,
    after: PathArgument,
    least: Annotated[
        float, typer.Option(min=0, callback=finite, help="Relative changes below this are never real.")
    ] = 0.02,
    as_json: Json = False,
) -> None:
    """Compare two tables and tell real change from noise."""
    tables_ = [LatencyTable.load(path) for path in (before, after)]
    found = operations.diff(tables_[0], tables_[1], least=least)
    if as_json:
        emit_json(asdict(found))
        return
    for path, table in zip((before, after), tables_, strict=True):
        for quality in conditions.qualities(table).values():
            if quality.reasons:
                err.print(f"[yellow]{path}[/] is {quality}", highlight=False)
    for name, (old, new) in found.environment.items():
        out.print(f"{name}: {old} → {new}", highlight=False)
    if found.foreign:
        err.print(
            f"[yellow]the tables are of different machines ({', '.join(found.foreign)}):[/] what follows "
            "is no change over time but how much slower or faster the second machine is, row by row in its "
            "own milliseconds; neither table says anything of the other's machine",
            soft_wrap=True,
            highlight=False,
        )
    elif found.unlike:
        err.print(
            f"[yellow]the tables differ in {', '.join(found.unlike)}:[/] what follows is no change over time "
            "but how much slower or faster the second way to run is, row by row in its own milliseconds",
            soft_wrap=True,
            highlight=False,
        )
    out.print(f"anchor: {found.anchor:+.1%}", highlight=False)
    real = [change for change in found.changes if change.real]
    rows = Table("key", "before (ms)", "after (ms)", "change", "p")
    for change in real:
        rows.add_row(
            change.key,
            f"{change.before_ms:.4g}",
            f"{change.after_ms:.4g}",
            f"{change.relative:+.1%}",
            f"{change.p_value:.1g}",
        )
    if real:
        print_table(rows)
    within = len(found.changes) - len(real) - found.untold
    untold = f"{found.untold} with too few rounds to tell, " if found.untold else ""
    out.print(
        f"{len(real)} real {'differences' if found.foreign or found.unlike else 'changes'}, "
        f"{within} rows within noise, "
        f"{untold}{len(found.only_before)} only before, {len(found.only_after)} only after"
    )


@tables.command()
def merge(
    paths: Annotated[list[Path], typer.Argument(help="Tables of the same target.")],
    path: Annotated[Path, typer.Option("--out", help="The merged table; must not exist.")],
) -> None:
    """Put the sessions of several tables of one target into one table."""
    if path.exists():
        raise TableError(f"a merged table must be a new file, but {path} exists: give another --out")
    outputs.require_file(path, "a merged table")
    merged = operations.merge(*(LatencyTable.load(item) for item in paths))
    merged.save(path)
    out.print(f"{len(merged.measurements)} rows, {len(merged.rounds)} rounds: {path}", soft_wrap=True)


@tables.command()
def repair(path: PathArgument, as_json: Json = False) -> None:
    """Drop the lines that are damaged, say which, and keep a copy of the file as it was."""
    from hwnas.tables import repair

    found = repair.repair(path)
    if as_json:
        emit_json({"kept": found.kept, "dropped": found.dropped, "copy": found.copy and str(found.copy)})
        return
    for number, reason in found.dropped.items():
        err.print(f"[yellow]line {number} is dropped:[/] {escape(reason)}", soft_wrap=True, highlight=False)
    if found.copy is None:
        out.print(f"nothing is damaged: {found.kept} rows and notes", highlight=False)
        return
    lines = "1 line" if len(found.dropped) == 1 else f"{len(found.dropped)} lines"
    out.print(
        f"{lines} dropped, {found.kept} rows and notes kept; as it was: {found.copy}",
        soft_wrap=True,
        highlight=False,
    )


@tables.command()
def export(
    path: PathArgument,
    csv: Annotated[
        Path | None, typer.Option("--csv", help="File to write; standard output if not given.")
    ] = None,
) -> None:
    """Write the estimates as CSV."""
    if csv is not None:
        outputs.require_file(csv, "a CSV file")
    text = operations.to_csv(LatencyTable.load(path))
    if csv is None:
        typer.echo(text, nl=False)
    else:
        files.write_atomic(csv, text)


def _as_json(
    table: LatencyTable, doubtful: dict[str, str], qualities: dict[str, conditions.SessionQuality]
) -> dict[str, Any]:
    return {
        "target": table.target.to_json(),
        "environment": table.environment,
        "anchors_ms": {"light": table.scale.light_ms, "heavy": table.scale.heavy_ms},
        "anchors_followed": bool(table.scale.follow),
        "sessions": {name: asdict(found) for name, found in qualities.items()},
        "rows": [
            {
                "key": key,
                "kind": m.kind,
                "latency_ms": m.latency_ms,
                "ci_ms": m.ci_ms,
                "interval_ms": m.interval_ms,
                "slow_ms": m.slow_ms,
                "rounds": len(m.rounds),
                "unstable": doubtful.get(key, ""),
            }
            for key, m in table.measurements.items()
        ],
        "failed": {item.key: item.failed for item in table.rounds if item.failed},
    }
