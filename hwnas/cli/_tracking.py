"""The option ``--track``."""

from __future__ import annotations

from typing import Annotated

import typer

from hwnas import tracking
from hwnas.cli import _usage


def _known(value: list[str] | None) -> list[str] | None:
    with _usage.usage():
        tracking.require(value or ())
    return value


Track = Annotated[
    list[str] | None,
    typer.Option(
        "--track",
        metavar="TRACKER[:PLACE]",
        callback=_known,
        help="Log to mlflow[:URI], tensorboard[:FOLDER] or wandb[:PROJECT] as well; all stages of a run are "
        "one run there. May be repeated.",
    ),
]
