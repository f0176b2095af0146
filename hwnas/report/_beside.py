"""Two runs side by side: drawn together only where target, task, images and metric are the same."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from hwnas.device import Target
from hwnas.report import _budgets, _front, _page, _svg, _text, summary
from hwnas.report._record import Record
from hwnas.statistics.verdict import on_baseline
from hwnas.tables.operations import MACHINE

_NAMES = ("this run", "the other run")


def other_run(record: Record) -> str:
    """The run of a report beside the one that it is compared with; empty where there is none."""
    other = record.baseline
    if other is None:
        return ""
    worse = None
    if record.difference is not None and record.trained is not None:
        names = _budgets.origin(record), _budgets.origin(other)
        worse = on_baseline(record.difference, *names, record.task.metric)
    return _page.section(
        "Against another run",
        _page.paragraph(_page.mark("; ".join(worse.reasons), "bad")) if worse else "",
        *side_by_side((record, other), _NAMES),
        _page.paragraph(_apart(record)) if record.trained and other.trained else "",
        _keys((other,), {record.arch.space.name}),
    )


def page(runs: tuple[Record, Record], names: tuple[str, str], lead: str) -> str:
    """The whole HTML document about two runs."""
    parts = (*side_by_side(runs, names), _keys(runs, set()))
    return _page.page(f"{names[0]} and {names[1]}", lead, [_page.section("Side by side", *parts)])


def side_by_side(runs: tuple[Record, Record], names: tuple[str, str]) -> Iterator[str]:
    """A table of both, what they have in common, and their charts or why there are none (HTML)."""
    yield _table(runs, names)
    yield _page.paragraph(f"{_alike(*runs)} One training each: small differences are noise.", "fine")
    shared = [item.target for item in runs[0].budgets if item.target in runs[1].search.targets]
    if said := _incomparable(runs, names) or ("" if shared else _no_target(runs, names)):
        yield _page.paragraph(f"The two are not drawn together: {said}.")
        return
    charts = [
        part for target in shared for part in (_fronts(runs, names, target), _ships(runs, names, target))
    ]
    drawn = [text for text in charts if text.startswith("<figure")]
    yield _page.pair(*drawn) if drawn else ""
    yield from (text for text in charts if text not in drawn)


def _table(runs: tuple[Record, Record], names: tuple[str, str]) -> str:
    """A row a fact, a column a run."""
    told = [summary.of(run) for run in runs]
    there = [{item.name: item for item in each.targets} for each in told]
    rows: list[tuple[str, ...]] = [
        ("what it is", *(each.origin for each in told)),
        ("on test images", *(each.quality or "not trained" for each in told)),
    ]
    for target in dict.fromkeys(item.name for each in told for item in each.targets):
        found = [items.get(target) for items in there]
        rows.append((f"ms on {target}", *("–" if item is None else _latency(item) for item in found)))
        rows.append(
            (f"file for {target}", *((item.size if item else "") or "not verified" for item in found))
        )
    rows.append(("multiply-adds", *(f"{run.arch.macs / 1e6:.1f} M" for run in runs)))
    rows.append(("verdict", *(_budgets.mark(each.verdict, _budgets.UNMEASURED) for each in told)))
    return _page.table(("fact", *names), rows)


def _latency(item: summary.TargetSummary) -> str:
    return f"{item.latency or _budgets.UNMEASURED} (budget {item.budget})"


def _incomparable(runs: tuple[Record, Record], names: tuple[str, str]) -> str:
    """Why nothing of two runs can stand in one chart; empty where something can."""
    tasks, metrics = [run.task.name for run in runs], [run.task.metric for run in runs]
    if tasks[0] != tasks[1]:
        return f"{names[0]} is for {tasks[0]}, and {names[1]} for {tasks[1]}"
    if metrics[0] != metrics[1]:
        return f"{names[0]} is judged by {metrics[0].name}, and {names[1]} by {metrics[1].name}"
    if runs[0].search.data["fingerprint"] != runs[1].search.data["fingerprint"]:
        return "they were searched and tested on other images"
    return ""


def _no_target(runs: tuple[Record, Record], names: tuple[str, str]) -> str:
    have = (", ".join(item.name for item in run.budgets) or "no target" for run in runs)
    said = (f"{name} has {targets}" for name, targets in zip(names, have, strict=True))
    return f"they have no target in common ({', '.join(said)})"


def _fronts(runs: tuple[Record, Record], names: tuple[str, str], target: Target) -> str:
    """Both fronts on a target, or a paragraph that says why not."""
    if said := _unlike(runs, names):
        return _page.paragraph(f"The fronts are not drawn together: {said}.")
    groups = []
    for run, name in zip(runs, names, strict=True):
        number, entries = run.search.targets.index(target), _front.scored(run)
        front = _front.best(entries, number)
        own = [entry for entry in entries if entry.indices == run.arch.indices][:1]
        on, off = (
            tuple(
                entry.point(run, number, whiskers=True, name=f"{name}, ", is_ringed=entry in own)
                for entry in some
            )
            for some in (front, [entry for entry in own if entry not in front])
        )
        groups.append(_svg.Group(name, on, "steps", off))
    score = runs[0].score
    chart = _svg.chart(
        groups,
        _svg.Axis(f"ms on {target}"),
        _svg.Axis(f"estimated {score}", percent=True),
        title=f"Estimated {score} against latency on {target}, the fronts of {names[0]} and {names[1]}",
        x_levels=_budget_levels(runs, target),
    )
    caption = (
        f"{target}: what each search offers; ringed: its network; whiskers are 95 % intervals. Each is "
        f"estimated in its own search, so compare times and shapes, and trained networks by what ships."
    )
    return _page.figure(chart, caption)


def _ships(runs: tuple[Record, Record], names: tuple[str, str], target: Target) -> str:
    """What ships for a target, as verified, or a paragraph that says why not."""
    metric, points, machines = runs[0].task.metric, [], []
    for run, name in zip(runs, names, strict=True):
        found = None if run.stale else run.variant(target)
        if found is None or found.value is None or found.measured_ms is None:
            said = "there is nothing" if found is None else "accuracy or latency is missing"
            return _page.paragraph(
                f"What ships for {target} is not drawn together: {said} that was verified in {name}."
            )
        interval = found.estimate.interval if found.estimate else None
        told = f"{name}: {_text.quality(metric, found.value, interval)}, "
        told += f"{_text.measured(found.measured_ms, found.interval_ms)} ms measured"
        points.append(
            _svg.Point(
                found.measured_ms, found.value, found.interval_ms, interval, told, network=run.network()
            )
        )
        environment = found.session.environment if found.session else {}
        machines.append([environment.get(field) for field in MACHINE])
    if machines[0] != machines[1]:
        return _page.paragraph(
            f"What ships for {target} is not drawn together: it was measured on two machines."
        )
    chart = _svg.chart(
        [_svg.Group(name, (point,)) for name, point in zip(names, points, strict=True)],
        _svg.Axis(f"measured ms on {target}"),
        _svg.Axis(f"test {metric.name}", percent=metric.is_share),
        title=f"Test {metric.name} against measured latency on {target}, what {names[0]} and {names[1]} ship",
        x_levels=_budget_levels(runs, target),
    )
    return _page.figure(chart, f"{target}: what ships, as verified; whiskers are 95 % intervals.")


def _budget_levels(runs: tuple[Record, Record], target: Target) -> list[tuple[str, float]]:
    budgets = [item.budget_ms for run in runs for item in run.budgets if item.target == target]
    return [("budget", budgets[0])] if len(set(budgets)) == 1 else []


def _unlike(runs: tuple[Record, Record], names: tuple[str, str]) -> str:
    """Why fronts of comparable runs cannot stand in one chart; empty where they can."""
    ways = [_way(run) for run in runs]
    if runs[0].score != runs[1].score:
        return f"{names[0]} ranked by {runs[0].score}, and {names[1]} by {runs[1].score}"
    if ways[0] != ways[1]:
        return f"{names[0]} scored with {ways[0]}, and {names[1]} with {ways[1]}"
    for run, name in zip(runs, names, strict=True):
        if not _front.scored(run):
            return f"{name} has none, as nothing that a search scored is kept in it"
    return ""


def _way(run: Record) -> str:
    """What scores were made with."""
    if run.search.untrained is not None:
        return f"{run.search.untrained['measure']} of untrained networks"
    if run.search.scratch is not None:
        return "trainings from scratch"
    return "a supernet"


def _keys(runs: tuple[Record, ...], known: set[str]) -> str:
    """What numbers of networks stand for in each space that is not known yet."""
    spaces = {run.arch.space.name: run for run in reversed(runs) if run.arch.space.name not in known}
    return "".join(_front.decisions(run) for run in spaces.values())


def _apart(record: Record) -> str:
    """By how much the runs differ on the same images, or that this is not known."""
    found = record.difference
    if found is None:
        return "Which images both have right was not kept, so that the difference has no interval."
    metric = record.task.metric
    low, high = (_text.gap(metric, end) for end in found.interval)
    said = f"{_text.gap(metric, found.mean)}{metric.unit} ({low} to {high}, 95 %)"
    which = "minus" if metric.is_higher_better else "is better than"
    return f"The first {which} the second, on the same {found.images:,} images: {said}: {found.said}."


def _alike(first: Record, second: Record) -> str:
    """What two runs have in common, and what not."""
    facts = [_circumstances(run) for run in (first, second)]
    same = [name for name, value in facts[0].items() if facts[1][name] == value]
    other = [name for name in facts[0] if name not in same]
    parts = [("The same for both", same), ("Not the same", other)]
    return " ".join(f"{words}: {', '.join(names)}." for words, names in parts if names)


def _circumstances(run: Record) -> dict[str, Any]:
    config = run.trained.config if run.trained else {}
    return {
        "task": run.task.name,
        "space": run.arch.space.name,
        "budgets": [(item.name, item.budget_ms) for item in run.budgets],
        "images": run.search.data["fingerprint"],
        "recipe of training": {name: value for name, value in config.items() if name != "seed"},
    }
