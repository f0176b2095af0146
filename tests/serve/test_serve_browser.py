"""The list of runs in a real browser: it is live, it is reached by keys, and nobody is shut out."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import report_run
from accessibility import violations
from browser import Browser
from looks import OUTSIDE, addresses
from served import Served, serve

from hwnas.runs.folder import RunFolder

pytest.importorskip("fastapi", reason="the extra serve is not installed")
pytestmark = pytest.mark.slow

LONG = "a_very_long_name_without_any_place_to_break_it_" * 3


@pytest.fixture(scope="module")
def runs(_exported_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("served")
    first = report_run.complete(Path(shutil.copytree(_exported_run, home / "first")))
    shutil.copytree(first, home / "second")
    shutil.copytree(_exported_run, home / LONG)
    (home / "broken").mkdir()
    (home / "broken" / RunFolder.search).write_text("{}")
    (home / "searching").mkdir()
    (home / "searching" / RunFolder.history).write_text("")
    return home


@pytest.fixture(scope="module")
def service(runs: Path):
    with serve(runs) as running:
        yield running


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1200])
def test_nobody_is_shut_out(browser: Browser, service: Served, width: int, scheme: str):
    for page in ("", "run?name=first", "compare?run=first&run=second", "compare"):
        browser.open(service.address, width=width, scheme=scheme, is_bound=False)
        browser.open(f"http://127.0.0.1:{service.port}/{page}", width=width, scheme=scheme, is_bound=False)
        assert violations(browser) == [], page
        assert browser.evaluate("document.scrollingElement.scrollWidth <= innerWidth"), page
        assert browser.evaluate(OUTSIDE) == [], page


def test_the_list_is_live_and_asks_nobody_else(browser: Browser, service: Served, runs: Path):
    browser.open(service.address, width=1200)
    assert browser.evaluate("location.search") == "", "the token does not stay in the address"
    assert browser.evaluate("document.cookie") == "", "and no script can read it"
    browser.evaluate("window.stayed = true")
    row = "[...document.querySelectorAll('form tbody tr')].find(each => "
    row += "each.querySelector('input').value === 'new')"
    shutil.copytree(runs / LONG, runs / "new")
    try:
        browser.until(f"{row}?.querySelector('a').getAttribute('href') === 'run?name=new'")
        names = "[...document.querySelectorAll('form tbody input')].map(each => each.value)"
        assert browser.evaluate(names) == sorted(browser.evaluate(names))
        shutil.rmtree(runs / "new" / RunFolder.export)
        browser.until(f"{row}.textContent.includes('export') === false")
    finally:
        shutil.rmtree(runs / "new")
    browser.until(f"!({row})")
    assert browser.evaluate("window.stayed"), "nothing was loaded anew"
    assert browser.problems == []
    assert {address.split("/")[2] for address in addresses(browser)} == {f"127.0.0.1:{service.port}"}


def test_two_runs_are_compared_by_keys_alone(browser: Browser, service: Served):
    browser.open(service.address, width=1200)
    for name in ("first", "second"):
        while browser.evaluate("document.activeElement.value ?? ''") != name:
            browser.press("Tab")
        browser.press(" ")
    while browser.evaluate("document.activeElement.tagName") != "BUTTON":
        browser.press("Tab")
    browser.press("Enter")
    browser.wait()
    assert browser.evaluate("document.querySelector('h1').textContent") == "first and second"
    assert browser.evaluate("document.querySelectorAll('svg.chart').length") >= 2
    assert browser.problems == []


def test_without_scripts_the_list_is_loaded_anew(browser: Browser, service: Served):
    browser.open(service.address, width=390, scripts=False)
    assert browser.evaluate("document.querySelector('meta[http-equiv=refresh]').content") == "5"
    assert browser.evaluate("document.querySelectorAll('form tbody tr').length") == 5


def test_that_nobody_answers_is_said(browser: Browser, runs: Path):
    with serve(runs) as service:
        browser.open(service.address, width=1200)
    browser.until("document.querySelector('[role=status]').textContent.includes('does not answer')")
