"""The network against known architectures."""

from __future__ import annotations

from collections.abc import Iterator

from hwnas.report import _budgets, _page, _svg, _text
from hwnas.report._record import Record
from hwnas.runs.compared import ComparedNetwork, ComparedQuality, ComparedVariant, SeedSpread
from hwnas.runs.comparison import ComparisonRecord
from hwnas.statistics import use
from hwnas.statistics.metric import Metric


def against(record: Record) -> str:
    """Known networks, trained with the same recipe and measured in the same session."""
    found = record.comparison
    if not found:
        return ""
    variants = [item.name for item in found.networks[0].variants]
    with_budget = {f"{item.target.runtime}-{item.target.precision}" for item in record.budgets}
    first = sorted(range(len(variants)), key=lambda number: variants[number] not in with_budget)
    parts = [_variant(record, found, number, variants[number]) for number in first]
    others = _page.details("The same for the other variants", *parts[1:]) if parts[1:] else ""
    return _page.section(
        "Against known networks",
        *(parts[:1] or [_unmeasured(found)]),
        others,
        *_use(found),
        _page.paragraph(_said(record, found), "fine"),
        *(_page.paragraph(note, "fine") for note in found.notes),
    )


def _variant(record: Record, found: ComparisonRecord, number: int, name: str) -> str:
    """A table and a chart of one variant."""
    metric = found.metric
    rows: list[tuple[str, ...]] = []
    mine: list[_svg.Point] = []
    theirs: list[_svg.Point] = []
    for network in found.networks:
        item = network.variants[number]
        is_own = network.name == found.found
        rows.append(_row(network, item, metric, is_own))
        ends = item.interval_ms or (item.latency_ms, item.latency_ms)
        label = "this network" if is_own else network.name
        values = item.quality.metric
        reading = _text.measured(item.latency_ms, item.interval_ms)
        said = f"{label}: {_spread(item.quality, metric)}, {reading} ms"
        same = record.network() if is_own and found.architecture in ("", record.arch.id) else ""
        point = _svg.Point(item.latency_ms, values.mean, ends, _range(values), said, label, same)
        (mine if is_own else theirs).append(point)
    chart = _svg.chart(
        (_svg.Group("this network", tuple(mine)), _svg.Group("known networks", tuple(theirs))),
        _svg.Axis(f"measured ms, {name}"),
        _svg.Axis(f"test {metric.name}", percent=metric.is_share),
        title=f"Test {metric.name} against measured latency of this network and known ones, {name}",
    )
    header = (
        "network",
        f"test {metric.name}",
        "this one is better by",
        "which is",
        "measured ms",
        "this one takes",
        "budget",
        "MACs (M)",
    )
    caption = "Whiskers: 95 % of the latency; from the worst to the best seed for the other."
    energies = [_energy(network, network.variants[number], found.found) for network in found.networks]
    return (
        f"<h3>{_page.code(name)}</h3>"
        + _page.table(header, rows, numeric=(4, 7))
        + "".join(_page.paragraph(text) for text in energies if text)
        + _page.figure(chart, caption)
    )


def _energy(network: ComparedNetwork, item: ComparedVariant, own: str) -> str:
    """What was found of its energy; empty where the run has no limit on that."""
    if item.energy is None:
        return ""
    return f"{'this network' if network.name == own else network.name}: {item.energy.said}: {item.on_limit}."


def _row(network: ComparedNetwork, item: ComparedVariant, metric: Metric, is_own: bool) -> tuple[str, ...]:
    quality, ratio = item.quality, f"{item.latency_ratio:.2f}× its time"
    if ends := item.ratio_interval:
        ratio += f" ({ends[0]:.2f} to {ends[1]:.2f})"
    return (
        "this network" if is_own else network.name,
        _spread(quality, metric),
        "–" if is_own else _difference(quality, metric),
        "–" if is_own or quality.difference is None else quality.difference.said,
        _text.measured(item.latency_ms, item.interval_ms),
        "–" if is_own else ratio,
        _budgets.mark(item.on_budget, "–"),
        f"{network.macs / 1e6:.1f}",
    )


def _spread(quality: ComparedQuality, metric: Metric) -> str:
    text = metric.text(quality.metric.mean, 2)
    if quality.metric.std is not None:
        return f"{text} ± {metric.gap(quality.metric.std, 2)}"
    return f"{text} ({metric.within(quality.interval)})" if quality.interval else text


def _difference(quality: ComparedQuality, metric: Metric) -> str:
    text = f"{_text.gap(metric, quality.gain.mean)}{metric.unit}"
    if quality.difference is not None:
        low, high = quality.difference.interval
        return f"{text} ({_text.gap(metric, low)} to {_text.gap(metric, high)})"
    return text if quality.gain.std is None else f"{text} ± {metric.gap(quality.gain.std, 2)}"


def _range(found: SeedSpread) -> tuple[float, float] | None:
    return (min(found.values), max(found.values)) if len(found.values) > 1 else None


def _use(found: ComparisonRecord) -> Iterator[str]:
    """How much of the tightest budget this network was measured to use beside the others."""
    if used := found.used:
        yield _page.paragraph(f"{use.said(used)}.")
        if little := use.warning(used):
            yield _page.paragraph(_page.mark(little, "warn"))


def _unmeasured(found: ComparisonRecord) -> str:
    metric = found.metric
    rows = [
        (network.name, _spread(network.quality, metric), f"{network.macs / 1e6:.1f}")
        for network in found.networks
    ]
    return _page.table(("network", f"test {metric.name}", "MACs (M)"), rows, numeric=(1, 2))


def _said(record: Record, found: ComparisonRecord) -> str:
    seeds = found.seeds
    text = "All were trained with the same recipe on the same images"
    text += (
        f", {len(seeds)} seeds each (± is the standard deviation over them)"
        if len(seeds) > 1
        else ", once each"
    )
    text += f", and measured interleaved in one session on {found.device}."
    if len(seeds) == 1:
        text += " With one training each, small differences are noise: what another training would change is "
        text += "in no interval."
    text += " Ranges hold with 95 %."
    for item in found.matches:
        text += f" {item.chosen} is the width of {item.family} that was measured to be nearest in latency"
        text += f" ({item.ratio:.2f} times this network's)."
    if found.architecture not in ("", record.arch.id):
        text += (
            f" The comparison is of the network {found.architecture}, which is not the one of this report."
        )
    return text
