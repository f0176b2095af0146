"""The pages that are not reports: the list of runs, and what went wrong."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from html import escape
from pathlib import Path
from urllib.parse import urlencode

from hwnas import __version__
from hwnas.report import _page
from hwnas.serve.catalogue import COLUMNS, ListedRun

REFRESH_S = 5
"""How often the list is loaded anew where no scripts run."""
MAY = ("connect-src 'self'", "form-action 'self'")
"""What the list may do beside running its script: ask for its runs, and for two of them."""


@cache
def live() -> str:
    """The script of the list."""
    return Path(__file__).with_name("live.js").read_text(encoding="utf-8")


def address(run: ListedRun) -> str:
    """Where the report of a run is; empty where there is none."""
    return f"run?{urlencode({'name': run.name})}" if run.is_whole else ""


def listing(runs: Sequence[ListedRun]) -> str:
    """The list of runs, which its script keeps as it is now."""
    blank = ListedRun("", dict.fromkeys(COLUMNS, ""), "", is_whole=False)
    form = (
        '<form action="compare" method="get">'
        f"{_table(runs)}<p><button>Compare the two that are ticked</button></p></form>"
    )
    return _page.page(
        "Runs",
        f"in the folders that hwnas {__version__} was given to serve, as they are now",
        ['<p role="status" class="warn"></p>', form, f"<template>{_table([blank])}</template>"],
        script=live(),
        may=MAY,
        head=f'<noscript><meta http-equiv="refresh" content="{REFRESH_S}"></noscript>',
    )


def refusal(text: str) -> str:
    """A page that says in a sentence what went wrong."""
    back = _page.Html('<a href="./">All runs</a>')
    return _page.page("That does not work", text, [_page.paragraph(back)])


def _table(runs: Sequence[ListedRun]) -> str:
    rows = [(_name(run), *(_cell(run, column) for column in COLUMNS)) for run in runs]
    return _page.table(("run", *COLUMNS), rows)


def _name(run: ListedRun) -> _page.Html:
    name, to = escape(run.name), address(run)
    choice = f'<input type="checkbox" name="run" value="{name}" aria-label="compare {name}"'
    choice += ">" if run.is_whole else " disabled>"
    return _page.Html(f"{choice} <a{f' href={chr(34)}{escape(to)}{chr(34)}' if to else ''}>{name}</a>")


def _cell(run: ListedRun, column: str) -> str:
    return (
        run.cells[column] if column != "verdict" or not run.kind else _page.mark(run.cells[column], run.kind)
    )
