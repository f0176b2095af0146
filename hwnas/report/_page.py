"""The frame of the report: one file, no network, readable on a phone, light and dark."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

_STYLE = """
:root{--paper:#fff;--ink:#1b1f24;--soft:#5b6570;--line:#d9dee3;--card:#f6f8fa;
--c0:#0969da;--c1:#bc4c00;--c2:#1a7f37;--c3:#8250df;--good:#1a7f37;--bad:#cf222e}
@media (prefers-color-scheme:dark){:root{--paper:#0d1117;--ink:#e6edf3;--soft:#9aa5b1;--line:#30363d;
--card:#161b22;--c0:#58a6ff;--c1:#f0883e;--c2:#3fb950;--c3:#bc8cff;--good:#3fb950;--bad:#ff7b72}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:60rem;padding:1.25rem;background:var(--paper);color:var(--ink);
font:16px/1.5 system-ui,sans-serif}
h1{font-size:1.6rem;margin:.2rem 0}h2{font-size:1.15rem;margin:2rem 0 .6rem}
p.lead{color:var(--soft);margin:.2rem 0 1rem}
.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(9.5rem,1fr));gap:.7rem}
.card{background:var(--card);border:1px solid var(--line);border-radius:.5rem;padding:.7rem .9rem}
.card b{display:block;font-size:1.3rem}.card span{color:var(--soft);font-size:.85rem}
.wide{overflow-x:auto}table{border-collapse:collapse;width:100%;font-size:.9rem}
th,td{text-align:left;padding:.35rem .6rem;border-bottom:1px solid var(--line);white-space:nowrap}
th{color:var(--soft);font-weight:600}td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}
td.bar-cell{min-width:6rem}
.pass{color:var(--good);font-weight:700}.fail{color:var(--bad);font-weight:700}
.pair{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,22rem),1fr));gap:1rem}
figure{margin:0}figcaption{color:var(--soft);font-size:.85rem}
.chart{width:100%;height:auto;display:block}.bar{width:100%;height:.6rem;display:block}
.grid{stroke:var(--line)}.level{stroke:var(--soft);stroke-dasharray:5 4}.whisker{stroke:var(--c0);opacity:.5}
.line{fill:none;stroke-width:2}.line.c0{stroke:var(--c0)}.line.c1{stroke:var(--c1)}
.line.c2{stroke:var(--c2)}.line.c3{stroke:var(--c3)}
.dot{fill:var(--c0)}.found{fill:none;stroke:var(--c1);stroke-width:3}
.tick,.note{fill:var(--soft);font-size:12px}.axis{fill:var(--ink);font-size:13px}
.track{fill:var(--line)}rect.good{fill:var(--c0)}rect.bad{fill:var(--bad)}
.legend{margin:.2rem 0;font-size:.85rem}.legend span{margin-right:1rem;display:inline-block}
.legend i{display:inline-block;width:.8rem;height:.8rem;border-radius:2px;margin-right:.35rem}
i.c0{background:var(--c0)}i.c1{background:var(--c1)}i.c2{background:var(--c2)}i.c3{background:var(--c3)}
code,pre{font:.85rem/1.45 ui-monospace,monospace}pre{background:var(--card);border:1px solid var(--line);
border-radius:.5rem;padding:.7rem;overflow-x:auto}
"""


class Html(str):
    """Text that is HTML already; every other text is escaped."""


def page(title: str, lead: str, sections: Sequence[str]) -> str:
    """The whole HTML document; ``sections`` are HTML already."""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        '<link rel="icon" href="data:,">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body>"
        f'<h1>{escape(title)}</h1><p class="lead">{escape(lead)}</p>{"".join(sections)}</body></html>\n'
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


def table(header: Sequence[str], rows: Sequence[Sequence[str]], *, numeric: Sequence[int] = ()) -> str:
    """A table; cells of type ``Html`` are taken as they are, all others are text."""

    def cell(tag: str, column: int, text: str) -> str:
        name = ' class="n"' if column in numeric else ' class="bar-cell"' if "<svg" in text else ""
        return f"<{tag}{name}>{text if isinstance(text, Html) else escape(text)}</{tag}>"

    head = "".join(cell("th", n, text) for n, text in enumerate(header))
    body = "".join(
        "<tr>" + "".join(cell("td", n, text) for n, text in enumerate(row)) + "</tr>" for row in rows
    )
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def verdict(text: str) -> Html:
    """PASS or FAIL, in its colour."""
    return Html(f'<span class="{"pass" if text == "PASS" else "fail"}">{escape(text)}</span>')


def figure(chart: str, caption: str) -> str:
    """A chart with one sentence that says what it shows."""
    return f"<figure>{chart}<figcaption>{escape(caption)}</figcaption></figure>"


def paragraph(text: str) -> str:
    """One paragraph of plain text."""
    return f"<p>{escape(text)}</p>"


def preformatted(text: str) -> str:
    """Commands, as they are typed."""
    return f"<pre>{escape(text)}</pre>"
