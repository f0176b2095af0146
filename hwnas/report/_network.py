"""The network, drawn as blocks: how wide, how fine, and where the time goes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from html import escape
from itertools import groupby

import numpy as np

from hwnas.report import _page, _text
from hwnas.report._record import Record
from hwnas.space import Block, Shape, Workload

_KINDS = {
    "mbconv": "MBConv",
    "mbstage": "MBConv",
    "fusedmbconv": "fused MBConv",
    "conv": "convolution",
    "skip": "skip",
    "head": "head",
}
_COLOURS = 4

_WITHOUT = {False: " (no latency model was given)", True: " (one latency is of all places of a cell's part)"}
"""Why shares are not of milliseconds, by whether a decision fills several places."""


@dataclass(frozen=True)
class _Part:
    """A block and its cost.

    Attributes:
        name: Of the choice, or "stem" and "head".
        workload: What is there.
        cost: Of each target, in milliseconds; without latency models one entry, in MACs. None
            for stem and head, which the models know only together.
    """

    name: str
    workload: Workload
    cost: tuple[float, ...] | None

    @property
    def out_shape(self) -> Shape:
        return self.workload.out_shapes[0]


@dataclass(frozen=True)
class _Costs:
    """What the parts' costs are parts of, one entry a target."""

    names: tuple[str, ...]
    unit: str
    fixed: tuple[float, ...]
    total: tuple[float, ...]

    def said(self, number: int) -> str:
        """The total of a target in words."""
        total = self.total[number]
        return f"{total:.1f} M" if self.unit == "multiply-adds" else f"{_text.ms(total)} ms"


def network(record: Record) -> str:
    """Drawn with the time of each block where there are latency models, else with its MACs."""
    costs, parts = _measured(record) if record.models and not record.arch.space.is_tied else _counted(record)
    stages = [tuple(group) for _, group in groupby(parts, key=lambda part: part.out_shape)]
    drawn = "".join(_drawing(costs, stages, number) for number in range(len(costs.names)))
    sizes = [_size(stage[0]) for stage in stages[:-1]] + [record.task.sized(stages[-1][0].out_shape[0])]
    items = "".join(map(partial(_stage, costs), stages, sizes, range(len(stages))))
    return _page.section(
        "The network",
        _page.paragraph(_said(record, costs)),
        f"<figure>{drawn}<figcaption>{_caption(costs)}</figcaption></figure>",
        f'<ol class="stages">{items}</ol>',
    )


def _measured(record: Record) -> tuple[_Costs, list[_Part]]:
    arch = record.arch
    models = [model.costs(arch.space) for model in record.models]
    own = [m.additive("the picture of a network") for m in models]
    chosen = [
        tuple(float(costs[choice][index]) for costs in own) for choice, index in enumerate(arch.indices)
    ]
    totals = tuple(float(m.of(np.array([arch.indices]))[0]) for m in models)
    names = tuple(str(model.target) for model in record.models)
    costs = _Costs(names, "ms", tuple(m.fixed for m in models), totals)
    return costs, _parts(record, chosen, None)


def _counted(record: Record) -> tuple[_Costs, list[_Part]]:
    arch = record.arch
    return _Costs(("multiply-adds",), "multiply-adds", (0.0,), (arch.macs / 1e6,)), _parts(record, None, 1e6)


def _parts(record: Record, chosen: Sequence[tuple[float, ...]] | None, macs_in: float | None) -> list[_Part]:
    space, workloads = record.arch.space, record.arch.workloads
    names = ["stem"] * len(space.stem) + [c.name for c in space.choices] + ["head"] * len(space.head)
    first = len(space.stem)
    found = []
    for number, workload in zip(record.arch.flow.used, workloads, strict=True):
        name = names[number]
        cost: tuple[float, ...] | None = None if macs_in is None else (workload.macs / macs_in,)
        if chosen is not None and first <= number < first + len(chosen):
            cost = chosen[number - first]
        found.append(_Part(name, workload, cost))
    return found


def _drawing(costs: _Costs, stages: Sequence[Sequence[_Part]], target: int) -> str:
    """One target: a skyline (width is cost, height is resolution) for the first, a strip for others."""
    tallest = max(part.out_shape[1] for stage in stages for part in stage if part.cost)
    shares, pieces = [], []
    for number, stage in enumerate(stages):
        for part in stage:
            if part.cost is None or not part.cost[target]:
                continue
            share = part.cost[target] / costs.total[target]
            height = 20 + 80 * (part.out_shape[1] / tallest) ** 0.5
            said = f"{part.name}, {describe(part.workload.block)}: {share:.1%}"
            shares.append(said)
            style = f"flex:{share:.5f} 1 0" + (f";height:{height:.0f}%" if target == 0 else "")
            pieces.append(f'<i class="b{number % _COLOURS}" style="{style}" title="{escape(said)}"></i>')
    if costs.fixed[target]:
        share = costs.fixed[target] / costs.total[target]
        shares.append(said := f"stem, head and the cost of a run: {share:.1%}")
        style = f"flex:{share:.5f} 1 0" + (";height:20%" if target == 0 else "")
        pieces.append(f'<i class="b-rest" style="{style}" title="{escape(said)}"></i>')
    label = escape(f"Shares of {costs.names[target]}: {'; '.join(shares)}", quote=True)
    name, kind = escape(costs.names[target]), "skyline" if target == 0 else "strip"
    return (
        f'<p class="strip-name"><span>{name}</span><span>{costs.said(target)}</span></p>'
        f'<div class="{kind}" role="img" aria-label="{label}">{"".join(pieces)}</div>'
    )


def _caption(costs: _Costs) -> str:
    what = "time" if costs.unit == "ms" else "multiply-adds"
    text = f"Image left, answers right. Each block is as wide as its share of {what}"
    text += " and as tall as its output is fine" if len(costs.names) == 1 else ""
    if len(costs.names) > 1:
        text += "; in the upper drawing it is as tall as its output is fine"
    if any(costs.fixed):
        text += ". Grey: stem, head and the cost of a run, which the latency model knows only together"
    return escape(text + ". Colours are those of the stages below.")


def _size(part: _Part) -> str:
    channels, height, width = part.out_shape
    return f"{channels} channels, {height} × {width}"


def _stage(costs: _Costs, stage: Sequence[_Part], size: str, number: int) -> str:
    known = [part.cost[0] for part in stage if part.cost is not None]
    share = f"{sum(known) / costs.total[0]:.1%}" if known else ""
    blocks = "".join(_block(costs, part) for part in stage)
    return (
        f'<li class="stage"><h3><span><i class="b{number % _COLOURS}"></i>{size}</span>'
        f"<small>{share}</small></h3>{blocks}</li>"
    )


def _block(costs: _Costs, part: _Part) -> str:
    what = escape(describe(part.workload.block))
    if part.cost is None:
        return f'<div class="block"><div><span>{what}</span><span>in the grey part</span></div></div>'
    if part.workload.block.is_identity:
        return f'<div class="block"><div><span>{what}</span></div></div>'
    cost, share = part.cost[0], part.cost[0] / costs.total[0]
    said = f"{_text.ms(cost)} ms" if costs.unit == "ms" else f"{cost:.2f} M"
    line = f"<div><span>{what}</span><span>{said}, {share:.1%}</span></div>"
    return f'<div class="block">{line}{_page.bar(share)}</div>'


def _said(record: Record, costs: _Costs) -> str:
    arch = record.arch
    where = f"Shares are of {costs.names[0]}, {costs.said(0)} in all"
    source = " as its latency model believes" if costs.unit == "ms" else _WITHOUT[arch.space.is_tied]
    left_out = sum(w.block.is_identity for w in arch.workloads)
    verb = "was" if left_out == 1 else "were"
    skipped = f" {left_out} of the places {verb} left empty." if left_out else ""
    count = arch.space.num_architectures
    chosen = f": one of {_text.count(count)} networks" if count > 1 else ""
    return (
        f"{arch.space.name}{chosen}, with "
        f"{sum(not w.block.is_identity for w in arch.workloads)} blocks.{skipped} {where}{source}."
    )


def describe(block: Block) -> str:
    """A block in words, from the fields that its kind has: ``MBConv 5×5, ×6, stride 2``."""
    if block.is_identity:
        return "left out"
    given = {name: getattr(block, name) for name in getattr(block, "__dataclass_fields__", {})}
    layers = f"{given['layers']} × " if given.get("layers", 1) != 1 else ""
    text = layers + _KINDS.get(block.kind, block.kind)
    if kernel := given.get("kernel_size"):
        text += f" {kernel}×{kernel}"
    if "expansion_ratio" in given:
        text += f", expansion {given['expansion_ratio']:g}"
    for name in ("stride", "groups"):
        if given.get(name, 1) != 1:
            text += f", {name} {given[name]}"
    if block.kind == "head" and "hidden_channels" in given:
        text += f", {given['hidden_channels']} hidden channels"
    if given.get("se_ratio"):
        text += ", squeeze-excite"
    if given.get("activation") not in (None, "relu", "none"):
        text += f", {given['activation']}"
    return text
