"""What is printed of a search, while it runs and when it is done."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from rich.markup import escape

from hwnas.cli._app import err, out, print_quality
from hwnas.runs.finalists import FinalistsRecord
from hwnas.runs.found import SearchRecord
from hwnas.search import beside
from hwnas.statistics import use


def warn(text: str) -> None:
    """Print what the user should know."""
    err.print(f"[yellow]warning:[/] {escape(text)}", soft_wrap=True, highlight=False)


def show(record: SearchRecord, to: Path, said: Collection[str]) -> None:
    """Print what was found.

    Args:
        record: What ``search.json`` holds.
        to: Folder of the run.
        said: Warnings that were printed before.
    """
    scored = len({trial.indices for trial in record.trials})
    out.print(
        f"[bold]{'.'.join(map(str, record.best))}[/] of {scored} that {record.strategy} scored is taken; "
        f"estimated {record.score} {record.quality:.2%}",
        highlight=False,
    )
    if record.finalists is not None:
        _show_finalists(record.finalists, record.score)
    sizes = record.sizes
    out.print(
        f"{sizes['macs'] / 1e6:.2f} M MACs, {sizes['params'] / 1e6:.3f} M parameters, "
        f"{sizes['bytes'] / 1e6:.3f} MB of weights; {_front(record)}",
        highlight=False,
    )
    for text in beside.sentences(record):
        out.print(text, highlight=False)
    for alarm in record.alarms:
        if alarm not in said:  # before the search began
            warn(alarm)
    seconds = ", ".join(f"{name} {value:.0f} s" for name, value in record.seconds.items())
    out.print(f"{seconds}; written to {to}", highlight=False)


def _show_finalists(found: FinalistsRecord, score: str) -> None:
    """Print what was measured, and what is to be known of it."""
    for target in found.targets:
        out.print(target.sentence, soft_wrap=True, highlight=False)
        if target.measured_ms is not None and target.note:
            warn(f"{target.name}: {target.note}")
        print_quality(target.quality or {}, target.name)
    if found.energy is not None:
        out.print(found.energy.sentence, soft_wrap=True, highlight=False)
    if len(found.targets) > 1:
        shares = {target.name: target.share for target in found.targets}
        out.print(use.said(shares), soft_wrap=True, highlight=False)
    for text in (*found.warnings, *(found.verdict.reasons if found.verdict else ())):
        warn(text)
    if found.networks_measured:
        out.print(
            f"{found.networks_measured} networks measured, {found.repairs} of them repairs, "
            f"in {found.seconds:.0f} s; ranked by {found.rank} {score}",
            highlight=False,
        )


def _front(record: SearchRecord) -> str:
    """How many networks no other beats, and in what."""
    wanted = [record.score, *(item.name for item in record.budgets), *record.objectives]
    count = len(record.pareto)
    verb = "is" if count == 1 else "are"
    return f"{count} of the scored networks {verb} not beaten in {', '.join(wanted)}"
