"""What the verbs that take a run share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from hwnas.cli._app import err
from hwnas.errors import HwnasError
from hwnas.runs import records


def run_folder(context: typer.Context, path: Path) -> Path:
    """A callback: the folder of a run, and not one around it."""
    if elsewhere := records.runs_inside(path, str(context.info_name)):
        raise HwnasError(f"a run must be given by its own folder, but {elsewhere}")
    return path


Run = Annotated[Path, typer.Argument(help="Folder of the run.", callback=run_folder)]


def say_unfinished(run: Path) -> None:
    """Print what was not brought to its end in a run."""
    from hwnas import release

    for text in release.unfinished(run):
        err.print(f"[yellow]{escape(text)}[/]", soft_wrap=True, highlight=False)
