"""How the budget was kept by measuring: what the search measured, round by round."""

from __future__ import annotations

from hwnas.report import _page, _text
from hwnas.report._record import Json, Record
from hwnas.statistics.intervals import NORMAL_95

_PURPOSES = {
    "finalists": "the best of the search",
    "repair": "over budget: changes that bring it under",
    "growth": "budget left: changes that use it",
    "confirmation": "measured again in another session",
    "last resort": "the fastest there are",
}


def measuring(record: Record) -> str:
    """Every round of measurement in the search, and its networks."""
    made = record.search.finalists
    if made is None or not made.steps:
        return ""
    names = [item.name for item in record.budgets]
    rows = [_row(number, step) for number, step in enumerate(made.steps, start=1)]
    networks = [row for entry in made.entries for row in _entry(names, entry)]
    same = [record.network(entry["indices"]) for entry in made.entries for _ in _entry(names, entry)]
    refusal = [_page.paragraph(_page.mark(made.refusal, "bad"))] if made.refusal else []
    text = f"{made.networks_measured} networks were measured on the device in "
    text += f"{made.seconds:.0f} s, {made.repairs} of them repairs. Latency does not depend on "
    text += (
        "weights, so they were measured untrained; what was measured corrected what was believed of the rest."
    )
    return _page.section(
        "How the budget was kept",
        *refusal,
        _page.paragraph(text),
        _page.table(("round", "why", "networks", "kept the budget", "seconds"), rows, numeric=(2, 3, 4)),
        _page.details(
            "Every network that was measured",
            _page.table(
                ("network", "target", "predicted ms", "measured ms", "budget"),
                networks,
                numeric=(2, 3),
                networks=same,
            ),
        ),
    )


def _row(number: int, step: Json) -> tuple[str, ...]:
    kept = sum(bool(entry["kept"]) for entry in step["entries"])
    why = _PURPOSES.get(step["purpose"], str(step["purpose"]))
    return str(number), why, str(len(step["entries"])), str(kept), f"{sum(step['seconds'].values()):.0f}"


def _entry(names: list[str], entry: Json) -> list[tuple[str, ...]]:
    columns = zip(names, entry["predicted_ms"], entry["predicted_std_ms"], entry["measured"], strict=True)
    return [
        (
            _page.code(".".join(map(str, entry["indices"]))),
            name,
            _text.plus_minus(predicted, NORMAL_95 * std),
            "–" if found is None else _text.measured(found["ms"], (found["low_ms"], found["high_ms"])),
            _page.mark("kept", "good") if entry["kept"] else _page.mark("not kept", "bad"),
        )
        for name, predicted, std, found in columns
    ]
