"""``hwnas init`` and ``hwnas run``: the whole chain from one file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from hwnas import files
from hwnas.cli import _runlog, _usage
from hwnas.cli._app import AcceptNoise, Json, app, coloured, emit_json, err, leave, out
from hwnas.cli._foreseen import show_foreseen_run
from hwnas.cli._tracking import Track
from hwnas.errors import HwnasError, typed
from hwnas.runs import outputs
from hwnas.runs.folder import ChainFolder, RunFolder
from hwnas.search.settings import STRATEGY

if TYPE_CHECKING:
    from hwnas.pipeline import Summary


@app.command()
def init(
    path: Annotated[Path, typer.Argument(help="File to write, or its folder.")] = Path("hwnas.toml"),
    strategy: Annotated[
        str,
        typer.Option(
            help="Search strategy whose settings are written.", callback=_usage.checked(_usage.strategy)
        ),
    ] = STRATEGY,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
) -> None:
    """Write a config with every option, its default and what it means."""
    from hwnas import pipeline

    path = path / "hwnas.toml" if path.is_dir() else path
    outputs.require_file(path, "a config")
    if path.exists() and not force:
        raise HwnasError(
            f"a config must not be replaced unasked, but {path} exists: give another name or --force"
        )
    files.write_atomic(path, pipeline.template(strategy))
    then = f"written to {path}; change what you like, then {typed('run', path)}"
    out.print(escape(then), highlight=False, soft_wrap=True)


@app.command()
def run(
    config: Annotated[Path, typer.Argument(help="File that `hwnas init` wrote.")],
    track: Track = None,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Only say which stages are left, and what would be measured."),
    ] = False,
    accept_noise: AcceptNoise = False,
    as_json: Json = False,
) -> None:
    """Run the whole chain; what is unchanged is skipped, what was interrupted goes on.

    Exits with 0 for PASS, with 1 for FAIL (also of a network that learned nothing, or is clearly worse
    than the baseline's), with 3 for NOT PROVEN.
    """
    from hwnas import pipeline

    wanted = pipeline.read(config)
    wanted = wanted.accepting_noise() if accept_noise else wanted
    if dry_run:
        with err.status("looking at what is there"):
            foreseen = pipeline.foreseen(wanted)
        show_foreseen_run(foreseen, as_json=as_json)
        return
    _runlog.into(ChainFolder(wanted.folder))
    with err.status("starting") as status:

        def tell(stage: str, text: str) -> None:
            if text == pipeline.UNCHANGED:
                err.tell(f"[dim]{stage}: unchanged, skipped[/]")
            elif text:
                status.update(f"{stage}: {text}")
            else:
                err.tell(f"[green]{stage}: done[/]")

        summary = pipeline.run(wanted, tell=tell, track=track or ())
    if as_json:
        emit_json(summary.to_json())
    else:
        _show(summary)
    leave(summary.verdict, accept_noise=summary.accepted_noise)


def _show(summary: Summary) -> None:
    from hwnas.cli._verifications import show_verifications

    show_verifications(summary.verifications, summary.why_little)
    show_said(summary)
    show_qualities(summary)
    out.print(f"models: {RunFolder(summary.run).export}\nreport: {summary.report}", highlight=False)


def show_said(summary: Summary) -> None:
    """Print what else is to be known of the search."""
    for text in summary.said:
        err.print(f"[yellow]warning:[/] of the search: {escape(text)}", highlight=False, soft_wrap=True)


def show_qualities(summary: Summary) -> None:
    """Print the metric of the found network beside its baseline's, and whether they differ."""
    metric = summary.metric
    each = ", ".join(f"{name} [bold]{metric.text(value, 2)}[/]" for name, value in summary.quality.items())
    found = summary.difference
    if found is None:
        out.print(f"test {metric.name}: {each}", highlight=False)
        return
    low, high = (metric.gap(end, 2, "+") for end in found.interval)
    name, baseline = summary.quality
    which = f"{name} minus {baseline}" if metric.is_higher_better else f"{name} is better than {baseline} by"
    out.print(
        f"test {metric.name} under the same budgets: {each}; {which} {metric.gap(found.mean, 2, '+')}"
        f"{metric.unit} (95 %: {low} to {high}): {found.said}",
        highlight=False,
    )
    if summary.against is not None:
        out.print(
            f"{coloured(summary.against)}: {escape('; '.join(summary.against.reasons))}", highlight=False
        )
