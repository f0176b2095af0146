"""What the network takes for something else: a confusion matrix, recalls, and its surest mistakes."""

from __future__ import annotations

import binascii
from base64 import b64decode
from collections.abc import Iterator, Sequence
from html import escape

from hwnas.report import _page
from hwnas.report._record import Json, Record
from hwnas.statistics.intervals import clopper_pearson

_MATRIX_CLASSES = 25  # more cells than this a side cannot be read
_PNG = b"\x89PNG\r\n\x1a\n"


def mistakes(record: Record) -> str:
    """The section; empty where training left no such record, or left it for other weights."""
    found, trained = record.mistakes, record.trained
    if not found or not trained or found["weights_sha256"] != trained.get("weights_sha256"):
        return ""
    names = [str(name) for name in found["class_names"]]
    counts = [[0] * len(names) for _ in names]
    for label, answered, count in found["answers"]:
        counts[label][answered] = int(count)
    total = sum(found["images"])
    right = sum(row[number] for number, row in enumerate(counts))
    lead = f"Of {total:,} {found['split']} images {right:,} are right in PyTorch, before int8."
    return _page.section(
        "Mistakes",
        _page.paragraph(lead),
        _matrix(names, counts) if len(names) <= _MATRIX_CLASSES else "",
        _by_class(names, counts),
        _pictures(names, found["surest"]),
    )


def _matrix(names: Sequence[str], counts: Sequence[Sequence[int]]) -> str:
    """Rows are what an image shows, columns what it was taken for; a cell is as dark as its share."""
    head = "".join(f'<th scope="col"><span>{escape(name)}</span></th>' for name in names)
    body = "".join(
        f'<tr><th scope="row">{escape(name)}</th>{"".join(_cells(number, row))}</tr>'
        for number, (name, row) in enumerate(zip(names, counts, strict=True))
    )
    caption = "Rows: what the images show. Columns: what they were taken for."
    table = f'<table class="matrix"><thead><tr><td></td>{head}</tr></thead><tbody>{body}</tbody></table>'
    return _page.figure(f'<div class="wide" tabindex="0">{table}</div>', caption)


def _cells(label: int, row: Sequence[int]) -> Iterator[str]:
    total = max(1, sum(row))
    for number, count in enumerate(row):
        colour = "b-good" if number == label else "b-bad"
        shade = f'<i class="{colour}" style="opacity:{0.6 * count / total:.2f}"></i>' if count else ""
        yield f"<td>{shade}<b>{count or ''}</b></td>"


def _by_class(names: Sequence[str], counts: Sequence[Sequence[int]]) -> str:
    """The worst class first: its recall with an interval, and what it is mostly taken for."""
    rows = []
    for number, name in sorted(enumerate(names), key=lambda item: _recall(item[0], counts[item[0]])):
        row, images = counts[number], sum(counts[number])
        others = sorted(((c, n) for n, c in enumerate(row) if c and n != number), reverse=True)[:3]
        low, high = clopper_pearson(row[number], images)
        recall = f"{row[number] / images:.1%} ({low:.0%} to {high:.0%})" if images else "–"
        rows.append((name, f"{images:,}", recall, ", ".join(f"{names[n]} ({c})" for c, n in others) or "–"))
    table = _page.table(("class", "images", "right (95 %)", "mostly taken for"), rows, numeric=(1, 2))
    return table if len(rows) <= _MATRIX_CLASSES else _page.details(f"All {len(rows)} classes", table)


def _recall(label: int, row: Sequence[int]) -> float:
    return row[label] / sum(row) if sum(row) else 2.0


def _pictures(names: Sequence[str], surest: Sequence[Json]) -> str:
    figures = []
    for item in surest:
        if not _is_png(item["png"]):
            continue
        shows, taken = names[item["label"]], names[item["answered"]]
        text = f"{shows}, taken for {taken} ({item['confidence']:.1%} sure)"
        source = f"data:image/png;base64,{item['png']}"
        figures.append(
            f'<figure><img src="{source}" alt="{escape(text)}">'
            f"<figcaption>{escape(text)}</figcaption></figure>"
        )
    if not figures:
        return ""
    note = "The surest mistakes, with the label that the data give. These pictures are part of this file: "
    note += "mind whom you pass it on to."
    grid = f'<div class="pictures">{"".join(figures)}</div>'
    return f"<h3>The surest mistakes</h3>{_page.paragraph(note, 'fine')}{grid}"


def _is_png(text: str) -> bool:
    """Whether a record's picture is one: nothing else is put into the page."""
    try:
        return b64decode(text, validate=True).startswith(_PNG)
    except (binascii.Error, ValueError, TypeError):
        return False
