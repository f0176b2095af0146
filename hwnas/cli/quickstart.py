"""``hwnas quickstart``: the whole chain with a live view of its stages."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.live import Live
from rich.markup import escape
from rich.table import Table

from hwnas import device as devices
from hwnas.cli import _runlog, _usage
from hwnas.cli._app import AcceptNoise, Json, app, emit_json, err, leave, out
from hwnas.cli._console import Steps, Verbosity
from hwnas.cli._tracking import Track
from hwnas.runs.folder import ChainFolder, RunFolder

if TYPE_CHECKING:
    from hwnas.pipeline.quickstart import Summary


@app.command()
def quickstart(
    folder: Annotated[Path | None, typer.Option("--out", help="Folder to create; runs/<time>.")] = None,
    device: Annotated[str, typer.Option(help="Device to measure on.", callback=_usage.device)] = "host",
    space: Annotated[
        str, typer.Option(help="Search space.", callback=_usage.checked(_usage.space))
    ] = "macro",
    data: Annotated[
        str, typer.Option(help="clutter, digits, a folder of images or parquet files, npz.")
    ] = "clutter:10000",
    budget_ms: Annotated[
        str,
        typer.Option(
            help="Milliseconds, or as 30% of each target's range between fastest and slowest, as predicted.",
            callback=_usage.checked(_usage.budget),
        ),
    ] = "30%",
    epochs: Annotated[
        int | None, typer.Option(min=1, help="Of training from scratch; as many as take about 200 steps.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Where all randomness comes from.")] = 0,
    track: Track = None,
    accept_noise: AcceptNoise = False,
    as_json: Json = False,
) -> None:
    """Profile, search, train, export and verify on this machine, in minutes.

    Exits with 0 for PASS, with 1 for FAIL (also of a network that learned nothing, or is clearly worse
    than that of random search), with 3 for NOT PROVEN.
    """
    from hwnas.pipeline import UNCHANGED
    from hwnas.pipeline import quickstart as chain

    target = folder or Path("runs") / f"{datetime.now():%Y-%m-%d-%H%M%S}"
    _runlog.into(ChainFolder(target))
    view, steps = _View(chain.STAGES), Steps(err)
    is_seen = err.is_terminal and err.verbosity != Verbosity.QUIET
    shown = Live(view.table(), console=err, refresh_per_second=4) if is_seen else nullcontext()
    with _told_how_it_goes_on(target), shown as live:

        def tell(stage: str, text: str) -> None:
            said = err.pace.told(text)
            took = view.tell(stage, "" if text == UNCHANGED else said)
            if text:
                steps.tell(f"{stage}: {said}")
            else:
                err.tell(f"[green]{stage}: done[/] in {took:.0f} s", is_shown=is_seen)
            if live is not None:
                live.update(view.table())

        summary = chain.run(
            target,
            devices.load(device),
            chain.QuickstartOptions(space, data, budget_ms, epochs, seed, accept_noise),
            tell,
            track or (),
        )
    if is_seen:
        err.print()
    if as_json:
        emit_json(summary.to_json())
    else:
        _show(summary)
    leave(summary.verdict, accept_noise=accept_noise)


@contextmanager
def _told_how_it_goes_on(folder: Path) -> Iterator[None]:
    """A folder that nobody named is named where the work in it is cut off."""
    try:
        yield
    except (KeyboardInterrupt, SystemExit):
        if folder.exists():
            err.print(f"the same command with --out {escape(str(folder))} goes on", soft_wrap=True)
        raise


class _View:
    """A line a stage: what it does now, or how long it took."""

    def __init__(self, stages: tuple[str, ...]) -> None:
        self._stages = stages
        self._text: dict[str, str] = {}
        self._began: dict[str, datetime] = {}
        self._seconds: dict[str, float] = {}

    def tell(self, stage: str, text: str) -> float:
        """Take note of what a stage says; returns the seconds that it has taken."""
        self._began.setdefault(stage, datetime.now())
        took = (datetime.now() - self._began[stage]).total_seconds()
        self._text[stage] = text
        if not text:
            self._seconds[stage] = took
        return took

    def table(self) -> Table:
        """What is to be shown now."""
        shown = Table.grid(padding=(0, 2))
        for stage in self._stages:
            if stage in self._seconds:
                shown.add_row("[green]✓[/]", stage, f"{self._seconds[stage]:.0f} s")
            elif stage in self._text:
                shown.add_row("[yellow]▸[/]", f"[bold]{stage}[/]", self._text[stage])
            else:
                shown.add_row(" ", f"[dim]{stage}[/]", "")
        return shown


def _show(summary: Summary) -> None:
    from hwnas.cli._verifications import show_verifications
    from hwnas.cli.run import show_qualities, show_said

    show_verifications(summary.verifications, summary.why_little)
    show_said(summary)
    show_qualities(summary)
    seconds = ", ".join(f"{stage} {value:.0f} s" for stage, value in summary.seconds.items())
    out.print(f"time: {seconds}; {sum(summary.seconds.values()):.0f} s in all", highlight=False)
    out.print(f"models: {RunFolder(summary.run).export}\nreport: {summary.report}", highlight=False)
