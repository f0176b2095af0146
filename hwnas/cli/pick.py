"""``hwnas pick``: another network from the gallery of a search, without searching again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from hwnas.budget import Budget
from hwnas.cli import _runlog, _usage
from hwnas.cli._app import AcceptNoise, Json, app, coloured, emit_json, err, leave, out, print_quality
from hwnas.cli._shipping import run_folder
from hwnas.runs.budgets import BudgetRecord
from hwnas.runs.folder import RunFolder
from hwnas.runs.found import SearchRecord
from hwnas.statistics import use
from hwnas.statistics.bounds import decimals
from hwnas.statistics.intervals import NORMAL_95
from hwnas.statistics.verdict import Verdict, on_budget, worst
from hwnas.tables.conditions import SessionQuality

_WHY_LITTLE = (
    "nothing in the gallery is estimated better within it; search with this budget for one that uses it"
)


@app.command()
def pick(
    run: Annotated[Path, typer.Argument(help="Folder that `hwnas search` wrote.", callback=run_folder)],
    to: Annotated[Path, typer.Option("--out", help="Folder of the new run; created.")],
    budget_ms: Annotated[
        str | None,
        typer.Option(
            help="For all targets: milliseconds, or as 60% of the range that the search took shares of.",
            callback=_usage.checked(_usage.budget),
        ),
    ] = None,
    device: Annotated[
        list[str] | None,
        typer.Option(help="NAME=BUDGET or NAME/RUNTIME-PRECISION=BUDGET; may be repeated."),
    ] = None,
    confidence: Annotated[
        float,
        typer.Option(
            help="Wanted chance that a budget is kept that was not measured.",
            callback=_usage.share("a confidence", least=0.5),
        ),
    ] = 0.9,
    accept_noise: AcceptNoise = False,
    as_json: Json = False,
) -> None:
    """Take the best network within other budgets into a run folder of its own.

    What the search measured of it has a verdict: exits with 3 where a budget is NOT PROVEN by that. What
    was not measured is only predicted, and without a verdict: `hwnas verify` gives it.
    """
    from hwnas.search.pick import pick as pick_from

    budgets = {} if budget_ms is None else {"": Budget.read(budget_ms)}
    for text in device or ():
        name, equals, amount = text.partition("=")
        if not (name and equals and amount):
            raise typer.BadParameter(f"--device must be NAME=BUDGET, but got {text!r}")
        if name in budgets:
            raise typer.BadParameter(f"a target must have one budget, but {name} has two")
        with _usage.usage():
            budgets[name] = Budget.read(amount, name)
    if not budgets:
        raise typer.BadParameter("a pick must be given --budget-ms, or --device NAME=BUDGET")
    _runlog.into(RunFolder(to))
    record = pick_from(run, list(budgets.values()), to, confidence=confidence)
    if as_json:
        emit_json(record.to_json())
    else:
        _show(record, budgets, to)
    energy = None if record.energy is None else record.energy.verdict
    leave(worst([*map(_kept, record.budgets), energy]), accept_noise=accept_noise)


def _show(record: SearchRecord, budgets: Mapping[str, Budget], to: Path) -> None:
    """What was picked, what is known of its latency, and what else is to be known."""
    from hwnas.search.constraints import unbound

    out.print(
        f"picked {'.'.join(map(str, record.best))}; estimated {record.score} {record.quality:.2%}",
        highlight=False,
    )
    for item in record.budgets:
        used = _latency_ms(item) / item.budget_ms
        digits = max(3, decimals(item.budget_ms, _latency_ms(item)))
        asked = f"{item.budget_ms:.{digits}f}"
        said = f"{item.name}: asked {asked} ms, {_known(item, digits)}: {used:.0%} of the budget"
        kept = _kept(item)
        reasons = f": {escape('; '.join(kept.reasons))}" if kept and kept.reasons else ""
        out.print(
            f"{escape(said)}, {coloured(kept, 'not measured')}{reasons}", soft_wrap=True, highlight=False
        )
        print_quality(item.quality or {}, item.name)
        for text in unbound(item.name, item.budget_ms, record.range_of(item.name)[1]):
            err.print(f"[yellow]warning:[/] {escape(text)}", highlight=False, soft_wrap=True)
    if record.energy is not None:
        out.print(escape(record.energy.sentence), soft_wrap=True, highlight=False)
    for text in _shares_of(record, budgets):
        out.print(escape(text), soft_wrap=True, highlight=False)
    shares = {item.name: _latency_ms(item) / item.budget_ms for item in record.budgets}
    if len(shares) > 1:
        out.print(escape(use.said(shares)), soft_wrap=True, highlight=False)
    if little := use.warning(shares, _WHY_LITTLE):
        err.print(f"[yellow]warning:[/] {escape(little)}", highlight=False, soft_wrap=True)
    for text in record.alarms:
        err.print(f"[yellow]warning:[/] of the search: {escape(text)}", highlight=False, soft_wrap=True)
    out.print(f"written to {to}", highlight=False)


def _shares_of(record: SearchRecord, budgets: Mapping[str, Budget]) -> Iterator[str]:
    """What each budget that is a share is a share of."""
    from hwnas.search.constraints import range_said

    for item in record.budgets:
        names = (item.name, item.name.split("/")[0], "")
        budget = next(budgets[name] for name in names if name in budgets)
        if budget.is_share:
            said = range_said(*record.range_of(item.name), is_measured=item.range_is_measured)
            yield f"{item.name}: {budget.text.strip()} is of {said}"


def _latency_ms(item: BudgetRecord) -> float:
    """What was measured, or else predicted; a gallery says either of every entry."""
    return float(item.latency_ms or 0.0)


def _kept(item: BudgetRecord) -> Verdict | None:
    """Whether the budget is proven to be kept; None where the network was only predicted."""
    if item.measured_ms is None:
        return None
    found, quality = item.quality, None
    if found:
        quality = SessionQuality(str(found.get("word", "")), tuple(found.get("reasons", ())), {})
    return on_budget(item.measured_ms, item.interval_ms, item.budget_ms, quality)


def _known(item: BudgetRecord, digits: int) -> str:
    """What is known of the latency on one target, with half its 95 % interval."""
    if item.measured_ms is None:
        half = NORMAL_95 * (item.predicted_std_ms or 0.0)
        return f"predicted {_latency_ms(item):.{digits}f} ± {half:.{digits}f}"
    if item.interval_ms is None:
        return f"measured {item.measured_ms:.{digits}f}, in too few rounds for an interval"
    low, high = item.interval_ms
    return f"measured {item.measured_ms:.{digits}f} ± {(high - low) / 2:.{digits}f}"
