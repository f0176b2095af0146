"""Who has a unit of a shelf: nobody else gets it, and it is never lost with its holder."""

from __future__ import annotations

import itertools
import json
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from ports import free_port
from typer.testing import CliRunner

from hwnas import shelf
from hwnas.cli import app
from hwnas.errors import DeviceError, HwnasError, TransportError
from hwnas.shelf.client import Service
from hwnas.shelf.desk import Desk
from hwnas.shelf.leasing import own_name, require_held
from hwnas.shelf.locks import Locks
from hwnas.web import tokens

UNITS = [("pixel", "192.0.2.1:5555"), ("pixel", "192.0.2.2:5555"), ("galaxy", "R58N")]


@pytest.fixture
def file(tmp_path):
    return written(tmp_path / "shelf.toml", UNITS)


def written(path, units):
    path.write_text(
        "".join(f'[[unit]]\ndevice = "{device}"\nserial = "{serial}"\n' for device, serial in units)
    )
    return path


def test_a_shelf_is_read(file, tmp_path):
    read = shelf.read(file)
    assert [(unit.device, unit.serial) for unit in read.units] == UNITS
    assert len({unit.id for unit in read.units}) == 3
    assert not any(serial in unit.id for unit in read.units for _, serial in UNITS)
    far = tmp_path / "far.toml"
    far.write_text('service = "http://127.0.0.1:8750/"\ntoken_file = "token"\n')
    assert shelf.read(far).service == "http://127.0.0.1:8750"
    assert shelf.read(far).token_file == tmp_path / "token"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[[unit]", "must be described by readable TOML"),
        ("", "nothing instead of"),
        ("unit = []", "must hold at least one unit"),
        ('[[unit]]\ndevice = "pixel"', "serial"),
        ('[[unit]]\ndevice = "pixel"\nserial = ""', "with a serial number or an address"),
        ('[[unit]]\ndevice = "host"\nserial = "x"', "must be a phone or a board"),
        ('[[unit]]\ndevice = "nokia"\nserial = "x"', "but .* has 'nokia': describe it"),
        ('[[unit]]\ndevice = "pixel"\nserial = "x"\n' * 2, "has x twice"),
        ('[[unit]]\ndevice = "pixel"\nserial = "x"\ncolour = "red"', "colour"),
        ('service = "ftp://host"\ntoken_file = "t"', "must be http://HOST:PORT"),
        ('service = "http://me:secret@host"\ntoken_file = "t"', "must be http://HOST:PORT"),
        ('service = "http://host"', "token_file"),
    ],
)
def test_what_is_no_shelf_is_refused(tmp_path, text, said):
    path = tmp_path / "shelf.toml"
    path.write_text(text)
    with pytest.raises(DeviceError, match=said):
        shelf.read(path)


def test_a_shelf_that_is_not_there_is_said(tmp_path):
    with pytest.raises(DeviceError, match=r"shelf.toml cannot be read: No such file or directory$"):
        shelf.read(tmp_path / "shelf.toml")


def test_a_unit_that_is_taken_is_taken_until_it_is_given_back(file):
    one, two = (Locks(shelf.read(file)) for _ in range(2))
    first, second = one.take("pixel"), two.take("pixel")
    assert {first.unit.serial, second.unit.serial} == {"192.0.2.1:5555", "192.0.2.2:5555"}
    assert one.take("pixel") is None
    assert [holding.holder for holding in two.holdings()] == [own_name(), own_name(), ""]
    first.give_back()
    first.give_back()
    assert not first.is_held
    with pytest.raises(TransportError, match=r"the lease of pixel 192.0.2.1:5555 was lost"):
        require_held(first)
    third = two.take("pixel")
    assert third.unit == first.unit
    assert third.is_held
    for lease in (second, third):
        lease.give_back()


HOLDER = """
import sys, time
from pathlib import Path
from hwnas import shelf
leases = shelf.opened(shelf.read(Path(sys.argv[1])))
while (lease := leases.take("pixel")) is None:
    time.sleep(0.01)
log = Path(sys.argv[2]) / lease.unit.id
with log.open("a") as file:
    file.write("begin\\n"); file.flush()
    time.sleep(float(sys.argv[3]))
    if lease.is_held:
        file.write("end\\n"); file.flush()
    lease.give_back()
"""


def holder(file, log, seconds):
    return subprocess.Popen([sys.executable, "-c", HOLDER, str(file), str(log), str(seconds)])


def test_the_system_takes_back_what_a_killed_process_had(file, tmp_path):
    process = holder(file, tmp_path, 60)
    locks = Locks(shelf.read(file))
    until(lambda: any(holding.holder for holding in locks.holdings()))
    process.kill()
    process.wait()
    assert [holding.holder for holding in locks.holdings()] == ["", "", ""]
    with shelf.leased(shelf.read(file), "pixel") as leases:
        assert len(leases) == 2


def until(holds, seconds=20.0):
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@contextmanager
def served(file, token_file, port=None, lease_s=60) -> Iterator[tuple[str, subprocess.Popen]]:
    """The service as a program; its address and its process."""
    port = port or free_port()
    program = "from hwnas.cli import main; main()"
    words = ["devices", "serve", str(file), "--token-file", str(token_file), "--port", str(port)]
    words += ["--lease-s", str(lease_s)]
    process = subprocess.Popen([sys.executable, "-c", program, *words], stdout=subprocess.PIPE, text=True)
    try:
        assert "3 units are given out" in process.stdout.readline()
        address = f"http://127.0.0.1:{port}"
        until(token_file.exists)
        until(lambda: answers(address, token_file))
        yield address, process
    finally:
        process.kill()
        process.communicate()


def answers(address, token_file):
    try:
        return bool(Service(address, tokens.read(token_file)).holdings())
    except TransportError:
        return False


def test_a_service_gives_out_the_same_units_and_keeps_the_users_of_the_file_off(file, tmp_path):
    token_file = tmp_path / "token"
    far = tmp_path / "far.toml"
    with served(file, token_file) as (address, process):
        assert stat.S_IMODE(token_file.stat().st_mode) == 0o600
        assert len(tokens.read(token_file)) > 30
        far.write_text(f'service = "{address}"\ntoken_file = "token"\n')
        near = Locks(shelf.read(file))
        own = near.take("pixel")
        with shelf.leased(shelf.read(far), "pixel") as leases:
            assert [lease.unit.serial for lease in leases] == ["192.0.2.2:5555"]
            assert near.take("pixel") is None, "the service holds the lock of what it gave out"
            listed = CliRunner().invoke(app, ["devices", "shelf", str(far), "--json"])
            assert [bool(item["holder"]) for item in json.loads(listed.output)] == [True, True, False]
            with (
                pytest.raises(TransportError, match="all are in use"),
                shelf.leased(shelf.read(far), "pixel"),
            ):
                pass
        again = near.take("pixel")
        assert again.unit.serial == "192.0.2.2:5555", "it was given back"
        own.give_back()
        leases = shelf.opened(shelf.read(far))
        kept = leases.take("pixel")
        process.kill()  # and started again on the same port, it knows what it gave out
        process.wait()
        with served(file, token_file, int(address.rpartition(":")[2])):
            assert kept.is_held
            assert leases.take("pixel") is None
            kept.give_back()
            assert leases.take("pixel").unit == kept.unit
    assert "lease" in (shelf.read(file).folder / "service.json").read_text()
    assert stat.S_IMODE((shelf.read(file).folder / "service.json").stat().st_mode) == 0o600


def test_without_the_token_there_is_no_answer(file, tmp_path):
    from urllib.error import HTTPError
    from urllib.request import Request, urlopen

    token_file, wrong = tmp_path / "token", tmp_path / "wrong"
    with served(file, token_file) as (address, _):
        shown = [
            {},
            *({"Authorization": word} for word in ("Bearer ", "Bearer wrong", tokens.read(token_file))),
        ]
        ways = [("GET", "/units"), ("POST", "/leases"), ("PUT", "/leases/x"), ("DELETE", "/leases/x")]
        for headers, (method, path) in itertools.product(shown, ways):
            with pytest.raises(HTTPError) as refused:
                urlopen(Request(address + path, method=method, headers=headers, data=b"{}"), timeout=10)
            assert refused.value.code == 401
            refused.value.close()
        for path in ("/docs", "/openapi.json", "/"):
            with pytest.raises(HTTPError) as refused:
                urlopen(address + path, timeout=10)
            assert refused.value.code in (401, 404)
            refused.value.close()
        wrong.write_text("wrong\n")
        wrong.chmod(0o600)
        with pytest.raises(TransportError, match="must know the token"):
            Service(address, tokens.read(wrong)).take("pixel")
    with pytest.raises(TransportError, match="the service of a shelf must answer, but"):
        Service(address, "x").holdings()


@pytest.mark.parametrize("content", ["", "two words", "tökén", "\x01"])
def test_a_token_that_is_none_is_refused(tmp_path, content):
    path = tmp_path / "token"
    path.write_text(content)
    path.chmod(0o600)
    with pytest.raises(HwnasError, match="must be one word"):
        tokens.read(path)


def test_a_token_that_others_can_read_is_refused(tmp_path):
    path = tmp_path / "token"
    with pytest.raises(HwnasError, match="must be readable, but"):
        tokens.read(path)
    path.write_text("secret")
    path.chmod(0o644)
    with pytest.raises(HwnasError, match="run `chmod 600"):
        tokens.read(path)


def test_a_lease_that_nobody_renews_ends(file):
    now = [1000.0]
    desk = Desk(shelf.read(file), lease_s=60.0, now=lambda: now[0])
    granted, unit = desk.take("pixel", "one")
    desk.take("pixel", "two")
    assert desk.take("pixel", "three") is None
    now[0] += 50
    assert desk.renew(granted.lease)
    now[0] += 50
    assert [holding.holder for holding in desk.holdings()] == ["one", "", ""]
    assert desk.take("pixel", "three")[1] != unit
    now[0] += 61
    assert not desk.renew(granted.lease)
    assert not desk.give_back(granted.lease)
    assert not desk.renew("nonsense")
    assert [holding.holder for holding in desk.holdings()] == ["", "", ""]
    desk.close()


def test_what_a_service_wrote_down_and_cannot_be_read_is_named(file):
    Desk(shelf.read(file)).close()
    (shelf.read(file).folder / "service.json").write_text("[{}]")
    with pytest.raises(HwnasError, match=r"service.json must hold what this service gave out"):
        Desk(shelf.read(file))


@pytest.mark.slow
def test_a_borrower_counts_a_lease_as_lost_before_the_service_does(file, tmp_path, monkeypatch):
    """The service is stopped as if the network were gone: nobody has the unit twice."""
    token_file = tmp_path / "token"
    monkeypatch.setattr("hwnas.shelf.client._ANSWER_S", 0.5)
    with served(file, token_file, lease_s=2) as (address, process):
        lease = Service(address, tokens.read(token_file)).take("pixel")
        time.sleep(3)
        assert lease.is_held, "it is renewed"
        process.send_signal(signal.SIGSTOP)
        until(lambda: not lease.is_held)
        process.send_signal(signal.SIGCONT)
        time.sleep(1.5)
        assert not lease.is_held, "what is lost stays lost"


@pytest.mark.slow
def test_many_holders_that_are_killed_never_have_a_unit_twice_nor_lose_it(tmp_path):
    units = [("pixel", f"192.0.2.{n}:5555") for n in range(4)]
    file, log = written(tmp_path / "shelf.toml", units), tmp_path / "log"
    log.mkdir()
    holders = [holder(file, log, 0.05) for _ in range(30)]
    for number, process in enumerate(holders):
        time.sleep(0.05)
        if number % 3 == 0:
            process.kill()
    for process in holders:
        process.wait(60)
    for path in log.iterdir():
        events = path.read_text().split()
        assert all(pair != ("end", "end") for pair in itertools.pairwise(events))
    assert sum(path.read_text().split().count("end") for path in log.iterdir()) == 20
    with shelf.leased(shelf.read(file), "pixel") as leases:
        assert len(leases) == 4
