"""Whether the latency models can be believed: predicted against measured."""

from __future__ import annotations

from hwnas.latency import Evaluation, doubt
from hwnas.latency.fitted import FittedModel
from hwnas.report import _page, _svg, _text
from hwnas.report._record import Record
from hwnas.statistics.intervals import NORMAL_90

_SPLITS = ("heldout", "calibration")


def models(record: Record) -> str:
    """A chart and the errors of each model, by split; networks never seen come first."""
    evaluated = [model for model in record.models if model.evaluation]
    if not evaluated:
        return ""
    rows = {
        split: [_row(model, model.evaluation[split]) for model in evaluated if split in model.evaluation]
        for split in _SPLITS
    }
    header = (
        "target",
        "networks",
        "mean error",
        "bias",
        "within 5 %",
        "within 10 %",
        "rank corr.",
        "in 90 % int.",
    )
    seen = [_chart(record, model) for model in evaluated if "heldout" in model.evaluation]
    text = (
        "Networks that the model never saw. The rank correlation is Spearman's; the last column is how often "
    )
    text += "the model's own 90 % interval held the measurement."
    fitted = "Errors on the networks that the models were fitted to: they only show how well they fit"
    numeric = range(1, len(header))
    doubts = {str(model.target): doubt(model.evaluation) for model in evaluated}
    return _page.section(
        "Can the latency model be believed?",
        *(_page.paragraph(_page.mark(f"{name}: {said}", "warn")) for name, said in doubts.items() if said),
        _page.pair(*seen),
        *((_page.table(header, rows["heldout"], numeric=numeric),) if rows["heldout"] else ()),
        *((_page.paragraph(text, "fine"),) if rows["heldout"] else ()),
        _page.details(fitted, _page.table(header, rows["calibration"], numeric=numeric))
        if rows["calibration"]
        else "",
    )


def _row(model: FittedModel, found: Evaluation) -> tuple[str, ...]:
    return (
        f"{model.target} ({model.name})",
        str(found.networks),
        f"{found.mape:.1%}",
        _text.signed_percent(found.bias),
        f"{found.within_5:.0%}",
        f"{found.within_10:.0%}",
        "–" if found.spearman is None else f"{found.spearman:.3f}",
        f"{found.coverage_90:.0%}",
    )


def _chart(record: Record, model: FittedModel) -> str:
    found = model.evaluation["heldout"]
    rows = zip(found.keys, found.measured_ms, found.predicted_ms, found.std_ms, strict=True)
    points = tuple(_point(key, "", measured, None, predicted, std) for key, measured, predicted, std in rows)
    groups = (
        _svg.Group("never seen", points),
        _svg.Group("measured in the search", _finalists(record, model)),
        _svg.Group("this network", _shipped(record, model)),
    )
    chart = _svg.chart(
        groups,
        _svg.Axis("measured ms"),
        _svg.Axis("predicted ms"),
        title=f"Predicted against measured latency on {model.target}",
        diagonal=True,
    )
    return _page.figure(chart, f"{model.target}: whiskers are the model's 90 % intervals.")


def _shipped(record: Record, model: FittedModel) -> tuple[_svg.Point, ...]:
    """The network that ships, where it was measured on the model's target."""
    for item in record.budgets:
        checked, predicted = record.variant(item.target), item.predicted_ms
        if item.name != str(model.target) or checked is None or predicted is None:
            continue
        if checked.measured_ms is not None:
            low, high = checked.interval_ms or (checked.measured_ms, checked.measured_ms)
            std = item.predicted_std_ms or 0.0
            return (
                _point("this network", record.network(), checked.measured_ms, (low, high), predicted, std),
            )
    return ()


def _finalists(record: Record, model: FittedModel) -> tuple[_svg.Point, ...]:
    """What the search measured on the model's target, with what was believed just before."""
    names = [item.name for item in record.budgets]
    if str(model.target) not in names:
        return ()
    number = names.index(str(model.target))
    return tuple(
        _point(
            ".".join(map(str, entry["indices"])),
            record.network(entry["indices"]),
            entry["measured"][number]["ms"],
            (entry["measured"][number]["low_ms"], entry["measured"][number]["high_ms"]),
            entry["predicted_ms"][number],
            entry["predicted_std_ms"][number],
        )
        for entry in (record.search.finalists.entries if record.search.finalists else ())
        if entry["measured"][number] is not None
    )


def _point(
    name: str,
    network: str,
    measured: float,
    interval: tuple[float, float] | None,
    predicted: float,
    std: float,
) -> _svg.Point:
    reading = _text.ms(measured) if interval is None else _text.measured(measured, interval)
    said = f"{name}: measured {reading}, predicted {_text.plus_minus(predicted, NORMAL_90 * std)} ms"
    ends = (predicted - NORMAL_90 * std, predicted + NORMAL_90 * std)
    return _svg.Point(measured, predicted, interval, ends, said, network=network)
