"""``hwnas bench``: which strategy is worth using, on a table of trained networks at equal cost."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from hwnas import files
from hwnas.cli import _runlog, _usage
from hwnas.cli._app import Json, app, emit_json, err, out, print_table
from hwnas.errors import HwnasError
from hwnas.runs import outputs
from hwnas.runs.folder import BenchFolder

if TYPE_CHECKING:
    from hwnas.bench import StrategyBench
    from hwnas.bench.results import BenchBudget, BenchPoint

File = Annotated[
    Path,
    typer.Argument(
        help="Tabular benchmark, told by its content: NAS-Bench-Macro, NAS-Bench-201 or NATS-Bench."
    ),
]
Strategies = Annotated[
    str,
    typer.Option(
        help="Sampling strategies, joined by commas; surrogate+remeasure scores the leaders again with its "
        "last fifth of queries. Random search and the largest network that fits are always there.",
    ),
]
Costs = Annotated[
    Path | None, typer.Option(help="Latency model of hwnas fit; multiply-adds in millions without one.")
]


@app.command()
def bench(
    file: File,
    to: Annotated[Path, typer.Option("--out", help="Folder of the bench; goes on in one that is there.")],
    space: Annotated[
        str | None,
        typer.Option(
            help="Space of the benchmark, short or full name; its own without it.",
            callback=_usage.checked(_usage.space),
        ),
    ] = None,
    dataset: Annotated[
        str | None,
        typer.Option(
            help="Data set of the accuracies where the benchmark has several: cifar10, cifar10-valid, "
            "cifar100 or ImageNet16-120.",
            callback=_usage.checked(_usage.benchmark_dataset),
        ),
    ] = None,
    strategies: Strategies = "evolution,surrogate",
    budgets: Annotated[
        str, typer.Option(help="Budgets in the unit of the costs, or of their range: 40,60 or 50%.")
    ] = "50%",
    queries: Annotated[
        str, typer.Option(help="Numbers of queries that strategies are compared at, joined by commas.")
    ] = "25,50,100,200",
    seeds: Annotated[int, typer.Option(min=1, help="Searches of each strategy under each budget.")] = 20,
    costs: Costs = None,
    pool: Annotated[
        str,
        typer.Option(
            help="Who searches: processes:N of this machine, of one thread each, or ray[://HOST:PORT].",
            callback=_usage.checked(_usage.pool),
        ),
    ] = "processes:1",
    as_json: Json = False,
) -> None:
    """Compare search strategies at equal queries, budgets and seeds; continues what was cut off."""
    from hwnas import bench as room
    from hwnas import report
    from hwnas.bench.asked import sources

    with _usage.usage():
        asked = room.BenchAsked(
            sources(file, space, costs, dataset),
            _words("--strategies", strategies),
            _words("--budgets", budgets),
            _numbers(queries),
            seeds,
        )
    folder = BenchFolder(to)
    for path, what in ((folder.result, "a result"), (folder.page, "a page")):
        outputs.require_file(path, what)
    _runlog.into(folder)
    with err.status("reading the table") as status:
        found = room.bench(
            asked, to, pool=pool, tell=lambda done, count: status.update(f"{done} of {count} searches")
        )
    files.write_json(folder.result, found.to_json())
    report.write_bench(found, folder.page)
    if as_json:
        emit_json(found.to_json())
        return
    show_bench(found)
    out.print(f"written to {escape(str(folder.page))}", highlight=False, soft_wrap=True)


def show_bench(found: StrategyBench) -> None:
    """Print a table a budget, who wins against whom, and what follows."""
    for budget in found.budgets:
        print_table(_regrets(found, budget))
    print_table(_matrix(found))
    for sentence in found.said:
        out.print(escape(sentence), highlight=False, soft_wrap=True)


def _regrets(found: StrategyBench, budget: BenchBudget) -> Table:
    from hwnas.bench.entrants import called

    share = "" if not budget.asked.endswith("%") else f" ({budget.asked})"
    title = (
        f"regret in points within {budget.limit:.4g} {found.unit}{share}: {budget.networks:,} networks, the "
        f"best {budget.oracle:.2f} %"
    )
    table = Table(title=title, title_justify="left", box=None, padding=(0, 2, 0, 0))
    table.add_column("strategy")
    for queries in found.queries:
        table.add_column(f"{queries} queries", justify="right")
    table.add_column("ms a query", justify="right")
    for name in found.ranked:
        points = [found.point(name, budget.limit, queries) for queries in found.queries]
        table.add_row(called(name), *map(_cell, points), f"{points[-1].query_ms:.1f}")
    return table


def _cell(point: BenchPoint) -> str:
    low, high = point.interval
    return f"{point.regret:.2f} ({low:.2f} to {high:.2f})" if high > low else f"{point.regret:.2f}"


def _matrix(found: StrategyBench) -> Table:
    from hwnas.bench.entrants import called

    title = f"wins / equal / losses of the row at {found.queries[-1]} queries; * significant"
    table = Table(title=title, title_justify="left", box=None, padding=(0, 2, 0, 0))
    table.add_column("strategy")
    for name in found.ranked:
        table.add_column(name, justify="right")
    for name in found.ranked:
        pairs = [None if other == name else found.pairing(name, other) for other in found.ranked]
        table.add_row(called(name), *("–" if pair is None else pair.text for pair in pairs))
    return table


def _words(option: str, text: str) -> list[str]:
    words = [word.strip() for word in text.split(",") if word.strip()]
    if not words:
        raise HwnasError(f"{option} must name something, but got {text!r}: leave it out for its default")
    return words


def _numbers(text: str) -> list[int]:
    words = _words("--queries", text)
    if not all(word.removeprefix("-").isdecimal() for word in words):
        raise HwnasError(f"queries must be whole numbers joined by commas, but got {text!r}: as 25,50,100")
    return list(map(int, words))
