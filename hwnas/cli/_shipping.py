"""What the verbs of what ships share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from hwnas.cli._app import err

Run = Annotated[Path, typer.Argument(help="Folder of the run.")]


def say_unfinished(run: Path) -> None:
    """Print what was not brought to its end in a run."""
    from hwnas import release

    for text in release.unfinished(run):
        err.print(f"[yellow]{escape(text)}[/]", soft_wrap=True, highlight=False)
