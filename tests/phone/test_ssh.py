"""Boards over SSH: the system's ssh against a real sshd on loopback."""

from __future__ import annotations

import getpass
import os
import random
import signal
import subprocess
import threading
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import programs
import pytest
import tinymodels
from ports import free_port
from testphone import REPOSITORY, job

from hwnas import device as devices
from hwnas.device import Device
from hwnas.errors import TransportError, TransportTimeout
from hwnas.transport import connect
from hwnas.transport._detached import Detached
from hwnas.transport._shell import LinkLost, ask_once
from hwnas.transport.doctor import FAILED, OK, examine


class Board:
    """An sshd of this user's own, with keys of its own."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.port = free_port()
        self._daemon: subprocess.Popen[bytes] | None = None
        root.mkdir()
        for name in ("host", "user", "stranger"):
            self.make_key(name)
        (root / "authorized").write_text((root / "user.pub").read_text())
        self.trust("host")
        (root / "sshd_config").write_text(
            f"Port {self.port}\nListenAddress 127.0.0.1\nHostKey {root}/host\nPidFile none\n"
            f"AuthorizedKeysFile {root}/authorized\nStrictModes no\nUsePAM no\n"
            "PasswordAuthentication no\nKbdInteractiveAuthentication no\n"
        )

    def make_key(self, name: str) -> None:
        """A key pair, instead of the one that may be there."""
        for path in (self.root / name, self.root / f"{name}.pub"):
            path.unlink(missing_ok=True)
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self.root / name)]
        subprocess.run(command, check=True, capture_output=True)

    def trust(self, name: str) -> None:
        """The host key that the user has seen and accepted."""
        key = " ".join((self.root / f"{name}.pub").read_text().split()[:2])
        (self.root / "known_hosts").write_text(f"[127.0.0.1]:{self.port} {key}\n")

    def start(self) -> Board:
        """Start the daemon and wait until it listens; skips where it cannot run."""
        if os.geteuid() == 0:  # where no service has ever started it, its empty folder is missing
            with suppress(OSError):
                Path("/run/sshd").mkdir(mode=0o755)
        log = (self.root / "log").open("ab")
        with log:
            self._daemon = subprocess.Popen(
                [programs.need("sshd"), "-D", "-e", "-f", str(self.root / "sshd_config")],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        for _ in range(200):
            if b"Server listening" in (self.root / "log").read_bytes():
                return self
            if self._daemon.poll() is not None:
                programs.missing(f"sshd does not start here: {(self.root / 'log').read_text()[-200:]}")
            time.sleep(0.02)
        raise AssertionError("sshd does not listen")

    def stop(self) -> None:
        """The daemon and its connections die."""
        daemon, self._daemon = self._daemon, None
        if daemon:
            connections = self.connections(daemon.pid)
            daemon.kill()
            daemon.wait()
            (self.root / "log").write_bytes(b"")
            for pid in connections:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    def connections(self, parent: int | None = None) -> list[int]:
        """Processes of the daemon that serve connections; not what runs in them."""
        found, todo = [], [parent or (self._daemon.pid if self._daemon else 0)]
        while todo:
            above = todo.pop()
            for path in Path("/proc").glob("[0-9]*"):
                with suppress(OSError, IndexError):
                    name, _, rest = (path / "stat").read_text().rpartition(")")
                    if int(rest.split()[1]) == above and "(sshd" in name:
                        found.append(int(path.name))
                        todo.append(int(path.name))
        return found

    def cut(self) -> None:
        """All connections die; the daemon goes on listening."""
        for pid in self.connections():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def device(self, key: str = "user", port: int | None = None, **options: object) -> Device:
        """A descriptor that reaches it, on its own port or through another."""
        words = ["-F", "none", "-p", str(port or self.port), "-i", str(self.root / key)]
        words += ["-o", "IdentitiesOnly=yes", "-o", "GlobalKnownHostsFile=none"]
        words += ["-o", f"UserKnownHostsFile={self.root}/known_hosts", "-o", "IdentityAgent=none"]
        words += ["-o", f"HostKeyAlias=[127.0.0.1]:{self.port}"]
        known = {
            "ssh": words,
            "address": f"{getpass.getuser()}@127.0.0.1",
            "folder": str(self.root / "hwnas"),
            "patience_s": 10,
        }
        return Device("testboard", "A board for tests", "ssh", options={**known, **options})


@pytest.fixture
def board(tmp_path):
    made = Board(tmp_path / "board").start()
    yield made
    made.stop()


def no_ssh_is_left(board):
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        left = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
        if not [line for line in left.splitlines() if line.startswith("ssh ") and str(board.root) in line]:
            return True
        time.sleep(0.05)
    return False


def test_commands_and_files(board, tmp_path):
    path = tmp_path / "a file.bin"
    path.write_bytes(bytes(range(256)) * 500 + b"\r\n")
    with connect(board.device()) as transport:
        shell = transport._link.shell
        assert ask_once(shell, "echo hi; echo err >&2; exit 7") == (7, "hi\nerr\n")
        remote = transport.push(path)
        assert Path(remote).read_bytes() == path.read_bytes()
        assert transport.push(path) == remote
        assert transport.sent == {"files": 1, "skipped": 1, "bytes": path.stat().st_size}
        assert transport.describe()["machine"] == os.uname().machine
        assert transport.conditions() == {}, "a board has no battery"
    assert no_ssh_is_left(board)


@pytest.mark.slow
def test_the_agent_runs_on_a_board(board, bundle, tmp_path):
    model = tinymodels.write(tmp_path / "m.tflite")
    with connect(board.device()) as transport:
        remote = transport.push(model)
        hello, answer, bye = transport.run("litert", [job("a", remote)], silence_s=20)
        assert hello["hello"]["runtime_version"] == "2.3.0"
        assert answer["samples_ns"]
        assert bye["bye"]["jobs"] == 1
    assert not list((board.root / "hwnas" / "runs").iterdir())


@pytest.mark.slow
def test_the_preflight(board, bundle):
    checks = {check.name: check for check in examine(board.device())}
    assert {name for name, check in checks.items() if check.state != OK} == {"heat and battery"}
    assert "litert" in checks["agent starts"].found


@pytest.mark.usefixtures("bundle", "gpu_bundle")
@pytest.mark.slow
def test_the_gpu_of_a_board_is_found_by_the_bundle_for_it(board):
    """With a Vulkan loader that is played: what runs is all but the GPU."""
    source = REPOSITORY / "tests" / "agents" / "played_vulkan.c"
    library = board.root / "libvulkan.so.1"
    compiler = programs.need("cc", "gcc", "clang")
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, source], check=True)
    for adapters, state, found in (
        ("V3D 7.1=1,llvmpipe=4", OK, "on V3D 7.1, played 1.2 (there are: V3D 7.1, played 1.2; llvmpipe"),
        ("llvmpipe=4", FAILED, "runs on cpu only: an adapter must be a GPU, but there is only software"),
    ):
        launcher = ["env", f"LD_LIBRARY_PATH={board.root}", f"ADAPTERS={adapters}"]
        checks = {
            check.name: check for check in examine(replace(board.device(launcher=launcher), processor="gpu"))
        }
        assert "-gpu-" in checks["agent's files"].found
        assert checks["agent starts"].state == state
        assert found in checks["agent starts"].found


def test_an_unknown_host_key_is_refused(board):
    (board.root / "known_hosts").write_text("")
    with (
        pytest.raises(
            TransportError, match=rf"connect once with `ssh .*-p {board.port} .*@127.0.0.1` and compare"
        ) as caught,
        connect(board.device()),
    ):
        pass
    assert not isinstance(caught.value, LinkLost)


def test_a_changed_host_key_is_refused(board):
    board.trust("stranger")
    with (
        pytest.raises(TransportError, match=r"host key|HOST IDENTIFICATION|Host key"),
        connect(board.device()),
    ):
        pass


def test_no_option_of_the_descriptor_turns_the_check_off(board):
    (board.root / "known_hosts").write_text("")
    device = board.device()
    words = ["-o", "StrictHostKeyChecking=no", *device.options["ssh"]]
    with (
        pytest.raises(TransportError, match="connect once with"),
        connect(device.with_options(ssh=words)),
    ):
        pass


def test_an_unknown_user_is_refused(board):
    with (
        pytest.raises(TransportError, match=r"Permission denied.*ssh-copy-id") as caught,
        connect(board.device("stranger")),
    ):
        pass
    assert not isinstance(caught.value, LinkLost)
    assert no_ssh_is_left(board)


def test_a_board_that_is_not_there(board):
    board.stop()
    with (
        pytest.raises(TransportError, match="a device must answer within") as caught,
        connect(board.device(patience_s=0.2)),
    ):
        pass
    assert str(caught.value).count("Connection refused") == 1, "what is seen twice is said once"


@pytest.mark.parametrize("address", [None, "-oProxyCommand=evil", "a b", "a;b"])
def test_an_address_that_makes_no_sense_is_refused(board, address):
    with pytest.raises(TransportError, match=r"must have an address|must be user@host"):
        connect(board.device(address=address))


def test_the_shipped_descriptor_asks_for_an_address():
    with pytest.raises(TransportError, match="--serial USER@HOST"):
        connect(devices.load("raspberrypi5"))


@pytest.mark.slow
def test_a_cut_loses_and_doubles_nothing(board):
    with connect(board.device()) as transport:
        run = Detached(transport._link, f"{board.root}/hwnas/runs/one")
        run.start(["sh", "-c", "i=0; while [ $i -lt 60 ]; do i=$((i+1)); echo line $i; sleep 0.03; done"])
        timers = [threading.Timer(delay, board.cut) for delay in (0.4, 1.1)]
        for timer in timers:
            timer.start()
        lines = [line.decode() for line in run.lines(silence_s=30)]
        for timer in timers:
            timer.join()
        assert lines == [f"line {i}" for i in range(1, 61)]
        assert transport.take_losses().count >= 1


@pytest.mark.slow
def test_a_file_goes_on_where_the_link_broke(board, brittle, tmp_path):
    path = tmp_path / "plan"
    path.write_bytes(random.Random(2).randbytes(80_000))
    link = brittle(board.port, 25_000)
    with connect(board.device(port=link.port)) as transport:
        remote = Path(transport.push(path))
        assert remote.read_bytes() == path.read_bytes()
        assert [left.name for left in remote.parent.iterdir()] == [remote.name], "no pieces are left"
        told = transport.take_losses()
    assert link.cuts >= 80_000 // 25_000
    assert 0 < told.count <= link.cuts
    assert told.seconds > 0


def test_a_link_on_which_no_connection_is_made_says_so(board, brittle):
    """Agreeing on keys alone takes more than passes."""
    link = brittle(board.port, 1_000)
    with (
        pytest.raises(TransportError, match=r"must (answer|come back) within 1 s") as caught,
        connect(board.device(port=link.port, patience_s=1)),
    ):
        pass
    assert not isinstance(caught.value, LinkLost)


def test_a_cut_of_a_command_is_no_success(board):
    with connect(board.device()) as transport:
        timer = threading.Timer(0.4, board.cut)
        timer.start()
        began = time.monotonic()
        with pytest.raises(LinkLost):
            ask_once(transport._link.shell, "sleep 100", quiet_s=120)
        assert time.monotonic() - began < 60
        timer.join()


@pytest.mark.slow
def test_a_frozen_link_is_noticed_and_goes_on(board):
    with connect(board.device()) as transport:
        run = Detached(transport._link, f"{board.root}/hwnas/runs/one")
        run.start(["sh", "-c", "i=0; while [ $i -lt 80 ]; do i=$((i+1)); echo line $i; sleep 0.02; done"])
        lines = run.lines(silence_s=60)
        got = [next(lines)]
        stopped = board.connections()
        for pid in stopped:
            os.kill(pid, signal.SIGSTOP)
        try:
            got += lines
        finally:
            for pid in stopped:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        assert [line.decode() for line in got] == [f"line {i}" for i in range(1, 81)]
        assert transport.take_losses().count >= 1


def test_silence_is_noticed(board):
    with connect(board.device()) as transport:
        run = Detached(transport._link, f"{board.root}/hwnas/runs/one")
        run.start(["sleep", "60"])
        with pytest.raises(TransportTimeout):
            list(run.lines(silence_s=0.5))
        run.remove()


def test_a_folder_is_in_the_users_home_unless_it_is_named(board):
    with connect(board.device(folder="")) as transport:
        home = subprocess.run(["sh", "-c", "cd ~; pwd"], capture_output=True, text=True, check=True).stdout
        assert transport.folder.endswith("/.cache/hwnas")
        assert transport.folder.startswith("/")
        assert home
        transport.clean()
