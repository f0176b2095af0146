"""The report: one file, no network, well-formed, and nothing of the data is taken as HTML."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from hwnas import report
from hwnas.errors import HwnasError
from hwnas.report import _page, _svg

VOID = {"meta", "link"}


class Balanced(HTMLParser):
    """Raises where a tag is closed that is not the one that is open; collects text and links."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag, attrs):
        if tag not in VOID:
            self.open.append(tag)
        self.links += [value or "" for name, value in attrs if name in ("src", "href")]

    def handle_startendtag(self, tag, attrs):
        pass

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def parse(path: Path) -> Balanced:
    parser = Balanced()
    parser.feed(path.read_text())
    parser.close()
    assert parser.open == []
    return parser


def test_a_report_of_a_run_is_self_contained(exported_run):
    path = report.write(exported_run, baseline=exported_run)
    parsed = parse(path)
    assert parsed.links == ["data:,"], "nothing may be loaded from anywhere"
    text = " ".join(parsed.text)
    trained = json.loads((exported_run / "train.json").read_text())
    for expected in (f"{trained['test_accuracy']:.2%}", "Training from scratch", "Against the baseline"):
        assert expected in text
    assert not re.search(r"https?://|<script", path.read_text())


def test_names_from_outside_are_text(exported_run):
    path = exported_run / "search.json"
    search = json.loads(path.read_text())
    search["strategy"] = "<script>alert(1)</script>"
    path.write_text(json.dumps(search))
    written = report.write(exported_run, baseline=exported_run)
    assert "<script" not in written.read_text()
    assert "<script>alert(1)</script>" in " ".join(parse(written).text)


def test_a_folder_that_is_no_run_is_refused(tmp_path):
    with pytest.raises(HwnasError, match="the found architecture must be there"):
        report.write(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_axes_hold_every_point():
    chart = _svg.scatter(
        [(1.0, 2.0, 0.5), (3.0, 2.5, 0.0)], x="a", y="b", highlight=[(2.0, 9.0)], diagonal=True
    )
    for x, y in re.findall(r'<circle class="\w+" cx="([\d.]+)" cy="([\d.]+)"', chart):
        assert 0 < float(x) < _svg.WIDTH
        assert 0 < float(y) < _svg.HEIGHT


@pytest.mark.parametrize("values", [(1.0, 1.0), (0.0, 0.0), (1e-6, 2e-6), (-3.0, 1e6)])
def test_ticks_lie_between_the_ends(values):
    low, high = _svg._padded(values)
    ticks = _svg._ticks(low, high)
    assert 2 <= len(ticks) <= 8
    assert all(low <= tick <= high for tick in ticks)


def test_html_and_text_are_told_apart():
    table = _page.table(("a",), [("<b>",), (_page.Html("<i></i>"),)])
    assert "&lt;b&gt;" in table
    assert "<i></i>" in table
