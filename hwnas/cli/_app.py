"""The application object, the console, and how errors reach the user."""

from __future__ import annotations

import json
import sys
from typing import Annotated, Any

import typer
from rich.console import Console

from hwnas import __version__

app = typer.Typer(
    name="hwnas",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Finds the best neural network for your own phone, board, CPU or GPU, "
    "under a measured latency budget.",
)

out = Console()
"""Results for people go here (standard output)."""

err = Console(stderr=True)
"""Progress, warnings and errors go here (standard error)."""

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output.")]


def emit_json(data: Any) -> None:
    """Print one JSON object for machines; NaN and infinity are refused."""
    sys.stdout.write(json.dumps(data, allow_nan=False) + "\n")


def _version(asked: bool) -> None:
    if asked:
        out.print(__version__)
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Options before the verb."""
    from hwnas.cli._log import listen

    listen()
