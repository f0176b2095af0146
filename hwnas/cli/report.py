"""``hwnas report``: one page on a run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from hwnas.cli import _runlog
from hwnas.cli._app import Json, app, emit_json, err, out
from hwnas.cli._shipping import Run, say_unfinished
from hwnas.cli._tracking import Track
from hwnas.runs.folder import RunFolder
from hwnas.tracking.following import followed, usable


@app.command()
def report(
    run: Run,
    latency: Annotated[
        list[Path] | None, typer.Option(help="Latency model that the search believed; may be repeated.")
    ] = None,
    tables: Annotated[
        Path | None, typer.Option(help="Folder of the device's latency tables, if not its own.")
    ] = None,
    baseline: Annotated[Path | None, typer.Option(help="Another run to compare with.")] = None,
    track: Track = None,
    as_json: Json = False,
) -> None:
    """Write a self-contained HTML report of a run."""
    from hwnas import release
    from hwnas import report as reports

    _runlog.into(RunFolder(run))
    loggers = usable(track or (), run)
    for text in reports.damaged(run):
        err.print(f"[yellow]warning:[/] {escape(text)}", highlight=False, soft_wrap=True)
    with followed(run, loggers):
        path = reports.write(run, latencies=tuple(latency or ()), tables=tables, baseline=baseline)
        shipping = RunFolder(run).shipping
        if shipping.manifest.exists():
            release.add_file(shipping.path, release.REPORT, path.read_bytes())
    say_unfinished(run)
    if as_json:
        emit_json({"report": str(path)})
    else:
        out.print(f"written to {path}", highlight=False)
