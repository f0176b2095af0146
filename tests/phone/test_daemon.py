"""The test daemon itself: two clients that were written by others find a phone in it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest


@pytest.fixture
def content(tmp_path):
    path = tmp_path / "content.bin"
    path.write_bytes(os.urandom(700_001))
    return path


def run_adb(phone, *words, check=True):
    done = subprocess.run(["adb", "-s", phone.serial, *words], capture_output=True, check=False, timeout=60)
    assert not check or done.returncode == 0, done.stderr
    return done


@pytest.fixture(params=[(), ("--old",)], ids=["new", "old"])
def phone(request, new_phone):
    return new_phone(*request.param)


def test_debians_adb(phone, adb, content, tmp_path):
    subprocess.run(["adb", "connect", phone.serial], capture_output=True, check=True)
    old = "--old" in phone._arguments
    run_adb(phone, "push", str(content), f"{phone.root}/there.bin")
    assert (phone.root / "there.bin").read_bytes() == content.read_bytes()
    run_adb(phone, "pull", f"{phone.root}/there.bin", str(tmp_path / "back.bin"))
    assert (tmp_path / "back.bin").read_bytes() == content.read_bytes()
    listed = run_adb(phone, "ls", str(phone.root)).stdout.decode()
    assert "there.bin" in listed
    assert f"{700_001:08x}" in listed
    said = run_adb(phone, "shell", "echo out; echo err >&2; exit 7", check=False)
    assert said.stdout.replace(b"\r\n", b"\n") == (b"out\nerr\n" if old else b"out\n")
    assert said.returncode == (0 if old else 7), "before Android 7 there is no exit status"
    refused = run_adb(phone, "push", str(content), "/proc/nowhere/x", check=False)
    assert refused.returncode != 0
    assert b"couldn't create file" in refused.stdout + refused.stderr
    if not old:
        assert run_adb(phone, "exec-out", "printf 'a\\nb'").stdout == b"a\nb"


def test_adb_shell(phone, tcp, content, tmp_path):
    from adb_shell.adb_device import AdbDeviceTcp

    device = AdbDeviceTcp("127.0.0.1", phone.port, default_transport_timeout_s=10)
    device.connect(auth_timeout_s=1)
    try:
        small = tmp_path / "small.bin"
        small.write_bytes(content.read_bytes()[:30_000])
        device.push(str(small), f"{phone.root}/there.bin", mtime=1_600_000_000)
        assert (phone.root / "there.bin").read_bytes() == small.read_bytes()
        mode, size, time = device.stat(f"{phone.root}/there.bin")
        assert (mode & 0o777, size, time) == (0o770, 30_000, 1_600_000_000)
        device.pull(f"{phone.root}/there.bin", str(tmp_path / "back.bin"))
        assert (tmp_path / "back.bin").read_bytes() == small.read_bytes()
        names = {entry.filename.decode() for entry in device.list(str(phone.root))}
        assert {"bin", "there.bin"} <= names
        assert device.shell("echo hi").replace("\r\n", "\n") == "hi\n"
        assert device.stat("/nowhere") == (0, 0, 0)
    finally:
        device.close()


def test_it_listens_on_loopback_only(new_phone):
    phone = new_phone()
    listening = [
        line.split()[1]
        for table in ("tcp", "tcp6")
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]
        if line.split()[3] == "0A"
    ]
    assert [address for address in listening if address.endswith(f":{phone.port:04X}")] == [
        f"0100007F:{phone.port:04X}"
    ]
