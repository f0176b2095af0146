"""What is printed of verifications."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table

from hwnas.cli._app import coloured, err, out, print_quality, print_table
from hwnas.statistics import use
from hwnas.statistics.bounds import decimals

if TYPE_CHECKING:
    from hwnas.statistics.verdict import Verdict
    from hwnas.verify import VariantCheck, Verification


def show_verifications(found: Sequence[Verification], why_little: str = "") -> None:
    """Print what was found about each variant on each device, and how much of the tightest budget is used.

    Args:
        found: What was found on each device.
        why_little: Why the search could not use more of the budgets, where that is known.
    """
    from hwnas.release.verification import shares_of

    for item in found:
        if len(found) > 1:
            out.print(f"[bold]on {escape(item.device)}[/]", highlight=False)
        _show_verification(item)
    shares = shares_of(found)
    if shares:
        out.print(use.said(shares), highlight=False)
    if little := use.warning(shares, why_little):
        err.print(f"[yellow]warning:[/] {escape(little)}", highlight=False, soft_wrap=True)
    for item in found:
        accepted = " (accepted: --accept-noise)" if item.accepted_noise and _is_open(item.verdict) else ""
        word = coloured(item.verdict, f"no verdict on latency: no budget was asked for on {item.device}")
        where = f"on {escape(item.device)}: " if len(found) > 1 else ""
        out.print(f"{where}{word}{accepted}", highlight=False)


def _show_verification(found: Verification) -> None:
    """Print what was found on a device, why it is not PASS, and what was left out."""
    table = Table(box=None, padding=(0, 2, 0, 0))
    for column in ("variant", found.metric.name, "ms", "95 % interval", "predicted", "budget", "used", ""):
        table.add_column(column, no_wrap=True)
    for item in found.variants:
        table.add_row(
            item.name,
            "–" if item.value is None else found.metric.text(item.value, 2),
            _number(item.measured_ms),
            _interval(item),
            _number(item.predicted_ms),
            _number(item.budget_ms),
            f"{found.shares[item.name]:.0%}" if item.name in found.shares else "–",
            coloured(item.verdict, "no budget"),
        )
    print_table(table)
    for item in found.variants:
        if item.energy is not None:
            out.print(escape(f"{item.name}: {item.energy.said}"), highlight=False, soft_wrap=True)
        if item.said_around:
            out.print(escape(f"{item.name}: {item.said_around}"), highlight=False, soft_wrap=True)
    for line in _estimates(found):
        out.print(line, highlight=False)
    for reason, names in _reasons(found).items():
        out.print(f"[bold]{escape(', '.join(names))}[/]: {escape(reason)}", highlight=False)
    for item in found.variants:
        if item.session:
            found_there = {name: getattr(item.session, name) for name in ("word", "reasons", "notes")}
            print_quality(found_there, item.name)
    for note in found.notes:
        err.print(f"[yellow]{escape(note)}[/]", highlight=False)


def _is_open(found: Verdict | None) -> bool:
    return found is not None and not found.is_pass and not found.is_fail


def _estimates(found: Verification) -> Iterator[str]:
    """Intervals of the metric, of all variants together where they are near each other."""
    from hwnas import tasks

    task = tasks.get(found.task)
    name, metric = task.metric.name, task.metric
    for title, known in (
        (f"test {name}", [item.estimate for item in found.variants]),
        (f"{name} on {(found.further or {}).get('name')}", [item.further for item in found.variants]),
    ):
        there = [item for item in known if item is not None]
        if not there:
            continue
        best = max(there, key=lambda item: metric.better(item.value))
        worst = min(there, key=lambda item: metric.better(item.value))
        values = metric.text(worst.value, 2)
        values += "" if worst.value == best.value else f" to {metric.text(best.value, 2)}"
        ends = sorted((*worst.interval, *best.interval))
        remark = task.remark(worst.details)
        text = f"{title} {values} on {worst.images:,} images (95 %: {metric.within((ends[0], ends[-1]))})"
        yield escape(f"{text}; {remark}" if remark else text)


def _reasons(found: Verification) -> dict[str, list[str]]:
    """Why it is not PASS, each reason with the variants that it is of."""
    reasons = {reason: ["the folder"] for item in found.of_folder for reason in item.reasons}
    for item in found.variants:
        for reason in item.reasons:
            reasons.setdefault(reason, []).append(item.name)
    return reasons


def _interval(item: VariantCheck) -> str:
    if item.measured_ms is None:
        return "–"
    if item.interval_ms is None:
        return "too few rounds"
    low, high = item.interval_ms
    return f"{_number(low)}–{_number(high)}"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.{max(3, decimals(value))}f}"
