"""The program ``hwnas serve``, started by tests, and a client that can ask it for anything."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPMessage

from ports import free_port


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: HTTPMessage
    text: str


@dataclass(frozen=True)
class Served:
    """A service that runs."""

    port: int
    token: str
    process: subprocess.Popen

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}/?token={self.token}"

    def ask(
        self, path: str, *, method: str = "GET", host: str | None = "", cookie: str | None = None
    ) -> Answer:
        """One question as it stands; with the cookie of who has shown the token, unless another is given."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.putrequest(method, path, skip_host=True)
            if host is not None:
                connection.putheader("Host", host or f"127.0.0.1:{self.port}")
            shown = f"hwnas-{self.port}={self.token}" if cookie is None else cookie
            if shown:
                connection.putheader("Cookie", shown)
            connection.endheaders()
            answer = connection.getresponse()
            return Answer(answer.status, answer.headers, answer.read().decode())
        finally:
            connection.close()


@contextmanager
def serve(*words: object, host: str = "127.0.0.1") -> Iterator[Served]:
    """The program with these folders and options."""
    port = free_port()
    command = [sys.executable, "-m", "hwnas", "serve", *map(str, words), "--port", str(port), "--host", host]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        printed = process.stdout.readline().strip()
        assert printed.startswith(f"http://{host}:{port}/?token="), printed
        service = Served(port, printed.rpartition("=")[2], process)
        deadline = time.monotonic() + 30
        while not _answers(service):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        yield service
    finally:
        process.kill()
        process.communicate()


def _answers(service: Served) -> bool:
    try:
        return service.ask("/", cookie="none=").status == 401
    except OSError:
        return False
