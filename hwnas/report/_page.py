"""The frame of the report: one file, no network, readable on a phone, light and dark."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from functools import cache
from html import escape
from pathlib import Path

from hwnas.report._style import style_sheet


class Html(str):
    """Text that is HTML already; every other text is escaped."""


@cache
def marks() -> str:
    """The script of pages with charts; without it they say the same."""
    return Path(__file__).with_name("marks.js").read_text(encoding="utf-8")


def policy(script: str, *more: str) -> str:
    """What a page may do, as a Content-Security-Policy: run this one script, show itself, ask nobody.

    Args:
        script: The script; no other runs, whatever gets into the page.
        more: What else it may, as directives; each takes the place of "nothing".
    """
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    allowed = {
        "default-src": "'none'",
        "img-src": "data:",
        "style-src": "'unsafe-inline'",  # widths of bars are written where they stand
        "script-src": f"'sha256-{digest}'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "require-trusted-types-for": "'script'",  # so that text of a run cannot be made HTML of
        "trusted-types": "'none'",
    }
    allowed |= {name: what for name, _, what in (each.partition(" ") for each in more)}
    return "; ".join(f"{name} {what}" for name, what in allowed.items())


def page(
    title: str,
    lead: str,
    sections: Sequence[str],
    *,
    script: str = "",
    may: Sequence[str] = (),
    head: str = "",
) -> str:
    """The whole HTML document.

    Args:
        title: Of the page.
        lead: A line below it.
        sections: HTML already.
        script: The only one that runs; by default that of charts.
        may: As ``more`` of ``policy``.
        head: HTML that goes into the head.
    """
    script = script or marks()
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{escape(policy(script, *may))}">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f'<link rel="icon" href="data:,">{head}'
        f"<title>{escape(title)}</title><style>{style_sheet()}</style></head><body><main>"
        f'<h1>{escape(title)}</h1><p class="lead">{escape(lead)}</p>{"".join(sections)}'
        f"</main><script>{script}</script></body></html>\n"
    )


def section(title: str, *parts: str) -> str:
    """A heading and what stands under it (HTML)."""
    return f"<section><h2>{escape(title)}</h2>{''.join(parts)}</section>"


def cards(items: Sequence[tuple[str, str]]) -> str:
    """Headline numbers: (value, what it is)."""
    inner = "".join(
        f'<div class="card"><b>{escape(value)}</b><span>{escape(what)}</span></div>' for value, what in items
    )
    return f'<div class="cards">{inner}</div>'


def table(
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    numeric: Sequence[int] = (),
    networks: Sequence[str] = (),
) -> str:
    """A table whose first column names the rows; on a phone every row becomes a small list.

    Cells of type ``Html`` are taken as they are, all others are text. The roles say again what
    the elements are, because a table that is not displayed as one is not read out as one.

    Args:
        header: Names of the columns.
        rows: Their cells.
        numeric: Which columns hold numbers.
        networks: Which network each row is of, by ``Record.network``, empty for none; none by default.
    """

    def cell(column: int, text: str) -> str:
        inner = text if isinstance(text, Html) else escape(text)
        if column == 0:
            return f'<th scope="row" role="rowheader">{inner}</th>'
        kind = ' class="n"' if column in numeric else ""
        return f'<td role="cell"{kind} data-name="{escape(header[column])}"><span>{inner}</span></td>'

    head = "".join(
        f'<th scope="col" role="columnheader"{" class=n" if n in numeric else ""}>{escape(text)}</th>'
        for n, text in enumerate(header)
    )

    def begin(network: str) -> str:
        return f'<tr role="row" data-network="{escape(network)}">' if network else '<tr role="row">'

    body = "".join(
        f"{begin(network)}{''.join(cell(n, text) for n, text in enumerate(row))}</tr>"
        for row, network in zip(rows, networks or ("",) * len(rows), strict=True)
    )
    return (
        f'<table role="table"><thead role="rowgroup"><tr role="row">{head}</tr></thead>'
        f'<tbody role="rowgroup">{body}</tbody></table>'
    )


def figure(chart: str, caption: str) -> str:
    """A chart with a sentence that says what it shows."""
    return f"<figure>{chart}<figcaption>{escape(caption)}</figcaption></figure>"


def pair(*figures: str) -> str:
    """Figures side by side where there is room."""
    return f'<div class="pair">{"".join(figures)}</div>'


def paragraph(text: str, kind: str = "") -> str:
    """One paragraph; ``kind`` is a class of the style sheet, "fine" for small print."""
    name = f' class="{kind}"' if kind else ""
    return f"<p{name}>{text if isinstance(text, Html) else escape(text)}</p>"


def commands(lines: Sequence[Sequence[str]]) -> str:
    """Commands as they are typed, each in parts that stay together where there is room."""
    divs = ("".join(f"<span>{escape(part)}</span> " for part in line).rstrip() for line in lines)
    return f"<pre>{''.join(f'<div>{div}</div>' for div in divs)}</pre>"


def code(text: str) -> Html:
    """A hash or a key."""
    return Html(f"<code>{escape(text)}</code>")


def mark(text: str, kind: str) -> Html:
    """A verdict in its colour: "good", "warn" or "bad"."""
    return Html(f'<span class="{kind}">{escape(text)}</span>')


def details(summary: str, *parts: str) -> str:
    """What only some readers want to see (HTML), folded away."""
    return f"<details><summary>{escape(summary)}</summary>{''.join(parts)}</details>"


def bar(share: float, *, colour: str = "b0") -> Html:
    """A horizontal bar filled to ``share`` of its width; decoration beside a written number."""
    width = min(max(share, 0.0), 1.0) * 100
    return Html(
        f'<span class="bar" aria-hidden="true"><i class="{colour}" style="width:{width:.1f}%"></i></span>'
    )
