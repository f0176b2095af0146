"""A device-side ADB daemon for tests: the real wire protocol on loopback, commands in a sandbox.

Speaks CNXN, AUTH (with a real RSA check), OPEN, OKAY, WRTE, CLSE; the services ``shell:`` (output
and errors mixed, no status), ``shell,v2:``, ``exec:`` and ``sync:`` (STAT, LIST, SEND, RECV). No
TLS, no USB. Run as a program: it prints its port on standard output and ends when its standard
input closes.

    python adbd.py --root FOLDER [--key adbkey.pub] [--old] [--quota BYTES] [--cut-after BYTES]...

Commands run with the root as working folder and home and with ``root/bin`` first in their PATH, where
a test puts ``getprop`` and the like. ``--old`` answers like a daemon before Android 7: no shell v2,
packets of 4 KiB, carriage returns in the output. ``--quota`` is the room that pushed files find.
``--cut-after`` closes one connection after each such number of bytes sent on all of them together; more
of them may be written into the file ``root/cuts`` at any time, counted from then on.
"""

from __future__ import annotations

import argparse
import base64
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

MAX_DATA = 256 * 1024
TOKEN, SIGNATURE, PUBLIC_KEY = 1, 2, 3
STDOUT, STDERR, EXIT = 1, 2, 3


class Daemon:
    """What all connections share."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.root: Path = options.root
        self.old: bool = options.old
        self.quota: int | None = options.quota
        self.key = _read_key(options.key) if options.key else None
        self._cuts = sorted(options.cut_after)
        self._sent = 0
        self._lock = threading.Lock()

    def must_cut(self, count: int) -> bool:
        """Whether sending ``count`` more bytes passes the next cut."""
        with self._lock:
            self._sent += count
            with suppress(FileNotFoundError):
                self._cuts = sorted(
                    self._sent + int(word) for word in (self.root / "cuts").read_text().split()
                )
                (self.root / "cuts").unlink()
            if not self._cuts or self._sent < self._cuts[0]:
                return False
            self._cuts.pop(0)
            return True

    def take_room(self, count: int) -> bool:
        """Whether ``count`` more bytes fit."""
        with self._lock:
            if self.quota is None:
                return True
            self.quota -= count
            return self.quota >= 0


def _read_key(path: Path) -> tuple[int, int]:
    """Modulus and exponent of an Android public key file."""
    data = base64.b64decode(path.read_bytes().split()[0])
    return int.from_bytes(data[8:264], "little"), int.from_bytes(data[520:524], "little")


class Connection:
    """One host. Its packets are read by one thread; each stream has one more."""

    def __init__(self, daemon: Daemon, link: socket.socket) -> None:
        self.daemon = daemon
        self.max_data = 4096
        self._link = link
        self._sending = threading.Lock()
        self._streams: dict[int, Stream] = {}
        self._next = 1
        self._allowed = daemon.key is None
        self._token = os.urandom(20)

    def serve(self) -> None:
        """Answer packets until the host is gone."""
        with suppress(EOFError, OSError):
            while True:
                command, first, second, length, *_ = struct.unpack("<4s5I", self._read(24))
                self._handle(command, first, second, self._read(length))
        for stream in list(self._streams.values()):
            stream.hang_up()
        self._link.close()

    def _read(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            chunk = self._link.recv(count - len(data))
            if not chunk:
                raise EOFError
            data += chunk
        return data

    def send(self, command: bytes, first: int, second: int, data: bytes = b"") -> None:
        """Send one packet, or as much of it as fits before a cut."""
        number = int.from_bytes(command, "little")
        head = struct.pack(
            "<6I", number, first, second, len(data), sum(data) & 0xFFFFFFFF, number ^ 0xFFFFFFFF
        )
        with self._sending:
            if self.daemon.must_cut(len(head) + len(data)):
                self._link.sendall((head + data)[: len(data) // 2])
                self._link.shutdown(socket.SHUT_RDWR)
                raise EOFError
            self._link.sendall(head + data)

    def _handle(self, command: bytes, first: int, second: int, data: bytes) -> None:
        if command == b"CNXN":
            self.max_data = 4096 if self.daemon.old else min(second, MAX_DATA)
            self._greet()
        elif command == b"AUTH":
            self._allowed = first == SIGNATURE and self._verify(data)
            if first != PUBLIC_KEY:  # a real phone shows a dialog and is silent meanwhile
                self._greet()
        elif not self._allowed:
            raise EOFError
        elif command == b"OPEN":
            self._open(first, data.rstrip(b"\0").decode())
        elif second in self._streams:
            stream = self._streams[second]
            if command == b"OKAY":
                stream.may_send.set()
            elif command == b"WRTE":
                self.send(b"OKAY", second, first)
                stream.feed(data)
            elif command == b"CLSE":
                del self._streams[second]
                stream.hang_up()
                self.send(b"CLSE", second, first)

    def _greet(self) -> None:
        if not self._allowed:
            self._token = os.urandom(20)
            self.send(b"AUTH", TOKEN, 0, self._token)
            return
        features = "cmd" if self.daemon.old else "shell_v2,cmd"
        banner = (
            f"device::ro.product.name=test;ro.product.model=Test;ro.product.device=test;features={features}"
        )
        self.send(b"CNXN", 0x01000000, 4096 if self.daemon.old else MAX_DATA, banner.encode())

    def _verify(self, signature: bytes) -> bool:
        """RSA PKCS #1 v1.5 over the token, which stands for its own SHA-1."""
        if self.daemon.key is None or len(signature) != 256:
            return False
        modulus, exponent = self.daemon.key
        plain = pow(int.from_bytes(signature, "big"), exponent, modulus).to_bytes(256, "big")
        sha1 = bytes.fromhex("3021300906052b0e03021a05000414")
        padding = b"\0\1" + b"\xff" * (256 - 3 - len(sha1) - 20) + b"\0"
        return plain == padding + sha1 + self._token

    def _open(self, remote: int, service: str) -> None:
        kind, _, rest = service.partition(":")
        name, *arguments = kind.split(",")
        version2 = "v2" in arguments
        stream = Stream(self, self._next, remote)
        work: Callable[[], None]
        if name == "shell" and not (version2 and self.daemon.old):
            work = lambda: stream.run_shell(rest, version2)  # noqa: E731
        elif name == "exec" and not self.daemon.old:
            work = lambda: stream.run_shell(rest, False)  # noqa: E731
        elif name == "sync":
            work = stream.run_sync
        else:
            self.send(b"CLSE", 0, remote)
            return
        self._streams[self._next] = stream
        self._next += 1
        self.send(b"OKAY", stream.local, remote)
        threading.Thread(target=stream.guard, args=(work,), daemon=True).start()

    def drop(self, stream: Stream) -> None:
        """Close a stream from this side."""
        if self._streams.pop(stream.local, None):
            self.send(b"CLSE", stream.local, stream.remote)


class Stream:
    """One service in use."""

    def __init__(self, connection: Connection, local: int, remote: int) -> None:
        self.local, self.remote = local, remote
        self.may_send = threading.Event()
        self.may_send.set()
        self._connection = connection
        self._input = b""
        self._arrived = threading.Condition()
        self._over = False
        self._process: subprocess.Popen[bytes] | None = None

    def guard(self, work: Callable[[], None]) -> None:
        """Do the work; close the stream when it is done, unless the host is gone."""
        with suppress(EOFError, OSError):
            work()
            self._connection.drop(self)

    def feed(self, data: bytes) -> None:
        with self._arrived:
            self._input += data
            self._arrived.notify()

    def hang_up(self) -> None:
        """The host is gone: what runs for it gets SIGHUP, as on a phone."""
        with self._arrived:
            self._over = True
            self._arrived.notify()
        self.may_send.set()
        if self._process and self._process.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGHUP)

    def _take(self, count: int) -> bytes:
        with self._arrived:
            while len(self._input) < count:
                if self._over:
                    raise EOFError
                self._arrived.wait()
            data, self._input = self._input[:count], self._input[count:]
            return data

    def _write(self, data: bytes) -> None:
        """One packet at a time: each waits for the host's OKAY to the one before."""
        step = self._connection.max_data
        for start in range(0, len(data), step):
            self.may_send.wait()
            self.may_send.clear()
            if self._over:
                raise EOFError
            self._connection.send(b"WRTE", self.local, self.remote, data[start : start + step])

    def run_shell(self, line: str, version2: bool) -> None:
        root, old = self._connection.daemon.root, self._connection.daemon.old
        self._process = process = subprocess.Popen(
            ["/bin/sh", "-c", line],
            cwd=root,
            env={"PATH": f"{root}/bin:{os.environ['PATH']}", "HOME": str(root)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE if version2 else subprocess.STDOUT,
            start_new_session=True,
        )
        for kind, data in _outputs(process):
            if version2:
                self._write(struct.pack("<BI", kind, len(data)) + data)
            else:
                self._write(data.replace(b"\n", b"\r\n") if old else data)
        status = process.wait()
        if version2:
            self._write(struct.pack("<BIB", EXIT, 1, status if status >= 0 else 128 - status))

    def run_sync(self) -> None:
        while True:
            request, length = struct.unpack("<4sI", self._take(8))
            if request == b"QUIT":
                return
            path = self._take(length).decode()
            {b"STAT": self._stat, b"LIST": self._list, b"RECV": self._receive, b"SEND": self._send}[request](
                path
            )

    def _stat(self, path: str) -> None:
        try:
            found = Path(path).stat()
            values = found.st_mode, found.st_size & 0xFFFFFFFF, int(found.st_mtime)
        except OSError:
            values = 0, 0, 0
        self._write(struct.pack("<4s3I", b"STAT", *values))

    def _list(self, path: str) -> None:
        for entry in sorted(Path(path).iterdir()) if Path(path).is_dir() else []:
            found, name = entry.lstat(), entry.name.encode()
            values = found.st_mode, found.st_size & 0xFFFFFFFF, int(found.st_mtime), len(name)
            self._write(struct.pack("<4s4I", b"DENT", *values) + name)
        self._write(struct.pack("<4s4I", b"DONE", 0, 0, 0, 0))

    def _receive(self, path: str) -> None:
        try:
            content = Path(path).read_bytes()
        except OSError as error:
            self._fail(str(error))
            return
        for start in range(0, len(content), 65536):
            part = content[start : start + 65536]
            self._write(struct.pack("<4sI", b"DATA", len(part)) + part)
        self._write(struct.pack("<4sI", b"DONE", 0))

    def _send(self, target: str) -> None:
        """Take a file; what room is lacking is told after the data, half a file is removed, as on a phone."""
        path, _, mode = target.rpartition(",")
        problem = ""
        try:
            file = Path(path).open("wb")  # noqa: SIM115  (closed below, whatever happens)
        except OSError as error:
            file, problem = Path(os.devnull).open("wb"), f"couldn't create file: {error.strerror}"  # noqa: SIM115
        with file:
            try:
                while True:
                    kind, number = struct.unpack("<4sI", self._take(8))
                    if kind == b"DONE":
                        break
                    data = self._take(number)
                    if self._connection.daemon.take_room(len(data)):
                        file.write(data)
                    else:
                        problem = problem or "write failed: No space left on device"
            except EOFError:
                Path(path).unlink(missing_ok=True)
                raise
        if problem:
            self._fail(problem)
            return
        Path(path).chmod(int(mode) & 0o777)
        os.utime(path, (number, number))
        self._write(struct.pack("<4sI", b"OKAY", 0))

    def _fail(self, message: str) -> None:
        self._write(struct.pack("<4sI", b"FAIL", len(message)) + message.encode())


def _outputs(process: subprocess.Popen[bytes]) -> Iterator[tuple[int, bytes]]:
    """What a process writes, as it comes, with the number of its stream."""
    pipes = {
        pipe.fileno(): kind for pipe, kind in ((process.stdout, STDOUT), (process.stderr, STDERR)) if pipe
    }
    while pipes:
        for handle in select.select(list(pipes), [], [])[0]:
            data = os.read(handle, 65536)
            if data:
                yield pipes[handle], data
            else:
                del pipes[handle]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--key", type=Path)
    parser.add_argument("--old", action="store_true")
    parser.add_argument("--quota", type=int)
    parser.add_argument("--cut-after", type=int, action="append", default=[])
    parser.add_argument("--port", type=int, default=0)
    daemon = Daemon(parser.parse_args())
    listener = socket.create_server(("127.0.0.1", parser.parse_args().port))
    sys.stdout.write(f"{listener.getsockname()[1]}\n")
    sys.stdout.flush()

    def accept() -> None:
        while True:
            link, _ = listener.accept()
            link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=Connection(daemon, link).serve, daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    while sys.stdin.read(1):
        pass


if __name__ == "__main__":
    main()
