"""Leases from a service: taken by HTTP, and renewed by a thread as long as they are used."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, ProxyHandler, Request, build_opener

from hwnas.errors import TransportError
from hwnas.shelf.file import Unit
from hwnas.shelf.leasing import Holding, own_name
from hwnas.web import LOOPBACK

_ANSWER_S = 10.0  # the longest that an answer takes
_RENEWED = 4  # times within the length of a lease that it is renewed
_TRUSTED = 0.75  # part of it after which one that could not be renewed is given up, before the service does


class _NoRedirect(HTTPRedirectHandler):
    """Goes nowhere else: the token is for the service alone."""

    def redirect_request(self, *_: Any) -> None:
        """Refuse: where it leads to is an error like any other odd answer."""


class Service:
    """Gives out the units of a service: ``leasing.Leases``.

    Args:
        address: ``http://HOST:PORT``.
        token: What it is shown.
    """

    def __init__(self, address: str, token: str) -> None:
        self._address, self._token = address, token
        is_here = urlsplit(address).hostname in LOOPBACK
        self._opener = build_opener(_NoRedirect, *([ProxyHandler({})] if is_here else ()))

    def take(self, device: str) -> ServiceLease | None:
        """As of ``Leases``."""
        asked = time.monotonic()
        status, found = self.ask("POST", "/leases", {"device": device, "holder": own_name()})
        if status == 409:
            return None
        try:
            unit = Unit(str(found["device"]), str(found["serial"]))
            return ServiceLease(self, str(found["lease"]), unit, float(found["lease_s"]), asked)
        except (KeyError, TypeError, ValueError) as error:
            raise self._odd(status) from error

    def holdings(self) -> list[Holding]:
        """As of ``Leases``."""
        status, found = self.ask("GET", "/units")
        try:
            return [Holding(Unit(item["device"], item["serial"]), item["holder"]) for item in found]
        except (KeyError, TypeError) as error:
            raise self._odd(status) from error

    def ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> tuple[int, Any]:
        """Status and JSON of an answer.

        Raises:
            TransportError: There is none, or the service does not know the token.
        """
        request = Request(  # noqa: S310  (``file`` lets http and https through)
            self._address + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"},
        )
        try:
            with self._opener.open(request, timeout=_ANSWER_S) as answer:
                return answer.status, json.load(answer)
        except HTTPError as error:
            with error:
                if error.code in (404, 409):
                    return error.code, None
            if error.code == 401:
                raise TransportError(
                    f"the service of a shelf must know the token, but {self._address} does not: give the "
                    "token file that it was started with"
                ).see("guides/shelf.md") from error
            raise self._odd(error.code) from error
        except (URLError, HTTPException, OSError, ValueError) as error:
            raise TransportError(
                f"the service of a shelf must answer, but {self._address} does not: {error}: see whether "
                "the command devices serve runs there"
            ).see("guides/shelf.md") from error

    def _odd(self, status: int) -> TransportError:
        return TransportError(
            f"the service of a shelf must answer as this version of hwnas does, but {self._address} did not "
            f"(status {status}): see what listens there"
        )


class ServiceLease:
    """A unit of a service that is renewed in the background: ``leasing.Lease``.

    It counts as lost before the service takes it back, so that two never have it at once.
    """

    def __init__(self, service: Service, lease: str, unit: Unit, lease_s: float, asked: float) -> None:
        self.unit = unit
        self._service, self._lease, self._lease_s = service, lease, lease_s
        self._trusted_until = asked + _TRUSTED * lease_s
        self._ended = threading.Event()
        threading.Thread(target=self._renew, daemon=True).start()

    @property
    def is_held(self) -> bool:
        """As of ``Lease``."""
        if time.monotonic() >= self._trusted_until:
            self._ended.set()
        return not self._ended.is_set()

    def give_back(self) -> None:
        """As of ``Lease``; where the service does not answer, it takes it back by itself."""
        if not self._ended.is_set():
            self._ended.set()
            try:
                self._service.ask("DELETE", f"/leases/{self._lease}")
            except TransportError:
                return

    def _renew(self) -> None:
        while not self._ended.wait(self._lease_s / _RENEWED):
            asked = time.monotonic()
            if not self.is_held:
                return
            try:
                status, _ = self._service.ask("PUT", f"/leases/{self._lease}")
            except TransportError:
                continue  # it is tried again as long as it is ours
            if status == 404:
                self._ended.set()
                return
            self._trusted_until = asked + _TRUSTED * self._lease_s
