"""What stands beside a found network, in sentences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from hwnas import tasks
from hwnas.runs.found import SearchRecord
from hwnas.statistics.intervals import right_of

_NAMES = {"exact": "best answer", "uniform": "narrowed alike", "random": "best random one"}


def sentences(record: SearchRecord) -> Iterator[str]:
    """What networks of other sizes and controls of an exact search reach, and how well it foretold."""
    if sizes := record.extra.get("resolutions"):
        yield _on_sizes(record, sizes)
    if rivals := record.extra.get("tuned"):
        yield _tuned(record, rivals)
    elif (name := _control(record)) is not None:
        yield f"what was chosen is the {_name(name)} of the same blocks, no answer of the search"
    yield from _foretold(record.extra)


def _control(record: SearchRecord) -> str | None:
    """The kind of control that the found network is; None of an answer."""
    kinds = record.extra.get("controls", {})
    return next((name for name, some in kinds.items() if list(record.best) in some), None)


def _on_sizes(record: SearchRecord, sizes: list[dict[str, Any]]) -> str:
    parts = []
    for item in sizes:
        verdict = f", {item['verdict']}" if item["verdict"] else ""
        parts.append(f"{_size(item)} {_reached(record, item, item['tuned'])}{verdict}")
    taken = next((item for item in sizes if item.get("taken")), {"resolution": record.data["resolution"]})
    return (
        f"on {sizes[0]['images']} validation images, each tuned for {_epochs(sizes[0])}: "
        f"{'; '.join(parts)}: the network on {_size(taken)} is taken"
    )


def _tuned(record: SearchRecord, rivals: list[dict[str, Any]]) -> str:
    parts = []
    for item in rivals:
        times = ", ".join(f"{ms:.3g} ms" for ms in item["latencies_ms"].values())
        parts.append(f"{_name(item['name'])} {_reached(record, item, item['value'])} at {times}")
    taken = next(item["name"] for item in rivals if item["taken"])
    beaten = ", as no answer of the search is better" if "exact" in (item["name"] for item in rivals) else ""
    beaten = (
        "" if taken == "exact" else beaten or ", as no answer of the search is proven to keep the budgets"
    )
    return (
        f"all within the budgets, on {rivals[0]['images']} validation images, each tuned for "
        f"{_epochs(rivals[0])}: {'; '.join(parts)}: the {_name(taken)} is taken{beaten}"
    )


def _reached(record: SearchRecord, item: Mapping[str, Any], value: float) -> str:
    """The metric with its interval, and what decided, where that is another figure."""
    metric = tasks.of_record(record.data).metric
    within = f" ({metric.within(item['interval'])})" if item["interval"] else ""
    is_other = record.score != metric.name and "merit" in item
    decided = f", {record.score} {item['merit']:.2%}" if is_other else ""
    return f"{metric.text(value, 2)}{within}{decided}"


def _epochs(item: Mapping[str, Any]) -> str:
    return f"{item['epochs']} epoch{'' if item['epochs'] == 1 else 's'}"


def _name(of: str) -> str:
    return _NAMES.get(of, of)


def _size(item: Mapping[str, Any]) -> str:
    return said(item["resolution"], item.get("width", 1.0), item.get("strides"))  # older ones lack them


def said(resolution: int, width: float, strides: str | None) -> str:
    """A size of images, and of a network where it is not as wide, or not strided, as is usual."""
    parts = [f"width {width:g}"] if width != 1 else []
    parts += [f"strides {strides}"] if strides else []
    return f"{resolution} pixels ({', '.join(parts)})" if parts else f"{resolution} pixels"


def _foretold(extra: Mapping[str, Any]) -> Iterator[str]:
    """One on controls and the plain errors, one on what was fitted to them, which earlier versions lack."""
    best = extra.get("best_of")
    if not best:
        return
    parts = ", ".join(f"{_NAMES[name]} {best[name]:.2%}" for name in _NAMES if name in best)
    yield (
        f"before any tuning, of the same blocks under the same budgets: {parts}; errors of blocks rank them "
        f"with a Spearman of {_rank(extra.get('spearman'))}"
    )
    left_out = extra.get("left_out")
    if left_out is None:
        return
    count = left_out["networks"]
    yield (
        f"each foretold from errors and the other {count - 1} scores: a Spearman of "
        f"{_rank(left_out['spearman'])}, and 90 % intervals of ±{100 * left_out['half_90']:.1f} points hold "
        f"{right_of(left_out['coverage_90'], count)} of {count}"
    )


def _rank(value: float | None) -> str:
    return "–, too few or too alike to be ranked" if value is None else f"{value:.2f}"
