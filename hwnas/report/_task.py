"""What the task itself has to show: its sections, made from what training kept of single images."""

from __future__ import annotations

import binascii
from base64 import b64decode
from collections.abc import Iterator, Sequence
from html import escape

from hwnas.report import _page
from hwnas.report._record import Record
from hwnas.tasks.sections import Confusion, Pictures, Table, Text

_PNG = b"\x89PNG\r\n\x1a\n"


def sections(record: Record) -> str:
    """All of them; empty where training left no such record, or left it for other weights."""
    found, trained = record.mistakes, record.trained
    if not found or not trained or found["weights_sha256"] != trained.weights_sha256:
        return ""
    return "".join(
        _page.section(section.title, *map(_part, section.parts)) for section in record.task.sections(found)
    )


def _part(part: Text | Table | Confusion | Pictures) -> str:
    if isinstance(part, Text):
        return _page.paragraph(part.text)
    if isinstance(part, Confusion):
        return _confusion(part)
    if isinstance(part, Pictures):
        return _pictures(part)
    table = _page.table(part.header, part.rows, numeric=part.numeric)
    return _page.details(part.summary, table) if part.summary else table


def _confusion(part: Confusion) -> str:
    """A cell is as dark as its share of its row."""
    head = "".join(f'<th scope="col"><span>{escape(name)}</span></th>' for name in part.names)
    body = "".join(
        f'<tr><th scope="row">{escape(name)}</th>{"".join(_cells(number, row))}</tr>'
        for number, (name, row) in enumerate(zip(part.names, part.counts, strict=True))
    )
    table = f'<table class="matrix"><thead><tr><td></td>{head}</tr></thead><tbody>{body}</tbody></table>'
    return _page.figure(f'<div class="wide" tabindex="0">{table}</div>', part.caption)


def _cells(number: int, row: Sequence[int]) -> Iterator[str]:
    total = max(1, sum(row))
    for column, count in enumerate(row):
        colour = "b-good" if column == number else "b-bad"
        shade = f'<i class="{colour}" style="opacity:{0.6 * count / total:.2f}"></i>' if count else ""
        yield f"<td>{shade}<b>{count or ''}</b></td>"


def _pictures(part: Pictures) -> str:
    figures = [
        f'<figure><img src="data:image/png;base64,{png}" alt="{escape(text)}">'
        f"<figcaption>{escape(text)}</figcaption></figure>"
        for png, text in part.items
        if _is_png(png)
    ]
    if not figures:
        return ""
    kind = "pictures wide-ones" if part.is_wide else "pictures"
    grid = f'<div class="{kind}">{"".join(figures)}</div>'
    return f"<h3>{escape(part.title)}</h3>{_page.paragraph(part.note, 'fine')}{grid}"


def _is_png(text: str) -> bool:
    """Whether a record's picture is one: nothing else is put into the page."""
    try:
        return b64decode(text, validate=True).startswith(_PNG)
    except (binascii.Error, ValueError, TypeError):
        return False
