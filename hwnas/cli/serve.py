"""``hwnas serve``: runs in a browser, while they are made."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hwnas.cli import _usage
from hwnas.cli._app import app, out
from hwnas.errors import HwnasError
from hwnas.web import tokens


def told(address: str) -> None:
    """Print where to look, at once."""
    out.print(address, soft_wrap=True, highlight=False, markup=False)
    out.file.flush()


@app.command()
def serve(
    runs: Annotated[
        list[Path], typer.Argument(help="Folder of run folders, or a run folder; several may be given.")
    ],
    host: Annotated[
        str,
        typer.Option(
            help="Where it listens; over a network, behind a proxy with TLS.",
            callback=_usage.checked(_usage.host),
        ),
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535)] = 8760,
    token_file: Annotated[
        Path | None,
        typer.Option(help="File of the token; made where it is not there. By default a new token each time."),
    ] = None,
) -> None:
    """List runs live in a browser, with their reports, and two of them side by side, until Ctrl-C.

    It only reads. Nobody gets an answer without the token, which is in the address that is printed.
    """
    for folder in runs:
        if not folder.is_dir():
            raise HwnasError(f"what is served must be folders, but {folder} is none: give where runs lie")
    try:
        from hwnas.serve import service
    except ImportError as error:
        raise HwnasError(
            "hwnas serve must have FastAPI and uvicorn, but they are not installed: run "
            "`pip install 'hwnas[serve]'`"
        ) from error
    from hwnas.serve.catalogue import Catalogue

    token = tokens.new() if token_file is None else tokens.made_in(token_file)
    name = f"[{host}]" if ":" in host else host
    address = f"http://{name}:{port}/?token={token}"
    service.serve(Catalogue(runs), token, host, port, lambda: told(address))
