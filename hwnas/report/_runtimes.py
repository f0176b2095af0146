"""Which runtime was searched on, where the search was asked to choose."""

from __future__ import annotations

from hwnas.report import _page
from hwnas.report._record import Record
from hwnas.runs.runtimes import RuntimeChoice


def runtimes(record: Record) -> str:
    """What each runtime took, the fastest first; empty where none was chosen."""
    parts = [part for name, choice in record.runtimes.items() for part in _choice(name, choice)]
    return _page.section("Which runtime is the fastest", *parts) if parts else ""


def _choice(name: str, choice: RuntimeChoice) -> tuple[str, ...]:
    rows = []
    for item in sorted(choice.readings, key=lambda item: item.mean_ms):
        is_chosen = item.target == choice.chosen
        against = "searched on" if is_chosen else f"{item.mean_ms / choice.reading.mean_ms:.2f}x"
        if not is_chosen and not choice.is_told_apart(item):
            against += ", not told apart"
        rows.append((item.target.runtime, item.text, against, "yes" if item.has_table else "no"))
    text = "One network of the space, of the middle candidate of each choice, was measured twice on each "
    text += "runtime, beside its anchors; a difference counts where both times show it."
    if choice.left_out:
        text += f" Not usable: {', '.join(choice.left_out)}."
    header = ("runtime", "latency", "against the chosen one", "latency table")
    return _page.paragraph(f"{name}:"), _page.table(header, rows), _page.paragraph(text, "fine")
