"""The report in a real browser: nothing overflows, nothing is asked for, nothing complains."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import programs
import pytest
import report_run
from browser import Browser, find

from hwnas import report

pytestmark = pytest.mark.slow

WIDTHS = (320, 390, 700, 1280)
LONG = "a_very_long_name_without_any_place_to_break_it_" * 4

BACKGROUND = "getComputedStyle(document.body).backgroundColor"
OPEN_ALL = "document.querySelectorAll('details').forEach(d => d.open = true)"
OUTSIDE = """[...document.querySelectorAll('main *')].filter(e => {
    const box = e.getBoundingClientRect();
    const scrolls = e.closest('.wide') && !e.classList.contains('wide');
    return !scrolls && box.width > 2 && (box.right > innerWidth + 1 || box.left < -1);
}).map(e => e.tagName + '.' + e.getAttribute('class') + ': ' + e.textContent.slice(0, 60))"""
CLIPPED = """[...document.querySelectorAll('svg.chart text')].filter(e => {
    const box = e.getBoundingClientRect(), chart = e.closest('svg').getBoundingClientRect();
    return box.left < chart.left - 1 || box.right > chart.right + 1 || box.bottom > chart.bottom + 1;
}).map(e => e.textContent)"""
SMALL = "[...document.querySelectorAll('svg.chart')].map(e => e.getBoundingClientRect().width / 380)"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory):
    program = find()
    if program is None:
        programs.missing("no Chromium or Chrome was found: the report was not looked at in a browser")
    with Browser(program, tmp_path_factory.mktemp("profile")) as opened:
        yield opened


@pytest.fixture(scope="module")
def page(_exported_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of a run with everything in it, and with names that are hard to lay out."""
    folder = tmp_path_factory.mktemp("browser") / "run"
    run = report_run.complete(Path(shutil.copytree(_exported_run, folder)))
    search = json.loads((run / "search.json").read_text())
    search["data"]["source"] = f"/data/{LONG}"
    search["promise"]["targets"][1]["note"] = f"{LONG} {LONG}"
    report_run.write(run / "search.json", search)
    compared = json.loads((run / "compare.json").read_text())
    compared["networks"][1]["name"] = LONG[:60]
    report_run.write(run / "compare.json", compared)
    return report.write(run, tables=run / "tables", baseline=run)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
def test_it_fits_and_is_quiet(browser: Browser, page: Path, width: int, scheme: str):
    browser.open(page, width=width, scheme=scheme)
    for _ in range(2):
        assert browser.evaluate("document.scrollingElement.scrollWidth <= innerWidth")
        assert browser.evaluate(OUTSIDE) == []
        assert browser.evaluate(CLIPPED) == []
        browser.evaluate(OPEN_ALL)
    assert browser.problems == []
    assert [address for address in browser.requests if not address.startswith("data:")] == [page.as_uri()]
    assert min(browser.evaluate(SMALL)) > 0.7, "text in charts would be too small to read"
    assert browser.evaluate(BACKGROUND) == {"light": "rgb(255, 255, 255)", "dark": "rgb(13, 17, 23)"}[scheme]


def test_the_check_sees_what_it_is_there_for(browser: Browser, tmp_path: Path):
    bad = tmp_path / "bad.html"
    bad.write_text(
        "<!doctype html><link rel=icon href='data:,'><main><p style='width:2000px'>wide</p></main>"
        "<script>console.error('seen')</script><img src='missing.png'>"
    )
    browser.open(bad, width=390)
    assert not browser.evaluate("document.scrollingElement.scrollWidth <= 390")
    assert len(browser.evaluate(OUTSIDE.replace("innerWidth", "390"))) == 1
    assert any("seen" in problem for problem in browser.problems)
    assert any("missing.png" in address for address in browser.requests)
