"""Fixtures: test phones, both back ends of ADB, and the agent built for this machine."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import programs
import pytest
from brittle import BrittleLink
from ports import free_port
from testphone import REPOSITORY, Phone, build_cross

from hwnas import files
from hwnas.transport import _bundle


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keys, caches and locks of these tests are their own."""
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    for name in ("config", "data"):
        monkeypatch.setattr(files, f"user_{name}", lambda name=name: folder / name)
    return folder


@pytest.fixture
def new_phone(tmp_path: Path) -> Iterator[Callable[..., Phone]]:
    """Makes phones; each starts with the daemon's arguments that it is given."""
    phones: list[Phone] = []

    def make(*arguments: str, start: bool = True) -> Phone:
        phone = Phone(tmp_path / f"phone{len(phones)}")
        phones.append(phone)
        return phone.start(*arguments) if start else phone

    yield make
    for phone in phones:
        phone.stop()


@pytest.fixture
def brittle() -> Iterator[Callable[..., BrittleLink]]:
    """Makes links to a port on loopback that break after every so many bytes."""
    links: list[BrittleLink] = []

    def make(port: int, bytes_a_cut: int | None = None) -> BrittleLink:
        links.append(BrittleLink(port, bytes_a_cut))
        return links[-1]

    yield make
    for link in links:
        link.close()


@pytest.fixture
def tcp() -> None:
    """Skips where the package adb-shell is not there."""
    pytest.importorskip("adb_shell", reason="the package adb-shell is not installed")


@pytest.fixture(scope="session")
def _adb_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """An adb server of these tests' own, on another port; skips where there is no adb program."""
    program = programs.need("adb")
    own = {"ANDROID_ADB_SERVER_PORT": str(free_port()), "HOME": str(tmp_path_factory.mktemp("adb"))}
    environment = os.environ | own
    subprocess.run([program, "start-server"], env=environment, capture_output=True, timeout=30, check=True)
    yield own
    subprocess.run([program, "kill-server"], env=environment, capture_output=True, timeout=30, check=False)


@pytest.fixture
def adb(monkeypatch: pytest.MonkeyPatch, home: Path, _adb_server: dict[str, str]) -> None:
    """The adb program with that server."""
    for name, value in _adb_server.items():
        monkeypatch.setenv(name, value)


@pytest.fixture(params=["tcp", "adb"])
def back_end(request: pytest.FixtureRequest) -> str:
    """Both back ends, each where it can be."""
    request.getfixturevalue(request.param)
    return str(request.param)


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A user's cache that is made once for all these tests."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def cross_archive(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The bundle of an architecture with its own loader and libraries, built once for all these tests."""
    folder = tmp_path_factory.mktemp("cross")

    def build(arch: str) -> Path:
        archive = folder / f"litert-{arch}.tar.xz"
        return archive if archive.exists() else build_cross(arch, folder)

    return build


def _built(folder: Path, *words: str) -> Path:
    """The agent for this machine, built by the tool; skips where there is no C compiler."""
    programs.need("cc", "gcc", "clang")
    builder = str(REPOSITORY / "tools" / "build_agent.py")
    done = subprocess.run(
        [sys.executable, builder, "native", *words, "--out", str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return Path(done.stdout.strip())


@pytest.fixture(scope="session")
def native_bundle(cache: Path) -> Path:
    """The archive of the agent for this machine."""
    return _built(cache / "bundles")


@pytest.fixture(scope="session")
def gpu_bundle(cache: Path) -> Path:
    """The archive of the one for its GPU."""
    return _built(cache / "bundles", "--gpu")


@pytest.fixture
def bundle(cache: Path, native_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> _bundle.Bundle:
    """The bundle for test phones, found where users have it."""
    monkeypatch.setattr(files, "user_cache", lambda: cache)
    return _bundle.find("litert", _bundle.ARCHITECTURES[os.uname().machine])
