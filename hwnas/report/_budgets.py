"""What was asked, what was predicted, what was measured: the headline of the report."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from html import escape

from hwnas.budget import is_share
from hwnas.release.verification import SessionRecord, VariantCheck
from hwnas.report import _page, _text
from hwnas.report._record import Record
from hwnas.runs.budgets import BudgetRecord
from hwnas.runs.finalists import ChosenLatency
from hwnas.runs.training import TrainingRecord
from hwnas.search.constraints import range_said
from hwnas.statistics import use, verdict
from hwnas.statistics.intervals import NORMAL_95, clopper_pearson, right_of
from hwnas.statistics.metric import ACCURACY, Metric
from hwnas.statistics.verdict import FAIL, NOT_PROVEN, PASS, Verdict

UNMEASURED = "not measured yet"
_BOXES = {PASS: "kept", NOT_PROVEN: "open", FAIL: "broken"}
_MARKS = {PASS: "good", NOT_PROVEN: "warn", FAIL: "bad"}
_OF_BUDGETS = {PASS: "kept", NOT_PROVEN: "NOT PROVEN", FAIL: "not kept"}


@dataclass(frozen=True)
class Outcome:
    """A budget on one target and what became of it.

    Attributes:
        name: Of the target.
        asked_ms: The budget.
        predicted_ms: What the search believed; None where none predicted it.
        std_ms: Standard deviation of that; None where it is not known.
        finalist: What the search measured of the network, (latency, interval); None for nothing.
        shipped: The same of the file that ships, with its trained weights.
        session: That ``shipped`` was measured in; None where it is not known.
        note: What else is to be known, empty for nothing.
        share_of: What the budget is a share of, empty where it was given in milliseconds.
        open: Why what ships could not be measured, where that was tried.
    """

    name: str
    asked_ms: float
    predicted_ms: float | None
    std_ms: float | None
    finalist: _text.Reading | None
    shipped: _text.Reading | None
    session: SessionRecord | None = None
    note: str = ""
    share_of: str = ""
    open: Verdict | None = None

    @property
    def measured(self) -> _text.Reading | None:
        """What counts: what ships, or else what the search measured."""
        return self.shipped or self.finalist

    @property
    def verdict(self) -> Verdict | None:
        """Whether the budget is kept; None where nothing was measured."""
        if self.open is not None:
            return self.open
        if self.measured is None:
            return None
        session = self.session if self.shipped else None
        return verdict.on_budget(*self.measured, self.asked_ms, session)

    @property
    def share(self) -> float | None:
        """Of the budget that is used, as measured or else as predicted; None where neither is known."""
        known = self.measured[0] if self.measured else self.predicted_ms
        return None if known is None else known / self.asked_ms

    @property
    def sentence(self) -> str:
        """Asked, predicted and measured."""
        std, predicted, text = self.std_ms, self.predicted_ms, f"asked {_text.ms(self.asked_ms)} ms"
        if predicted is not None:
            shown = _text.ms(predicted) if std is None else _text.plus_minus(predicted, half(std))
            text += f", predicted {shown}"
        return text + (f", measured {_text.measured(*self.measured)}" if self.measured else "")


def title(record: Record) -> str:
    """For which devices, and whether all that was promised is proven."""
    outcomes = [outcome(record, item) for item in record.budgets]
    names = list(dict.fromkeys(item.target.device for item in record.budgets))
    found, budgets = overall(record), verdict.worst(outcome.verdict for outcome in outcomes)
    if found is None or (found.is_pass and not outcomes):
        words = ""
    elif found.is_pass or (budgets is not None and budgets.word == found.word):
        words = f": budget{'s' if len(outcomes) > 1 else ''} {_OF_BUDGETS[found.word]}"
    else:
        words = f": {found.word}"
    return f"A network{' for ' if names else ''}{' and '.join(names)}{words}"


def overall(record: Record) -> Verdict | None:
    """Everything that is known of the network as one verdict; None where nothing was measured.

    PASS only where every budget is, a limit on energy as well: one that was not measured is not proven.
    """
    budgets = [*(outcome(record, item).verdict for item in record.budgets), *_on_energy(record)]
    known = verdict.worst([*budgets, *_others(record)])
    if known is not None and known.is_pass and None in budgets:
        return None
    return known


def _on_energy(record: Record) -> list[Verdict | None]:
    """The verdict on a limit on energy, which weights do not change; nothing where none was asked."""
    made = record.search.finalists
    energy = made.energy if made else None
    return [] if energy is None or energy.asked_mj is None else [energy.verdict]


def _others(record: Record) -> Iterator[Verdict | None]:
    """The verdicts that are not on a budget."""
    if record.stale:
        yield Verdict(FAIL, record.stale)
    for checked in record.verifications:
        for variant in checked.variants:
            yield from (check for name, check in variant.checks.items() if name != verdict.BUDGET)
        if not record.stale:
            yield from checked.of_folder
    if not record.verifications:
        yield record.learning
    if record.difference is not None and record.baseline is not None:
        names = origin(record), origin(record.baseline)
        yield verdict.on_baseline(record.difference, *names, record.task.metric)


def origin(record: Record) -> str:
    """Where the network comes from."""
    space = record.arch.space.name
    if record.is_searched:
        return f"{record.search.strategy} search in {space}"
    if record.search.is_known:
        return f"the known network {space}"
    return f"a network of {space}, trained for a comparison"


def _energies(record: Record) -> Iterator[str]:
    """What the search found of energy, and what verifying did of what ships."""
    if record.search.energy is not None:
        yield record.search.energy.sentence
    for checked in record.verifications:
        for item in checked.variants:
            if item.energy is not None:
                yield f"What ships, {item.name} on {checked.device}: {item.energy.said}"


def headline(record: Record) -> str:
    """The verdict, the promise of each target, and the network in a few numbers."""
    outcomes = [outcome(record, item) for item in record.budgets]
    boxes = "".join(map(_box, outcomes))
    fine = (
        "Each ± is half a 95 % interval: of the latency model's prediction; of a measurement, its longer arm."
    )
    if not record.budgets:
        fine = "No budget was asked for. ± is the longer arm of an interval."
    elif not record.is_searched:
        fine = "The budgets are of the network that it was compared with. ± is the longer arm of an interval."
    shares = {p.name: p.share for p in outcomes if p.share is not None}
    used = _page.paragraph(f"{use.said(shares)}.") if len(shares) > 1 else ""
    made = record.search.finalists
    little = use.warning(shares, made.why_little if made else "")
    others = [text for text in (made.warnings if made else ()) if not use.is_warning(text)]
    energy = "".join(_page.paragraph(f"{text}.") for text in _energies(record))
    warned = "".join(_page.paragraph(_page.mark(text, "warn")) for text in (little, *others) if text)
    return (
        f'<section>{_verdict(record)}{used}{energy}{warned}<div class="promises">{boxes}</div>'
        f"{_page.paragraph(fine, 'fine')}{_page.cards(_numbers(record))}</section>"
    )


def half(std_ms: float) -> float:
    """Half a 95 % interval of a prediction."""
    return NORMAL_95 * std_ms


def mark(found: Verdict | None, nothing: str) -> _page.Html:
    """The word of a verdict in its colour; ``nothing`` as plain text where there is none."""
    if found is None:
        return _page.Html(escape(nothing))
    return _page.mark(found.word, _MARKS[found.word])


def _verdict(record: Record) -> str:
    """The verdict on all of it, with every reason; nothing where nothing was measured."""
    found = overall(record)
    if found is None:
        return ""
    known = record.verifications
    is_taken = found.word == NOT_PROVEN and bool(known) and all(item.accepted_noise for item in known)
    taken = ", accepted as it is (--accept-noise)" if is_taken else ""
    proven = "Every budget is proven to be kept." if found.is_pass and record.budgets else ""
    reasons = "".join(f"<li>{escape(reason)}</li>" for reason in found.reasons)
    line = _page.paragraph(_page.Html(f"{mark(found, '')}{taken} {escape(proven)}"))
    return f'<div class="verdict {_BOXES[found.word]}">{line}{f"<ul>{reasons}</ul>" if reasons else ""}</div>'


def outcome(record: Record, item: BudgetRecord) -> Outcome:
    """From the promise of the search where it was made, else from what it was searched under."""
    made = next((target for target in record.chosen if target.name == item.name), None)
    checked = None if record.stale else record.variant(item.target)  # of models that are no more
    finalist, shipped = _finalist(made), _shipped(checked)
    return Outcome(
        name=item.name,
        asked_ms=made.asked_ms if made else item.budget_ms,
        predicted_ms=made.predicted_ms if made else item.predicted_ms,
        std_ms=made.predicted_std_ms if made else item.predicted_std_ms,
        finalist=finalist,
        shipped=shipped,
        session=checked.session if checked else None,
        share_of=_share_of(item),
        open=checked.checks.get(verdict.BUDGET) if checked and checked.measured_ms is None else None,
        # what the search says of not measuring is over once the shipped file was measured
        note=made.note if made and not (shipped and not finalist) else "",
    )


def _share_of(item: BudgetRecord) -> str:
    if not is_share(item.asked) or item.range_ms is None:
        return ""
    return f"{item.asked.strip()} of {range_said(*item.range_ms, is_measured=item.range_is_measured)}"


def _finalist(made: ChosenLatency | None) -> _text.Reading | None:
    if made is None or made.measured_ms is None:
        return None
    return made.measured_ms, made.interval_ms


def _shipped(checked: VariantCheck | None) -> _text.Reading | None:
    if checked is None or checked.measured_ms is None:
        return None
    return checked.measured_ms, checked.interval_ms


def _box(outcome: Outcome) -> str:
    found = outcome.verdict
    kind = _BOXES[found.word] if found else ""
    parts = [
        _page.paragraph(_page.Html(f"{_page.code(outcome.name)}: {mark(found, UNMEASURED)}")),
        f'<p class="said">{escape(outcome.sentence)}</p>',
    ]
    if outcome.measured is not None:
        share = outcome.measured[0] / outcome.asked_ms
        parts.append(_page.bar(share, colour={"broken": "b-bad", "open": "b-warn"}.get(kind, "b-good")))
        parts.append(_page.paragraph(f"{share:.1%} of the budget is used", "fine"))
    if outcome.shipped and outcome.finalist:
        said = f"The search measured {_text.measured(*outcome.finalist)} ms before it was trained."
        parts.append(_page.paragraph(said, "fine"))
    if outcome.share_of:
        parts.append(_page.paragraph(outcome.share_of, "fine"))
    if outcome.note:
        parts.append(_page.paragraph(outcome.note, "fine"))
    return f'<div class="promise {kind}">{"".join(parts)}</div>'


def _numbers(record: Record) -> list[tuple[str, str]]:
    arch, data = record.arch, record.search.data
    items = [(f"{arch.macs / 1e6:.1f} M", "multiply-adds"), (f"{arch.params / 1e6:.2f} M", "parameters")]
    counts = [record.task.sized(data["classes"])] if "classes" in data else []
    counts += [f"{count:,} {split}" for split, count in data.get("images", {}).items()]
    if record.trained:
        items.insert(0, _quality(record.trained, record.task.metric))
    return [*items, (record.source, "images: " + ", ".join(counts) if counts else "images")]


def _quality(trained: TrainingRecord, metric: Metric) -> tuple[str, str]:
    """The metric on the test split with its interval, where the number of images is known."""
    (value, interval), images = tested(trained, metric), trained.test_images
    what = f"test {metric.name} in PyTorch, fp32"
    if images and interval:
        what += f" (95 %: {metric.within(interval)} on {images:,} images)"
    return metric.text(value, 2), what


def tested(trained: TrainingRecord, metric: Metric) -> tuple[float, tuple[float, float] | None]:
    """The metric on the test split in PyTorch, with its 95 % interval where that is known."""
    value, images, interval = float(trained.test_value), trained.test_images, trained.test.get("interval")
    if images and interval is None and metric == ACCURACY:  # older records have counts alone
        return value, clopper_pearson(right_of(value, images), images)
    return value, None if interval is None else (interval[0], interval[1])
