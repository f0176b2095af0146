"""``hwnas serve``: runs in a browser, while they are made."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hwnas.cli._app import app
from hwnas.cli._serving import Host, Port, not_installed, told
from hwnas.errors import HwnasError
from hwnas.web import tokens


@app.command()
def serve(
    runs: Annotated[
        list[Path], typer.Argument(help="Folder of run folders, or a run folder; several may be given.")
    ],
    host: Host = "127.0.0.1",
    port: Port = 8760,
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
        raise not_installed("hwnas serve", "serve") from error
    from hwnas.serve.catalogue import Catalogue

    token = tokens.new() if token_file is None else tokens.made_in(token_file)
    name = f"[{host}]" if ":" in host else host
    address = f"http://{name}:{port}/?token={token}"
    service.serve(Catalogue(runs), token, host, port, lambda: told(address))
