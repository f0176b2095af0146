"""The page about a bench: strategies of sampling side by side, at equal cost."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from hwnas.bench import StrategyBench
from hwnas.bench.entrants import LARGEST, called
from hwnas.bench.results import BenchBudget, BenchPoint
from hwnas.bench.statistics import Pairing
from hwnas.report import _page, _svg

_NEAR = 1.5
"""Times the highest interval: how far above the curves a level is drawn."""


def page(found: StrategyBench) -> str:
    """The whole HTML document."""
    count = len(found.entrants) - 2
    title = f"{count} search strateg{'ies' if count != 1 else 'y'} and two controls, at equal cost"
    lead = f"{found.created}, with hwnas {found.hwnas}"
    sections = [
        _said(found),
        *(_budget(found, budget) for budget in found.budgets),
        _wins(found),
        _run_with(found),
    ]
    return _page.page(title, lead, sections)


def _said(found: StrategyBench) -> str:
    sentences = (f"{sentence[0].upper()}{sentence[1:]}." for sentence in found.said)
    return _page.section("Which one is worth using?", *map(_page.paragraph, sentences))


def _budget(found: StrategyBench, budget: BenchBudget) -> str:
    share = f" ({budget.asked} of the range)" if budget.asked.endswith("%") else ""
    facts = (
        f"{budget.networks:,} of {found.networks:,} networks keep this budget; the best of them has "
        f"{budget.oracle:.2f} %, the worst {budget.worst:.2f} %, and the one with the most multiply-adds, "
        f"which needs no search, {budget.largest:.2f} %."
    )
    header = ("strategy", *(f"{queries} queries" for queries in found.queries), "ms a query", "distinct")
    rows = [_row(found, budget, name) for name in found.ranked]
    far = "" if _is_near(found, budget) else f" The {LARGEST} is above the chart, at {_level(budget):.2f}."
    return _page.section(
        f"Within {budget.limit:.4g} {found.unit}{share}",
        _page.paragraph(facts),
        _page.figure(
            _curves(found, budget),
            f"Mean regret over {found.seeds} seeds with its 95 % interval: by how many points the returned "
            f"network is worse than the best one.{far}",
        ),
        _page.table(header, rows, numeric=range(1, len(header))),
    )


def _curves(found: StrategyBench, budget: BenchBudget) -> str:
    """Regret against queries; the control that asks nothing is a level."""
    groups = [
        _svg.Group(
            called(name),
            tuple(_mark(found.point(name, budget.limit, queries)) for queries in found.queries),
            "joined",
        )
        for name in found.entrants
        if name != LARGEST
    ]
    return _svg.chart(
        groups,
        _svg.Axis("queries", whole=True),
        _svg.Axis("regret in points"),
        title=f"Regret against queries within {budget.limit:.4g} {found.unit}, a line a strategy",
        y_levels=[(LARGEST, _level(budget))] if _is_near(found, budget) else (),
    )


def _level(budget: BenchBudget) -> float:
    """Regret of the control that asks nothing."""
    return budget.oracle - budget.largest


def _is_near(found: StrategyBench, budget: BenchBudget) -> bool:
    """Whether that can be drawn without pressing all curves to the bottom."""
    ends = [p.interval[1] for p in found.points if p.limit == budget.limit and p.entrant != LARGEST]
    return _level(budget) <= _NEAR * max(ends)


def _mark(point: BenchPoint) -> _svg.Point:
    name = f"{called(point.entrant)}, {point.queries} queries: {_text(point)}"
    return _svg.Point(point.queries, point.regret, y_interval=point.interval, name=name)


def _row(found: StrategyBench, budget: BenchBudget, name: str) -> tuple[str, ...]:
    points = [found.point(name, budget.limit, queries) for queries in found.queries]
    last = points[-1]
    asked = ("none", "none") if name == LARGEST else (f"{last.query_ms:.1f}", f"{last.distinct:.1f}")
    return (called(name), *map(_text, points), *asked)


def _text(point: BenchPoint) -> str:
    low, high = point.interval
    return f"{point.regret:.2f} ({low:.2f} to {high:.2f})" if high > low else f"{point.regret:.2f}"


def _wins(found: StrategyBench) -> str:
    """Who wins against whom: a matrix of matched searches."""
    names = found.ranked
    head = "".join(f'<th scope="col"><span>{escape(name)}</span></th>' for name in names)
    body = "".join(
        f'<tr><th scope="row">{escape(called(name))}</th>{"".join(_cells(found, name))}</tr>'
        for name in names
    )
    table = f'<table class="matrix"><thead><tr><td></td>{head}</tr></thead><tbody>{body}</tbody></table>'
    caption = (
        f"Wins / equal / losses of the row against the column at {found.queries[-1]} queries, over "
        f"{found.seeds * len(found.budgets)} matched searches. Coloured and with a star where chance does "
        "not explain it."
    )
    return _page.section("Who wins?", _page.figure(f'<div class="wide" tabindex="0">{table}</div>', caption))


def _cells(found: StrategyBench, name: str) -> Iterator[str]:
    for other in found.ranked:
        yield "<td>–</td>" if other == name else _cell(found.pairing(name, other))


def _cell(pairing: Pairing) -> str:
    colour = "b-good" if pairing.wins > pairing.losses else "b-bad"
    shade = f'<i class="{colour}" style="opacity:0.30"></i>' if pairing.is_significant else ""
    return f'<td title="p = {pairing.chance:.2g}">{shade}<b>{pairing.text}</b></td>'


def _run_with(found: StrategyBench) -> str:
    """What it takes to repeat it."""
    asked = ", ".join(str(queries) for queries in found.queries)
    rows = [
        (
            "table",
            f"{found.file}, {found.networks:,} networks; trainings of one differ by {found.noise:.2f} points",
        ),
        *((name.replace("_", " "), str(value)) for name, value in found.identity.items()),
        ("budgets", ", ".join(budget.asked for budget in found.budgets)),
        ("queries", f"{asked}; each answers one random training of the network"),
        ("seeds", str(found.seeds)),
    ]
    fine = (
        "All strategies have the same budgets, queries and seeds, and were run in turn, seed by seed. A "
        "course is read at fewer queries only where a strategy promises that it does not depend on how many "
        "there are; every other number is a search of its own. Regret is by the mean of all trainings, which "
        "no strategy sees."
    )
    return _page.section(
        "What it was run with", _page.table(("what", "value"), rows), _page.paragraph(fine, "fine")
    )
