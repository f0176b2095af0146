"""What tests ask a page in a browser: whether it fits, and what it asked for."""

from __future__ import annotations

from browser import Browser

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


def addresses(browser: Browser) -> list[str]:
    """What the page that is open asked for, but what it holds itself."""
    return [address for address in browser.requests if not address.startswith("data:")]
