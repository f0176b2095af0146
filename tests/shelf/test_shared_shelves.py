"""What several people do to a shelf at once, and what strangers do to its service."""

from __future__ import annotations

import http.client
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from ports import free_port
from test_leases import UNITS, served, until, written

from hwnas import shelf
from hwnas.errors import DeviceError, TransportError
from hwnas.shelf.client import Service
from hwnas.shelf.desk import Desk
from hwnas.shelf.locks import Locks
from hwnas.web import tokens

BORROW = "from hwnas.cli import main; main()", "devices", "borrow"


@pytest.fixture
def file(tmp_path):
    return written(tmp_path / "shelf.toml", UNITS)


def test_what_a_service_gave_out_is_kept_when_it_dies(file):
    now = [1000.0]
    desk = Desk(shelf.read(file), lease_s=2.0, now=lambda: now[0])
    assert desk.take("galaxy", "far away")
    desk.close()  # as if it had been killed: the system lets go of its locks
    near = Locks(shelf.read(file))
    assert near.take("galaxy") is None
    assert [holding.holder for holding in near.holdings()] == ["", "", "far away"]
    until(lambda: near.take("galaxy") is not None)


def test_a_clock_that_is_set_ends_no_lease(file):
    wall = [1e9]
    desk = Desk(shelf.read(file), lease_s=60.0, wall=lambda: wall[0])
    granted, _ = desk.take("galaxy", "one")
    wall[0] += 7200
    assert desk.take("galaxy", "two") is None
    assert desk.renew(granted.lease)
    desk.close()


def test_a_shelf_has_one_service(file):
    desk = Desk(shelf.read(file))
    with pytest.raises(DeviceError, match="must have one service, but another one gives out"):
        Desk(shelf.read(file))
    desk.close()
    Desk(shelf.read(file)).close()


def test_a_shelf_is_one_by_whatever_link_it_is_reached(file, tmp_path):
    (tmp_path / "other").mkdir()
    link = tmp_path / "other" / "mine.toml"
    link.symlink_to(file)
    lease = Locks(shelf.read(file)).take("galaxy")
    assert Locks(shelf.read(link)).take("galaxy") is None
    lease.give_back()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("127.0.0.1:5555", "localhost:5555"),
        ("192.0.2.7", "192.0.2.7:5555"),
        ("Board.local:5555", "board.LOCAL:5555"),
        ("pi@Board", "pi@board"),
    ],
)
def test_one_unit_that_is_spelled_in_two_ways_is_one(tmp_path, one, other):
    path = written(tmp_path / "shelf.toml", [("pixel", one), ("pixel", other)])
    with pytest.raises(DeviceError, match="must stand on a shelf once"):
        shelf.read(path)


def test_several_that_only_look_alike_are_several(tmp_path):
    units = [("pixel", "192.0.2.7:5555"), ("pixel", "192.0.2.7:5556"), ("pixel", "R58"), ("pixel", "a@b")]
    assert len(shelf.read(written(tmp_path / "shelf.toml", units)).units) == 4


def test_who_may_write_beside_the_shelf_has_leases(tmp_path):
    tmp_path.chmod(0o1777)
    read = shelf.read(written(tmp_path / "shelf.toml", UNITS))
    Locks(read).take("galaxy").give_back()
    assert stat.S_IMODE(read.folder.stat().st_mode) == 0o1777


@pytest.mark.parametrize("address", ["http://[::1", "http://127.0.0.1:99999", "http://127.0.0.1:x"])
def test_an_address_that_is_none_is_a_sentence(tmp_path, address):
    path = tmp_path / "far.toml"
    path.write_text(f'service = "{address}"\ntoken_file = "token"\n')
    with pytest.raises(DeviceError, match="must be http://HOST:PORT"):
        shelf.read(path)


class _Elsewhere(BaseHTTPRequestHandler):
    """Sends everybody to its second self, and remembers what it was shown."""

    def do_GET(self):
        self.server.seen.append((self.path, self.headers.get("Authorization")))
        self.send_response(302)
        self.send_header("Location", f"http://localhost:{self.server.server_port}/stolen")
        self.end_headers()

    def log_message(self, *_):
        pass


def test_the_token_goes_to_the_service_alone(monkeypatch):
    server = HTTPServer(("127.0.0.1", 0), _Elsewhere)
    server.seen = []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        address = f"http://127.0.0.1:{server.server_port}"
        with pytest.raises(TransportError, match=r"status 302"):
            Service(address, "secret").holdings()
        assert server.seen == [("/units", "Bearer secret")]
        monkeypatch.setenv("http_proxy", address)
        with pytest.raises(TransportError, match="must answer, but"):
            Service(f"http://127.0.0.1:{free_port()}", "secret").holdings()
        assert len(server.seen) == 1, "no proxy is asked for this machine"
    finally:
        server.shutdown()
        server.server_close()


def asked(address, method, path, body=b"", **headers):
    connection = http.client.HTTPConnection(address.removeprefix("http://"), timeout=20)
    try:
        connection.request(method, path, body, headers)
        return connection.getresponse().status
    finally:
        connection.close()


def test_a_service_reads_nothing_of_strangers_and_little_of_others(file, tmp_path):
    token_file = tmp_path / "token"
    with served(file, token_file) as (address, process):
        host, port = address.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), 20) as stranger:  # much is to come, nobody waits
            stranger.sendall(b"POST /leases HTTP/1.1\r\nHost: x\r\nContent-Length: 200000000\r\n\r\n")
            assert stranger.recv(100).startswith(b"HTTP/1.1 401")
        known = {"Authorization": f"Bearer {tokens.read(token_file)}", "Content-Type": "application/json"}
        assert asked(address, "POST", "/leases", b"x" * 5000, **known) == 413
        odd = b'{"device": "galaxy", "holder": "\\ud800"}'
        assert asked(address, "POST", "/leases", odd, **known) == 422
        whole = b'{"device": "galaxy", "holder": "one"}'
        assert asked(address, "POST", "/leases", whole, **known) == 200
        assert asked(address, "DELETE", "/leases/%C3%A9", **known) == 200
        process.terminate()
        assert process.wait(20) == 128 + signal.SIGTERM, "it was ended, and nothing was wrong with the port"


def test_a_port_that_is_taken_is_told_before_anything_else(file, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        words = ["devices", "serve", str(file), "--token-file", str(tmp_path / "t"), "--port", str(port)]
        done = subprocess.run([sys.executable, "-c", BORROW[0], *words], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stdout == ""
    assert f"must be able to listen on 127.0.0.1:{port}, but cannot (Address already in use)" in done.stderr


def borrowing(file, *command):
    words = [sys.executable, "-c", *BORROW, str(file), "--device", "galaxy", "--", *command]
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.skipif(sys.platform != "linux", reason="Linux alone ends a command with who started it")
def test_a_borrowed_command_ends_with_a_borrower_that_is_killed(file, tmp_path):
    mark = tmp_path / "mark"
    process = borrowing(file, "sh", "-c", f"echo $$ > {mark}; exec sleep 60")
    until(lambda: mark.exists() and mark.read_text().strip())
    process.kill()
    process.communicate()
    until(lambda: not alive(int(mark.read_text())))


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_borrower_that_is_ended_lets_its_command_end(file, tmp_path):
    mark, cleaned = tmp_path / "mark", tmp_path / "cleaned"
    program = (
        "import signal, sys, time, pathlib\n"
        f"signal.signal(15, lambda *_: (pathlib.Path({str(cleaned)!r}).touch(), sys.exit(0)))\n"
        f"pathlib.Path({str(mark)!r}).touch(); time.sleep(60)"
    )
    process = borrowing(file, sys.executable, "-c", program)
    until(mark.exists)
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 128 + signal.SIGTERM
    assert cleaned.exists()
    assert time.monotonic() - began < 10
    process.communicate()


def test_a_command_that_a_signal_ended_exits_as_shells_say(file):
    process = borrowing(file, "sh", "-c", "kill -9 $$")
    process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGKILL
