"""Listening until the process is asked to end. This module needs the extra ``serve``."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from typing import Any

import uvicorn

from hwnas.errors import HwnasError


def listen(application: Any, host: str, port: int, ready: Callable[[], object]) -> None:
    """Answer until the process is asked to end.

    Args:
        application: What answers, by ASGI.
        host: Where it listens.
        port: There.
        ready: Called once nobody else can listen there any more.

    Raises:
        HwnasError: Nobody can listen there.
    """
    config = uvicorn.Config(application, log_level="warning", access_log=False, server_header=False)
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        there = socket.create_server((host, port), family=family)
    except OSError as error:
        raise HwnasError(
            f"a service must be able to listen on {host}:{port}, but cannot ({_why(error)}): "
            "give another --port"
        ) from error
    with there:
        ready()
        uvicorn.Server(config).run(sockets=[there])


def _why(error: OSError) -> str:
    number = error.errno or 0  # below 0 for names that lead nowhere
    return os.strerror(number) if number > 0 else str(error)
