"""A socket for adb-shell that sends at once and whole, and says at once when the other side is gone.

The one that comes with adb-shell 0.4 waits for delayed acknowledgements (44 ms a packet), may send
half a packet, and spins on a closed connection until its time is up.
"""

from __future__ import annotations

import socket
from contextlib import suppress

from adb_shell.exceptions import TcpTimeoutException
from adb_shell.transport.base_transport import BaseTransport

_CONNECT_S = 5.0
_KEEP_ALIVE = {"TCP_KEEPIDLE": 5, "TCP_KEEPINTVL": 2, "TCP_KEEPCNT": 3}


class AdbSocket(BaseTransport):  # type: ignore[misc]
    """A connection to one adb daemon.

    Args:
        host: Name or address.
        port: TCP port.
    """

    def __init__(self, host: str, port: int) -> None:
        self._address = (host, port)
        self._socket: socket.socket | None = None

    def connect(self, timeout_s: float | None) -> None:
        """Connect; raises OSError."""
        opened = socket.create_connection(self._address, timeout=timeout_s or _CONNECT_S)
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in _KEEP_ALIVE.items():
            if hasattr(socket, name):
                opened.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
        self._socket = opened

    def close(self) -> None:
        """Close; may be called twice."""
        opened, self._socket = self._socket, None
        if opened is not None:
            with suppress(OSError):
                opened.shutdown(socket.SHUT_RDWR)
            opened.close()

    def bulk_read(self, count: int, timeout_s: float | None) -> bytes:
        """Up to ``count`` bytes, at least one; raises ConnectionError or TcpTimeoutException."""
        try:
            data = self._opened(timeout_s).recv(count)
        except TimeoutError as error:
            raise TcpTimeoutException(f"nothing came for {timeout_s} s") from error
        if not data:
            raise ConnectionError("the device closed the connection")
        return data

    def bulk_write(self, data: bytes, timeout_s: float | None) -> int:
        """Send everything; raises OSError."""
        self._opened(timeout_s).sendall(data)
        return len(data)

    def _opened(self, timeout_s: float | None) -> socket.socket:
        if self._socket is None:
            raise ConnectionError("the connection is closed")
        self._socket.settimeout(timeout_s)
        return self._socket
