"""A link that breaks after every so many bytes: a TCP proxy on loopback, before a daemon of ADB or SSH."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress


class BrittleLink:
    """Carries each connection until so many bytes have passed on it, both ways together, and then cuts it.

    Args:
        port: Of the daemon behind it, on loopback.
        bytes_a_cut: What passes on one connection; None is everything.

    Attributes:
        port: Where to connect.
        cuts: How often it broke.
    """

    def __init__(self, port: int, bytes_a_cut: int | None = None) -> None:
        self.bytes_a_cut = bytes_a_cut
        self.cuts = 0
        self._behind = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def address(self) -> str:
        """Where to connect, as a host and a port."""
        return f"127.0.0.1:{self.port}"

    def close(self) -> None:
        """Take no more connections."""
        self._listener.shutdown(socket.SHUT_RDWR)  # wakes the thread, which closes it

    def _accept(self) -> None:
        with self._listener, suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                try:
                    far = socket.create_connection(("127.0.0.1", self._behind))
                except OSError:  # nobody is there
                    near.close()
                else:
                    _Connection(self, near, far)


class _Connection:
    """Two sockets, and one thread for each direction."""

    def __init__(self, link: BrittleLink, near: socket.socket, far: socket.socket) -> None:
        self._link, self._left = link, link.bytes_a_cut
        self._ends = (near, far)
        self._lock = threading.Lock()
        for ends in (self._ends, self._ends[::-1]):
            ends[0].setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self._carry, args=ends, daemon=True).start()

    def _carry(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(1 << 16):
                target.sendall(data[: self._share(len(data))])
                if self._left == 0:
                    break
        for end in self._ends:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        source.close()  # the other thread closes the other one

    def _share(self, count: int) -> int:
        """How much of so many bytes still passes."""
        with self._lock:
            if self._left is None:
                return count
            share = min(count, self._left)
            self._left -= share
            self._link.cuts += share > 0 and self._left == 0
            return share
