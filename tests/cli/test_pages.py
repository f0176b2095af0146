"""Errors that say where to read on: the pages are there, and the address is said once."""

from __future__ import annotations

import ast
import pickle
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
from markdown.extensions.toc import slugify

from hwnas import cli, errors
from hwnas.cli import _pages

ROOT = Path(__file__).parents[2]


def kinds(base: type[errors.HwnasError] = errors.HwnasError):
    yield base
    for kind in base.__subclasses__():
        yield from kinds(kind)


def named() -> set[str]:
    """Every page that an error may name: of classes, and of what is raised."""
    found = {kind.page for kind in kinds() if kind.page}
    raising = (
        text for path in (ROOT / "hwnas").rglob("*.py") if ".see(" in (text := path.read_text("utf-8"))
    )
    for text in raising:
        for node in ast.walk(ast.parse(text)):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr == "see"
            ):
                found |= {word.value for word in node.args if isinstance(word, ast.Constant)}
    return found


def test_each_page_and_anchor_exists():
    assert len(named()) > 8, "or nothing was looked at"
    for page in named():
        name, _, anchor = page.partition("#")
        path = ROOT / "docs" / name
        assert path.is_file(), page
        titles = [
            line.lstrip("#").strip() for line in path.read_text("utf-8").splitlines() if line[:1] == "#"
        ]
        assert not anchor or anchor in {slugify(title, "-") for title in titles}, page


def test_an_error_says_it_in_a_second_line():
    done = subprocess.run(
        [sys.executable, "-m", "hwnas", "run", "--plugin", "not-there.py", "x.toml"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    first, second = done.stderr.splitlines()
    assert done.returncode == 1
    assert first.startswith("error: a plug-in must be")
    assert second == f"see {_pages.address(errors.PluginError.page)}"


def test_one_without_a_page_is_one_line(monkeypatch, capsys):
    def broken() -> None:
        raise errors.TableError("a table must be there")

    monkeypatch.setattr(cli, "app", broken)
    with pytest.raises(SystemExit):
        cli.main()
    assert capsys.readouterr().err == "error: a table must be there\n"


def test_the_address_is_that_of_the_projects_metadata(monkeypatch):
    class Told:
        def __init__(self, *urls: str) -> None:
            self.urls = list(urls)

        def get_all(self, _: str) -> list[str]:
            return self.urls

    page = "faq.md#can-i-stop-it-and-go-on"
    for told, expected in (
        (
            Told("Source, https://x.org", "Documentation, https://y.org/docs/"),
            "https://y.org/docs/faq/#can-i",
        ),
        (Told("Source, https://x.org"), "docs/faq.md#can-i"),
    ):
        monkeypatch.setattr(metadata, "metadata", lambda _, told=told: told)
        assert _pages.address(page).startswith(expected)


def test_a_page_crosses_processes():
    error = errors.AgentError("an agent must run").see("guides/gpus.md")
    assert pickle.loads(pickle.dumps(error)).page == "guides/gpus.md"
    assert errors.AgentError.page == ""
