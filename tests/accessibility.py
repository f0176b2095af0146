"""What axe-core finds wrong with a page. Its script is part of a package that tests alone need."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import programs
from browser import Browser
from looks import OPEN_ALL, OUTSIDE

_PACKAGE = "axe_playwright_python"  # of which nothing is imported
_FOUND = """axe.run(document, {resultTypes: ["violations"]}).then(found => found.violations.map(
    each => each.id + ": " + each.nodes.map(node => node.target + " " + node.failureSummary).join("; ")))"""


def violations(browser: Browser) -> list[str]:
    """What is wrong with the page that is open; it must not bind the scripts of tests."""
    package = find_spec(_PACKAGE)
    if package is None or not package.submodule_search_locations:
        programs.missing("axe-core is not there (pip install axe-playwright-python): pages were not checked")
    script = Path(package.submodule_search_locations[0]) / "axe.min.js"
    browser.evaluate(script.read_text(encoding="utf-8") + "; axe.version")
    found: list[str] = browser.evaluate(_FOUND)
    return found


def shown_to_all(browser: Browser, page: Path) -> list[str]:
    """What is wrong with a page on a phone or a desk, by day or by night, with all of it unfolded."""
    found = []
    for width in (390, 1200):
        for scheme in ("light", "dark"):
            browser.open(page, width=width, scheme=scheme, is_bound=False)
            browser.evaluate(OPEN_ALL)
            found += [f"{width} px, {scheme}: {each}" for each in violations(browser)]
            found += [f"{width} px: {each} is outside" for each in browser.evaluate(OUTSIDE)]
    return found
