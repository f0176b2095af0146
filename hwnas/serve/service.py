"""The service over HTTP: it only reads, and answers nobody without the token.

It speaks plain HTTP and listens on loopback unless told otherwise: over a network, put a reverse proxy with
TLS before it. This module needs the extra ``serve``.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Annotated, Any
from urllib.parse import urlsplit

from fastapi import FastAPI, HTTPException, Query, Request
from fastapi.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response

from hwnas.errors import HwnasError
from hwnas.report import _page
from hwnas.serve import pages
from hwnas.serve.catalogue import Catalogue
from hwnas.web import LOOPBACK, tokens
from hwnas.web.listening import listen

_EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104  (what an explicit --host may say)
_HEADERS = {
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_TOKEN = "token"  # noqa: S105  (its name in an address)


def application(catalogue: Catalogue, token: str, host: str, port: int) -> FastAPI:
    """The service as an ASGI application.

    Args:
        catalogue: The runs.
        token: What must be shown, in the first address and then by a cookie.
        host: Where it listens; who asks must have called it so.
        port: There.
    """
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    cookie = f"hwnas-{port}"  # cookies of a machine are shared by its ports

    @app.middleware("http")
    async def guard(request: Request, call: Callable[[Request], Awaitable[Response]]) -> Response:
        answer = _refused(request) or await call(request)
        answer.headers.update(_HEADERS)
        return answer

    def _refused(request: Request) -> Response | None:
        """What is answered before anything is looked at; None where it is to be looked at."""
        if not is_called(request.headers.getlist("host"), host):
            return PlainTextResponse("This service is not called so.", 400)
        if request.method != "GET":
            return PlainTextResponse("This service only shows.", 405, {"Allow": "GET"})
        shown = request.query_params.get(_TOKEN)
        if shown is not None and request.url.path == "/" and tokens.is_same(shown, token):
            answer = RedirectResponse("/", 303)
            answer.set_cookie(cookie, token, httponly=True, samesite="strict")
            return answer
        if not tokens.is_same(request.cookies.get(cookie, ""), token):
            return PlainTextResponse("Open the address that was printed when this service began.", 401)
        return None

    @app.get("/")
    def listing() -> Response:
        return _html(pages.listing(catalogue.runs()), pages.live(), *pages.MAY)

    @app.get("/runs.json")
    def runs() -> list[dict[str, Any]]:
        return [asdict(run) | {"address": pages.address(run)} for run in catalogue.runs()]

    @app.get("/run")
    def run(name: str) -> Response:
        return _made(lambda: catalogue.report(name))

    @app.get("/compare")
    def compare(run: Annotated[list[str], Query()] = []) -> Response:  # noqa: B006  (FastAPI copies it)
        if len(set(run)) != 2:
            text = f"two runs must be ticked to be compared, but {len(set(run))} were: go back and tick two"
            return _html(pages.refusal(text), _page.marks(), status=400)
        return _made(lambda: catalogue.compared(*run))

    return app


def serve(
    catalogue: Catalogue, token: str, host: str, port: int, ready: Callable[[], object] = lambda: None
) -> None:
    """Answer until the process is asked to end; see ``application``, and ``listen`` for ``ready``.

    Raises:
        HwnasError: Nobody can listen there.
    """
    listen(application(catalogue, token, host, port), host, port, ready)


def is_called(names: list[str], host: str) -> bool:
    """Whether who asks has called the service by a name of its own: a page elsewhere cannot, by whatever DNS.

    Args:
        names: What stands as host in the question.
        host: Where the service listens.
    """
    try:
        name = urlsplit(f"//{names[0]}").hostname if len(names) == 1 else None
    except ValueError:
        return False
    if name is None:
        return False
    if name in LOOPBACK or name == host.lower():
        return True
    return host in _EVERYWHERE and (_is_address(name) or name == socket.gethostname().lower())


def _is_address(name: str) -> bool:
    """Whether a name is the number of a machine, which no DNS can make into another's."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _made(made: Callable[[], str]) -> Response:
    try:
        return _html(made(), _page.marks())
    except KeyError as error:
        raise HTTPException(404) from error
    except HwnasError as error:
        return _html(pages.refusal(str(error)), _page.marks(), status=422)


def _html(text: str, script: str, *may: str, status: int = 200) -> Response:
    rules = _page.policy(script, *may, "frame-ancestors 'none'")
    return HTMLResponse(text, status, {"Content-Security-Policy": rules})
