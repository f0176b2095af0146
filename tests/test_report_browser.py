"""The report in a real browser: nothing overflows, nothing is asked for, nothing complains."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import report_run
from accessibility import violations
from browser import Browser
from looks import BACKGROUND, CLIPPED, OPEN_ALL, OUTSIDE, SMALL, addresses

from hwnas import report

pytestmark = pytest.mark.slow

WIDTHS = (320, 390, 700, 1200)
LONG = "a_very_long_name_without_any_place_to_break_it_" * 4


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
    assert addresses(browser) == [page.as_uri()]
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


FRONT = "document.querySelector('svg.chart')"
READOUT = f"{FRONT}.parentElement.querySelector('.readout').textContent"
PANEL = f"{FRONT}.parentElement.querySelector('.chosen')"
FOCUSED = "document.activeElement.querySelector('title')?.textContent ?? document.activeElement.tagName"
PLACES = f"""[...{FRONT}.querySelectorAll('.point')].map(point => {{
    const box = point.querySelector('.mark').getBoundingClientRect();
    return [box.x + box.width / 2, box.y + box.height / 2, point.querySelector('title').textContent];
}})"""
PICKED = (
    "[...document.querySelectorAll('.picked')].map(e => e.closest('section').querySelector('h2').textContent)"
)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1200])
def test_nobody_is_shut_out(browser: Browser, page: Path, width: int, scheme: str):
    browser.open(page, width=width, scheme=scheme, is_bound=False)
    assert violations(browser) == []
    browser.evaluate(OPEN_ALL)
    browser.evaluate(f"{FRONT}.querySelector('.point').dispatchEvent(new MouseEvent('click'))")
    assert violations(browser) == []


def test_a_mark_is_read_by_pointer(browser: Browser, page: Path):
    browser.open(page, width=1200)
    browser.evaluate(f"{FRONT}.scrollIntoView()")
    assert browser.evaluate(READOUT).startswith("Point at a mark")
    for x, y, said in browser.evaluate(PLACES):
        browser.point(x + 3, y - 3)
        assert browser.evaluate(READOUT) == said
        assert said.count("%") >= 3, "the value and its interval"
        assert "±" in said
    browser.point(1, 1)
    assert browser.evaluate(READOUT).startswith("Point at a mark")
    assert browser.problems == []


def test_a_network_is_selected_by_keys_alone(browser: Browser, page: Path):
    browser.open(page, width=1200)
    browser.press("Tab")
    steps = [browser.evaluate(FOCUSED)]
    for _ in range(3):
        browser.press("ArrowRight")
        steps.append(browser.evaluate(FOCUSED))
        assert browser.evaluate(READOUT) == steps[-1]
    assert len(set(steps)) == 4, "each arrow goes to the next mark"
    browser.press("ArrowRight")
    assert browser.evaluate(FOCUSED) == steps[-1], "the last one is the last one"
    browser.press("Home")
    assert browser.evaluate(FOCUSED) == steps[0]
    browser.press("ArrowRight", "Enter")
    assert browser.evaluate(FOCUSED) == steps[1]
    assert browser.evaluate(f"{PANEL}.hidden") is False
    assert steps[1] in browser.evaluate(f"{PANEL}.textContent")
    said = browser.evaluate(f"[...{PANEL}.querySelectorAll('li')].map(each => each.textContent)")
    numbers = [int(number) for number in steps[1].partition(":")[0].split(".")]
    assert len(said) == len(numbers)
    assert all(": " in line for line in said)
    where = browser.evaluate(PICKED)
    assert len(where) >= 4, "in both charts of the front, in its table, where it was measured"
    assert "How the budget was kept" in where
    assert browser.evaluate("document.querySelectorAll('.halo').length") >= 2
    browser.press(*["Tab"] * 4)  # past the legend
    assert browser.evaluate("document.activeElement.textContent") == "Clear the selection"
    browser.press("Enter")
    assert browser.evaluate(PICKED) == []
    assert browser.evaluate(f"{PANEL}.hidden")
    browser.press("Enter", "Escape")
    assert browser.evaluate(PICKED) == []
    assert browser.problems == []


def test_a_network_is_selected_by_touch(browser: Browser, page: Path):
    browser.open(page, width=390)
    browser.evaluate(f"{FRONT}.scrollIntoView()")
    x, y, said = browser.evaluate(PLACES)[1]
    browser.touch(x + 8, y + 8)
    assert browser.evaluate(READOUT) == said
    assert browser.evaluate("document.querySelectorAll('.picked').length") > 1
    assert browser.evaluate("document.scrollingElement.scrollWidth <= innerWidth")
    browser.touch(x, y)
    assert browser.evaluate(PICKED) == []


def test_a_legend_hides_what_it_names(browser: Browser, page: Path):
    browser.open(page, width=1200)
    legend = f"{FRONT}.parentElement.querySelectorAll('.legend button')"
    count = f"[...{FRONT}.querySelectorAll('.point')].filter(each => each.getClientRects().length).length"
    before = browser.evaluate(count)
    browser.evaluate(f"{legend}[0].focus()")
    browser.press(" ")
    assert browser.evaluate(f"{legend}[0].getAttribute('aria-pressed')") == "false"
    assert browser.evaluate(count) < before
    assert browser.evaluate(f"{FRONT}.querySelectorAll('.point[tabindex=\"0\"]').length") == 1
    browser.press("Enter")
    assert browser.evaluate(count) == before


def test_a_run_beside_another_is_hidden_in_all_charts(browser: Browser, page: Path):
    browser.open(page, width=1200)
    charts = (
        "[...document.querySelectorAll('section')].find(each => each.querySelector('h2')?.textContent === "
    )
    charts += "'Against another run').querySelectorAll('figure')"
    hidden = f"[...{charts}].map(each => each.querySelectorAll('.off').length)"
    assert browser.evaluate(hidden) == [0, 0, 0, 0]
    browser.evaluate(f"{charts}[0].querySelectorAll('.legend button')[1].click()")
    assert browser.evaluate(hidden) == [1, 1, 1, 1]


def test_without_scripts_everything_is_there(browser: Browser, page: Path):
    browser.open(page, width=390, scripts=False)
    assert (
        browser.evaluate("document.querySelectorAll('.readout, .legend button, .point[tabindex]').length")
        == 0
    )
    assert browser.evaluate(f"{FRONT}.getAttribute('role')") == "img"
    assert len(browser.evaluate(PLACES)) == 4
    assert "stand for" in browser.evaluate("document.querySelector('[data-key]').parentElement.textContent")
    assert browser.problems == []


def test_no_other_script_ever_runs(browser: Browser, page: Path, tmp_path: Path):
    """Whatever got into a page in spite of all escaping: it is dead there."""
    bad = tmp_path / "bad.html"
    dead = (
        "<script>window.ran = 1</script><img src=x onerror='window.ran = 2'><p onclick='window.ran = 3'>p</p>"
    )
    bad.write_text(page.read_text().replace("</main>", f"{dead}<a href='javascript:ran=4'>a</a></main>"))
    browser.open(bad, width=390)
    browser.evaluate("document.querySelectorAll('main > p, main > a').forEach(each => each.click())")
    assert browser.evaluate("window.ran ?? 0") == 0
    assert browser.evaluate("document.querySelectorAll('.readout').length") > 0, "ours does"
    sinks = "try { document.body.innerHTML = '<b>x</b>'; 'taken' } catch (error) { error.name }"
    assert browser.evaluate(sinks) == "TypeError", "text cannot be made HTML of"
