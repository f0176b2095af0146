"""What commands that answer over HTTP have in common."""

from __future__ import annotations

from typing import Annotated

import typer

from hwnas.cli import _usage
from hwnas.cli._app import out
from hwnas.errors import HwnasError

Host = Annotated[
    str,
    typer.Option(
        help="Where it listens; over a network, behind a proxy with TLS.",
        callback=_usage.checked(_usage.host),
    ),
]
Port = Annotated[int, typer.Option(min=1, max=65535)]


def told(text: str) -> None:
    """Print where a service is, at once: nothing else is printed as long as it answers."""
    out.print(text, soft_wrap=True, highlight=False, markup=False)
    out.file.flush()


def not_installed(who: str, extra: str) -> HwnasError:
    """The error of a service whose extra is not there."""
    return HwnasError(
        f"{who} must have FastAPI and uvicorn, but they are not installed: run `pip install 'hwnas[{extra}]'`"
    )
