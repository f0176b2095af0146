"""The service of a shelf over HTTP: JSON in and out, and nothing without the token.

It speaks plain HTTP and listens on loopback unless told otherwise: over a network, put a reverse proxy with
TLS before it. This module needs the extra ``shelf``.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Any

from fastapi import Body, FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response

from hwnas.shelf.desk import Desk
from hwnas.web import tokens
from hwnas.web.listening import listen

Word = Annotated[str, Body(max_length=200)]
_LONGEST = 4096  # bytes of what is asked


def application(desk: Desk, token: str) -> FastAPI:
    """The service as an ASGI application."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)

    @app.exception_handler(RequestValidationError)
    async def odd(*_: object) -> Response:  # what was asked is not repeated: it may be no text
        return JSONResponse({"detail": "a device and a holder must be asked for, in words"}, 422)

    @app.middleware("http")
    async def guard(request: Request, call: Callable[[Request], Awaitable[Response]]) -> Response:
        return _refused(request, token) or await call(request)

    @app.get("/units")
    def units() -> list[dict[str, str]]:
        return [
            {"device": h.unit.device, "serial": h.unit.serial, "holder": h.holder} for h in desk.holdings()
        ]

    @app.post("/leases")
    def take(device: Word, holder: Word) -> dict[str, Any]:
        found = desk.take(device, holder)
        if found is None:
            raise HTTPException(409, "no unit of that device is free")
        granted, unit = found
        return {"lease": granted.lease, "device": unit.device, "serial": unit.serial, "lease_s": desk.lease_s}

    @app.put("/leases/{lease}")
    def renew(lease: str) -> dict[str, float]:
        if not desk.renew(lease):
            raise HTTPException(404, "that lease is over")
        return {"lease_s": desk.lease_s}

    @app.delete("/leases/{lease}")
    def give_back(lease: str) -> dict[str, bool]:
        return {"was_held": desk.give_back(lease)}

    return app


def _refused(request: Request, token: str) -> Response | None:
    """What is answered before anything of a body is read; None where it is to be looked at."""
    if not tokens.is_same(request.headers.get("authorization", ""), f"Bearer {token}"):
        return JSONResponse({"detail": "the token of this service must be shown"}, 401)
    length = request.headers.get("content-length", "0")
    if "transfer-encoding" in request.headers or not length.isdecimal() or int(length) > _LONGEST:
        return JSONResponse({"detail": f"a question must be of a known length up to {_LONGEST} bytes"}, 413)
    return None


def serve(desk: Desk, token: str, host: str, port: int, ready: Callable[[], object] = lambda: None) -> None:
    """Answer until the process is asked to end; see ``listen`` for ``ready``.

    Raises:
        HwnasError: Nobody can listen there.
    """
    try:
        listen(application(desk, token), host, port, ready)
    finally:
        desk.close()
