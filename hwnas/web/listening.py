"""Listening until the process is asked to end. This module needs the extra ``serve``."""

from __future__ import annotations

from typing import Any

import uvicorn

from hwnas.errors import HwnasError


def listen(application: Any, host: str, port: int) -> None:
    """Answer until the process is asked to end.

    Args:
        application: What answers, by ASGI.
        host: Where it listens.
        port: There.

    Raises:
        HwnasError: Nobody can listen there.
    """
    config = uvicorn.Config(
        application, host=host, port=port, log_level="warning", access_log=False, server_header=False
    )
    try:
        uvicorn.Server(config).run()
    except SystemExit as error:
        raise HwnasError(
            f"a service must be able to listen on {host}:{port}, but cannot: give another --port"
        ) from error
