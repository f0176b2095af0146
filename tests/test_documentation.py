"""What the documentation tells people to type exists, and so does what it points to."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import typer

from hwnas.cli import app
from hwnas.search import STRATEGIES
from hwnas.spaces import SPACES

ROOT = Path(__file__).parents[1]
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")])
TYPED = re.compile(r"^(?: {4}|)(?:\$ )?(?:make \w+ && )?(hwnas [a-z].*)$|`(hwnas [a-z][^`]*)`", re.MULTILINE)


def typed(text):
    """Every command of hwnas that a page names, in a block or in a line."""
    for block, inline in TYPED.findall(text.replace("\\\n", " ")):
        words = re.split(r"\s#|\s&&\s|\s--\s|;|`", " ".join((block or inline).split()))[0]
        yield shlex.split(words.replace("…", "").replace("'", "").replace("[", "").replace("]", ""))[1:]


COMMANDS = typer.main.get_command(app)


def command_of(words):
    """The command that words name, and what follows them."""
    found = COMMANDS
    while words and (commands := getattr(found, "commands", None)):
        assert words[0] in commands, f"no command {words[0]}"
        found, words = commands[words[0]], words[1:]
    return found, words


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_and_their_options_exist(page):
    for words in typed(page.read_text("utf-8")):
        command, rest = command_of(words)
        options = {name for each in command.params for name in (*each.opts, *each.secondary_opts)} | {
            "--help"
        }
        asked = {word.partition("=")[0] for word in rest if word.startswith("--")}
        assert asked <= options, f"{' '.join(words)}: {asked - options}"


def test_every_strategy_is_told_with_the_others():
    text = (ROOT / "docs" / "concepts" / "strategies.md").read_text("utf-8")
    assert {name for name in STRATEGIES if f"`{name}`" not in text} == set()


def test_every_space_is_told_with_the_others():
    text = (ROOT / "docs" / "concepts" / "spaces.md").read_text("utf-8")
    assert {name for name in SPACES if f"`{name}`" not in text} == set()


def test_the_quick_starts_are_read_at_all():
    """Else the test before would pass on nothing."""
    count = sum(1 for page in PAGES for _ in typed(page.read_text("utf-8")))
    assert count > 100


def test_what_is_put_into_pages_exists():
    """mkdocs shows a line as it stands that it does not understand, and says nothing."""
    lines = [line for page in PAGES for line in page.read_text("utf-8").splitlines() if "--8" in line]
    assert lines
    for line in lines:
        named = re.fullmatch(r'--8<-- "([\w/.]+)"', line)
        assert named, line
        assert (ROOT / named[1]).is_file(), line


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_programs_of_figures_exist(page):
    for name in re.findall(r"`?((?:tools|tests|profilers)/[\w/.]+\.(?:py|md|c))", page.read_text("utf-8")):
        assert (ROOT / name).is_file(), name
