"""The service of a shelf over HTTP: JSON in and out, and nothing without the token.

It speaks plain HTTP and listens on loopback unless told otherwise: over a network, put a reverse proxy with
TLS before it. This module needs the extra ``shelf``.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Body, Depends, FastAPI, HTTPException, Request

from hwnas.shelf.desk import Desk
from hwnas.web import tokens
from hwnas.web.listening import listen

Word = Annotated[str, Body(max_length=200)]


def application(desk: Desk, token: str) -> FastAPI:
    """The service as an ASGI application."""

    def require_token(request: Request) -> None:
        shown = request.headers.get("authorization", "")
        if not tokens.is_same(shown, f"Bearer {token}"):
            raise HTTPException(401, "the token of this service must be shown")

    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None, dependencies=[Depends(require_token)])

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


def serve(desk: Desk, token: str, host: str, port: int) -> None:
    """Answer until the process is asked to end.

    Raises:
        HwnasError: Nobody can listen there.
    """
    try:
        listen(application(desk, token), host, port)
    finally:
        desk.close()
