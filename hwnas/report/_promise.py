"""What was asked, what was predicted, what was measured: the headline of the report."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape

from hwnas.intervals import NORMAL_95
from hwnas.report import _page, _text
from hwnas.report._record import Json, Record

KEPT, WITHIN, BROKEN, UNMEASURED = (
    "kept",
    "kept within the measurement's interval",
    "not kept",
    "not measured yet",
)
_CLASS = {KEPT: "kept", WITHIN: "kept", BROKEN: "broken", UNMEASURED: ""}


@dataclass(frozen=True)
class _Promise:
    """A budget on one target and what became of it.

    Attributes:
        name: Of the target.
        asked_ms: The budget.
        predicted_ms: What the search believed; None where none predicted it.
        std_ms: Standard deviation of that; None where it is not known.
        finalist: What the search measured of the network, (latency, interval); None for nothing.
        shipped: The same of the file that ships, with its trained weights.
        note: What else is to be known, empty for nothing.
    """

    name: str
    asked_ms: float
    predicted_ms: float | None
    std_ms: float | None
    finalist: tuple[float, tuple[float, float]] | None
    shipped: tuple[float, tuple[float, float]] | None
    note: str = ""

    @property
    def measured(self) -> tuple[float, tuple[float, float]] | None:
        """What counts: what ships, or else what the search measured."""
        return self.shipped or self.finalist

    @property
    def state(self) -> str:
        """Whether the budget is kept, by the interval of the measurement."""
        if self.measured is None:
            return UNMEASURED
        value_ms, (low_ms, _) = self.measured
        if value_ms <= self.asked_ms:
            return KEPT
        return WITHIN if low_ms <= self.asked_ms else BROKEN

    @property
    def sentence(self) -> str:
        """Asked, predicted and measured."""
        std, predicted, text = self.std_ms, self.predicted_ms, f"asked {_text.ms(self.asked_ms)} ms"
        if predicted is not None:
            believed = _text.ms(predicted) if std is None else _text.plus_minus(predicted, NORMAL_95 * std)
            text += f", predicted {believed}"
        return text + (f", measured {_text.measured(*self.measured)}" if self.measured else "")


def title(record: Record) -> str:
    """For which devices, and whether all that was promised is kept."""
    promises = [_promise(record, item) for item in record.constraints]
    names = list(dict.fromkeys(str(item["target"]["device"]) for item in record.constraints))
    states = {promise.state for promise in promises}
    checked = record.verification
    verdict = ""
    if checked is not None and checked["verdict"] != "PASS":
        verdict = ": not all promises kept"
    elif BROKEN in states:
        verdict = ": budget not kept"
    elif UNMEASURED not in states:
        verdict = ": budget kept" if len(promises) == 1 else ": budgets kept"
    return f"A network for {' and '.join(names)}{verdict}"


def origin(record: Record) -> str:
    """Where the network comes from."""
    space = record.arch.space.name
    if record.is_searched:
        return f"{record.search['strategy']} search in {space}"
    return f"a network of {space}, trained for a comparison"


def headline(record: Record) -> str:
    """The promise of each target, and the network in a few numbers."""
    promises = [_promise(record, item) for item in record.constraints]
    boxes = "".join(_box(promise) for promise in promises)
    fine = "Each ± is half a 95 % interval: of the latency model's prediction, and of the measurement."
    if not record.is_searched:
        fine = "The budgets are those of the network that it was compared with. ± is half a 95 % interval."
    return (
        f'<section><div class="promises">{boxes}</div>'
        f"{_page.paragraph(fine, 'fine')}{_page.cards(_numbers(record))}</section>"
    )


def _promise(record: Record, item: Json) -> _Promise:
    """From the promise of the search where it was made, else from what it was searched under."""
    made = next((t for t in record.promised if t["name"] == item["name"]), None)
    checked = record.variant(item["target"])
    said = made or {**item, "asked_ms": item["budget_ms"]}
    return _Promise(
        name=item["name"],
        asked_ms=said["asked_ms"],
        predicted_ms=said.get("predicted_ms"),
        std_ms=said.get("predicted_std_ms"),
        finalist=_reading(made),
        shipped=_reading(checked),
        note=str(said.get("note") or ""),
    )


def _reading(measured: Json | None) -> tuple[float, tuple[float, float]] | None:
    if measured is None or measured["measured_ms"] is None:
        return None
    low, high = measured["interval_ms"]
    return measured["measured_ms"], (low, high)


def _box(promise: _Promise) -> str:
    kind = _CLASS[promise.state]
    verdict = _page.mark(promise.state, "good" if kind == "kept" else "bad") if kind else promise.state
    parts = [
        _page.paragraph(_page.Html(f"{_page.code(promise.name)}: {verdict}")),
        f'<p class="said">{escape(promise.sentence)}</p>',
    ]
    if promise.measured is not None:
        share = promise.measured[0] / promise.asked_ms
        parts.append(_page.bar(share, colour="b-bad" if kind == "broken" else "b-good"))
        parts.append(_page.paragraph(f"{share:.1%} of the budget is used", "fine"))
    if promise.shipped and promise.finalist:
        said = f"The search measured {_text.measured(*promise.finalist)} ms before it was trained."
        parts.append(_page.paragraph(said, "fine"))
    if promise.note:
        parts.append(_page.paragraph(promise.note, "fine"))
    return f'<div class="promise {kind}">{"".join(parts)}</div>'


def _numbers(record: Record) -> list[tuple[str, str]]:
    arch, data = record.arch, record.search["data"]
    items = [(f"{arch.macs / 1e6:.1f} M", "multiply-adds"), (f"{arch.params / 1e6:.2f} M", "parameters")]
    if record.trained:
        items.insert(0, (f"{record.trained['test_accuracy']:.2%}", "test accuracy in PyTorch, fp32"))
    counts = [f"{data['classes']} classes"] if "classes" in data else []
    counts += [f"{count:,} {split}" for split, count in data.get("images", {}).items()]
    return [*items, (str(data["source"]), "images: " + ", ".join(counts) if counts else "images")]
