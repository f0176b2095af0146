"""Pages of the documentation that are made of the code: a hook of MkDocs, see ``mkdocs.yml``.

The command line and the settings are asked of the program itself, names of the API of ``hwnas.__all__``; what
stands elsewhere in the project, as the protocol of agents, is taken from there.
"""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import typer
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from nbconvert import MarkdownExporter
from typer.cli import get_docs_for_click

import hwnas
from hwnas import api, errors
from hwnas.cli import app
from hwnas.settings.template import template

_ROOT = Path(__file__).parents[1]
_TAKEN = {"reference/agents.md": "profilers/README.md", "changes.md": "CHANGELOG.md"}
"""Pages that stand elsewhere."""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add them."""
    made = {
        "reference/cli.md": _command_line(),
        "reference/settings.md": _settings(),
        "reference/api.md": _api(),
        **{page: (_ROOT / source).read_text("utf-8") for page, source in _TAKEN.items()},
        **{f"notebooks/{path.stem}.md": _notebook(path) for path in (_ROOT / "examples").glob("*.ipynb")},
    }
    for page, text in made.items():
        files.append(File.generated(config, page, content=text))
    return files


def _command_line() -> str:
    command = typer.main.get_command(app)
    _say_whole(command)
    return get_docs_for_click(
        obj=command, ctx=typer.Context(command, info_name="hwnas"), name="hwnas", title="Command line"
    )


def _say_whole(command: Any) -> None:
    """Lists of commands have the first sentence of each, which would be cut after 45 characters."""
    for each in getattr(command, "commands", {}).values():
        each.short_help = each.short_help or " ".join((each.help or "").split("\n\n")[0].split())
        _say_whole(each)


def _notebook(path: Path) -> str:
    """Its cells, and what they said when it was last run."""
    text, _ = MarkdownExporter().from_filename(str(path))
    return str(text).replace('<table border="1" class="dataframe">', "<table>")  # drawn as others are


def _settings() -> str:
    title, said = "# Settings of `hwnas run`", "Every setting, its default; `hwnas init` writes this file."
    return f"{title}\n\n{said}\n\n```toml\n{template()}```\n"


def _api() -> str:
    """Every public name, where it is written."""
    parts: dict[str, list[str]] = {"Verbs": [], "Settings and results": [], "Errors": [], "Modules": []}
    for name in hwnas.__all__:
        found = getattr(hwnas, name)
        if inspect.ismodule(found) and not callable(found):
            parts["Modules"].append(found.__name__)
        elif inspect.isclass(found):
            kind = "Errors" if issubclass(found, errors.HwnasError) else "Settings and results"
            parts[kind].append(f"{found.__module__}.{name}")
        else:
            function = getattr(api, name, found)
            parts["Verbs"].append(f"{function.__module__}.{function.__name__}")
    said = [
        "# Python",
        "Everything here is a name of `hwnas`, as in `hwnas.search`, and is imported when it is first used.",
    ]
    for title, names in parts.items():
        said += [f"## {title}", *(f"::: {name}" for name in names)]
    return "\n\n".join(said) + "\n"
