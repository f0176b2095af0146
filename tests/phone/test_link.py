"""Commands and files over links that break: both back ends of ADB against a real daemon."""

from __future__ import annotations

import stat
import subprocess
import threading
import time
from pathlib import Path

import pytest

from hwnas.errors import TransportError
from hwnas.transport import connect
from hwnas.transport._shell import Link, LinkLost, ask_once
from hwnas.transport._store import Store
from hwnas.transport.base import Losses


def shell_of(transport):
    return transport._link.shell


@pytest.fixture
def content(tmp_path):
    path = tmp_path / "content.bin"
    path.write_bytes(bytes(range(256)) * 1200 + b"\r\n\n")
    return path


@pytest.mark.parametrize("arguments", [(), ("--old",)], ids=["new", "old"])
def test_a_command_brings_its_status_and_its_output(new_phone, back_end, arguments):
    with connect(new_phone(*arguments).device(back_end)) as transport:
        shell = shell_of(transport)
        assert ask_once(shell, "echo hi; echo err >&2; exit 7") == (7, "hi\nerr\n")
        assert ask_once(shell, "printf 'no newline'") == (0, "no newline")
        assert ask_once(shell, "cat") == (0, ""), "nothing waits for input"


@pytest.mark.parametrize("arguments", [(), ("--old",)], ids=["new", "old"])
def test_files_arrive_whole_and_only_once(new_phone, back_end, content, arguments):
    phone = new_phone(*arguments)
    with connect(phone.device(back_end)) as transport:
        remote = transport.push(content)
        assert transport.push(content) == remote
        assert transport.sent == {"files": 1, "skipped": 1, "bytes": content.stat().st_size}
        assert Path(remote).read_bytes() == content.read_bytes()
    with connect(phone.device(back_end)) as transport:
        assert transport.push(content) == remote
        assert transport.sent == {"files": 0, "skipped": 1, "bytes": 0}
    assert [path.name for path in Path(remote).parent.iterdir()] == [Path(remote).name], "nothing half-sent"


def test_a_file_that_was_changed_on_the_phone_is_sent_again(new_phone, tcp, content):
    phone = new_phone()
    with connect(phone.device()) as transport:
        remote = Path(transport.push(content))
    remote.write_bytes(b"bad flash")
    with connect(phone.device()) as transport:
        transport.push(content)
        assert transport.sent["files"] == 1
    assert remote.read_bytes() == content.read_bytes()


def test_what_a_broken_push_left_is_removed(new_phone, tcp, content):
    phone = new_phone()
    models = phone.folder / "models"
    models.mkdir(parents=True)
    (models / "half.part").write_bytes(b"half")
    with connect(phone.device()) as transport:
        transport.push(content)
    assert not list(models.glob("*.part"))


def test_a_full_phone_is_an_error_that_says_so(new_phone, back_end, content):
    phone = new_phone("--quota", "1000")
    with connect(phone.device(back_end)) as transport:
        with pytest.raises(TransportError, match=r"No space left on device: free some space") as caught:
            transport.push(content)
        assert not isinstance(caught.value, LinkLost)
        assert ask_once(shell_of(transport), "echo still here")[1] == "still here\n"
    assert not [p for p in (phone.folder / "models").iterdir() if p.suffix != ".part"]


def test_a_file_that_arrives_changed_is_refused(new_phone, tcp, content):
    phone = new_phone()
    phone.command("sha256sum", f'/usr/bin/sha256sum "$@" | sed "s/^./{"g"}/"')
    with (
        connect(phone.device()) as transport,
        pytest.raises(TransportError, match="must arrive as it was sent"),
    ):
        transport.push(content)
    assert not list((phone.folder / "models").iterdir())


def test_a_phone_without_the_programs_says_which(new_phone, tcp, content):
    phone = new_phone()
    phone.command("sha256sum", "exit 127")
    with connect(phone.device()) as transport, pytest.raises(TransportError, match="status 127"):
        transport.push(content)


def test_a_command_whose_link_is_cut_is_no_success(new_phone, back_end):
    """The adb program itself reports success here; the missing marker tells."""
    phone = new_phone()
    with connect(phone.device(back_end)) as transport:
        threading.Timer(0.4, phone.stop).start()
        began = time.monotonic()
        with pytest.raises(LinkLost):
            ask_once(shell_of(transport), "sleep 100", quiet_s=120)
        assert time.monotonic() - began < 60, (
            "0.4 s until the cut, then at once: not when the command is over"
        )


def test_a_command_on_a_frozen_phone_ends_when_it_was_quiet_for_too_long(new_phone, back_end):
    phone = new_phone()
    with connect(phone.device(back_end)) as transport:
        phone.freeze()
        with pytest.raises(LinkLost):
            ask_once(shell_of(transport), "echo hi", quiet_s=0.5)
        phone.thaw()
        transport._link.recover(LinkLost("frozen"))
        assert transport.ask("echo hi") == "hi\n"


def test_a_link_that_comes_back_is_used_again(new_phone, back_end, content):
    phone = new_phone()
    with connect(phone.device(back_end)) as transport:
        phone.stop()
        threading.Timer(0.7, phone.start).start()
        assert transport.ask("echo back") == "back\n"
        assert Path(transport.push(content)).read_bytes() == content.read_bytes()


def test_a_link_that_does_not_come_back_is_an_error(new_phone, back_end):
    phone = new_phone()
    with connect(phone.device(back_end, patience_s=0.5)) as transport:
        phone.stop()
        with pytest.raises(TransportError, match=r"must come back within 0.5 s") as caught:
            transport.ask("true")
        assert not isinstance(caught.value, LinkLost)


def test_an_action_is_not_tried_for_ever():
    class Bad:
        connected = 0

        def connect(self):
            self.connected += 1

        def close(self):
            pass

    def never():
        raise LinkLost("again")

    with pytest.raises(TransportError, match="lost 12 times in a row: again: try another cable"):
        Link(Bad()).persist(never)


def test_pushes_survive_random_cuts(new_phone, tcp, tmp_path):
    """Every file is there once and whole, however often the link broke."""
    import random

    rng = random.Random(1)
    phone = new_phone(*(w for _ in range(12) for w in ("--cut-after", str(rng.randrange(1, 60_000)))))
    paths = []
    for number in range(6):
        paths.append(tmp_path / f"{number}.bin")
        paths[-1].write_bytes(rng.randbytes(20_000))
    with connect(phone.device()) as transport:
        for path in paths:
            assert Path(transport.push(path)).read_bytes() == path.read_bytes()
        assert transport.sent["files"] == len(paths)
    assert len(list((phone.folder / "models").iterdir())) == len(paths)


@pytest.mark.slow
@pytest.mark.parametrize("bytes_a_cut", [4_000, 25_000])
def test_a_file_goes_on_where_the_link_broke(new_phone, brittle, back_end, tmp_path, bytes_a_cut):
    """As large as a plan, which never passed whole."""
    import random

    path = tmp_path / "plan"
    path.write_bytes(random.Random(2).randbytes(43_000))
    phone = new_phone()
    link = brittle(phone.port, bytes_a_cut)
    began = time.monotonic()
    with connect(phone.device(back_end, serial=link.address)) as transport:
        remote = Path(transport.push(path))
        assert remote.read_bytes() == path.read_bytes()
        assert [left.name for left in remote.parent.iterdir()] == [remote.name], "no pieces are left"
        told = transport.take_losses()
        assert transport.take_losses() == Losses(), "each is told once"
    assert link.cuts >= 43_000 // bytes_a_cut
    assert told.count > 0
    assert back_end == "adb" or link.cuts - told.count in (0, 1), "the last may not have been noticed"
    assert 0 < told.seconds < time.monotonic() - began


def test_a_link_that_carries_no_command_says_so(new_phone, brittle, back_end):
    phone = new_phone()
    link = brittle(phone.port, 500)
    with (
        pytest.raises(TransportError, match=r"was lost 12 times in a row: .*: try another cable") as caught,
        connect(phone.device(back_end, serial=link.address)),
    ):
        pass
    assert not isinstance(caught.value, LinkLost)


def test_an_empty_file_arrives_after_a_loss(new_phone, brittle, tcp, tmp_path):
    (tmp_path / "empty").touch()
    phone = new_phone()
    link = brittle(phone.port)
    with connect(phone.device(serial=link.address)) as transport:
        store = Store(transport._link, f"{phone.folder}/models")
        store._inventory()
        send, left = transport._link.shell.send, [LinkLost("once")]

        def lose_once(local, remote):
            if left:
                raise left.pop()
            send(local, remote)

        transport._link.shell.send = lose_once
        assert Path(store.push(tmp_path / "empty")).read_bytes() == b""


class Brittle:
    """A shell on this machine whose link is lost with every file that is larger than it carries."""

    def __init__(self, most_bytes):
        self.most_bytes, self.connected, self.sent = most_bytes, 0, []

    def connect(self):
        self.connected += 1

    def close(self):
        pass

    def stream(self, command, *, quiet_s):
        yield subprocess.run(["sh", "-c", command], capture_output=True, check=False).stdout

    def send(self, local, remote):
        content = local.read_bytes()
        if len(content) > self.most_bytes:
            Path(remote).write_bytes(content[: self.most_bytes])
            raise LinkLost("cut")
        self.sent.append(len(content))
        Path(remote).write_bytes(content)


@pytest.fixture
def no_pause(monkeypatch):
    from types import SimpleNamespace

    from hwnas.transport import _shell

    monkeypatch.setattr(_shell, "time", SimpleNamespace(sleep=lambda _: None, monotonic=time.monotonic))


@pytest.mark.parametrize("most_bytes", [256, 1_000, 20_000])
def test_what_arrived_is_not_sent_again(tmp_path, no_pause, most_bytes):
    content = tmp_path / "content"
    content.write_bytes(bytes(range(250)) * 40)
    shell = Brittle(most_bytes)
    link = Link(shell)
    remote = Path(Store(link, str(tmp_path / "there")).push(content))
    assert remote.read_bytes() == content.read_bytes()
    assert list(remote.parent.iterdir()) == [remote]
    assert sum(shell.sent) == content.stat().st_size
    assert link.take_losses().count == shell.connected


def test_a_file_of_which_nothing_arrives_is_an_error_that_says_so(tmp_path, content, no_pause):
    shell = Brittle(100)
    store = Store(Link(shell), str(tmp_path / "there"))
    with pytest.raises(
        TransportError, match=r"0 of 307203 bytes of .* 12 times in a row.* 256 bytes"
    ) as caught:
        store.push(content)
    assert not isinstance(caught.value, LinkLost)
    assert not [left for left in (tmp_path / "there").iterdir() if ".part" not in left.name]


class TestLosses:
    """How often the link was lost, and for how long."""

    @pytest.fixture
    def clock(self, monkeypatch):
        """Time that passes only in pauses."""
        from types import SimpleNamespace

        from hwnas.transport import _shell

        now = SimpleNamespace(s=1000.0)

        def sleep(pause_s):
            now.s += pause_s

        monkeypatch.setattr(_shell, "time", SimpleNamespace(sleep=sleep, monotonic=lambda: now.s))
        return now

    def test_seconds_run_from_the_last_sign_of_life_until_it_is_back(self, clock):
        link = Link(Brittle(0))
        clock.s += 5
        link.recover(LinkLost("silent"), since=1003.0)
        told = link.take_losses()
        assert (told.count, told.seconds) == (1, pytest.approx(2.02))
        clock.s += 5
        link.recover(LinkLost("noticed at once"))
        assert link.take_losses().seconds == pytest.approx(0.02)

    def test_a_loss_that_goes_on_counts_once(self, clock):
        """A device that is frozen takes connections, and says nothing on any of them."""
        link = Link(Brittle(0))
        for _ in range(4):
            clock.s += 1
            link.recover(LinkLost("silent"), since=1000.0)
        told = link.take_losses()
        assert (told.count, told.seconds) == (1, pytest.approx(4.08))

    def test_one_that_does_not_end_is_told_as_well(self, clock):
        class Gone(Brittle):
            def connect(self):
                raise LinkLost("nobody is there")

        link = Link(Gone(0), patience_s=3.0)
        with pytest.raises(
            TransportError, match="must answer within 3 s, but it did not: cut; then: nobody is there"
        ):
            link.recover(LinkLost("cut"))
        told = link.take_losses()
        assert told.count == 1
        assert told.seconds == pytest.approx(clock.s - 1000)
        assert told.seconds > 3

    def test_a_link_that_only_ever_comes_back_is_an_error(self, clock):
        link = Link(Brittle(0), patience_s=3.0)
        for _ in range(12):
            clock.s += 0.5
            link.recover(LinkLost("silent"), since=1000.0)
        with pytest.raises(TransportError, match=r"must carry something .* 12 times in a row"):
            link.recover(LinkLost("silent"), since=1000.0)
        assert link.take_losses().count == 1


class TestKeys:
    """Who may use a phone."""

    @pytest.fixture
    def key(self, tmp_path, tcp):
        from adb_shell.auth.keygen import keygen

        keygen(str(tmp_path / "adbkey"))
        return tmp_path / "adbkey"

    def test_our_own_key_is_made_once_and_private(self, new_phone, home, tcp):
        with connect(new_phone().device()):
            pass
        key = home / "config" / "adbkey"
        assert stat.S_IMODE(key.stat().st_mode) == 0o600
        before = key.read_bytes()
        key.chmod(0o644)
        with connect(new_phone().device()):
            pass
        assert key.read_bytes() == before
        assert stat.S_IMODE(key.stat().st_mode) == 0o600

    def test_the_right_key_opens(self, new_phone, key, home):
        (home / ".android").mkdir()
        for name in ("adbkey", "adbkey.pub"):
            (home / ".android" / name).write_bytes(key.with_name(name).read_bytes())
        with connect(new_phone("--key", f"{key}.pub").device()) as transport:
            assert transport.ask("echo in") == "in\n"

    def test_an_unknown_key_must_be_accepted_on_the_phone(self, new_phone, key, monkeypatch):
        from hwnas.transport import _adb_tcp

        monkeypatch.setattr(_adb_tcp.AdbTcp.__init__, "__defaults__", (None, 0.4))
        began = time.monotonic()
        with (
            pytest.raises(TransportError, match="accept the dialog") as caught,
            connect(new_phone("--key", f"{key}.pub").device()),
        ):
            pass
        assert not isinstance(caught.value, LinkLost)
        assert time.monotonic() - began < 30

    def test_the_adb_program_says_unauthorized(self, new_phone, key, adb):
        with (
            pytest.raises(TransportError, match="accept the dialog"),
            connect(new_phone("--key", f"{key}.pub").device("adb")),
        ):
            pass


def test_one_process_at_a_time(new_phone, tcp, tmp_path, monkeypatch):
    from hwnas import files

    monkeypatch.setattr(files, "user_cache", lambda: tmp_path / "cache")
    phone, other = new_phone(), new_phone()
    with connect(phone.device()):
        with pytest.raises(TransportError, match="one process at a time"), connect(phone.device()):
            pass
        with connect(other.device()) as second:
            assert second.ask("echo two") == "two\n"
    with connect(phone.device()) as again:
        assert again.ask("echo free") == "free\n"


def test_a_device_that_its_descriptor_does_not_mean_is_refused(new_phone, tcp):
    phone = new_phone()
    phone.command("getprop", "[ $1 != ro.product.model ] || echo Another")
    with pytest.raises(TransportError, match="must match testphone"), connect(phone.device()):
        pass


def test_sockets_send_at_once_and_whole(new_phone, tcp, tmp_path):
    """With delayed acknowledgements, 10 MB in packets of 4 KiB would take minutes."""
    path = tmp_path / "big.bin"
    path.write_bytes(bytes(2_000_000))
    with connect(new_phone("--old").device()) as transport:
        began = time.monotonic()
        transport.push(path)
        assert time.monotonic() - began < 15, "an acknowledgement of each packet, 40 ms late, would be 20 s"


def test_a_store_lists_a_folder_of_many_files(new_phone, tcp):
    phone = new_phone()
    (phone.folder / "models").mkdir(parents=True)
    for number in range(300):
        (phone.folder / "models" / f"{number:064d}.tflite").write_bytes(b"%d" % number)
    with connect(phone.device()) as transport:
        store = Store(transport._link, f"{phone.folder}/models")
        assert len(store._inventory()) == 300


def test_no_process_is_left(new_phone, back_end, content):
    phone = new_phone()
    with connect(phone.device(back_end)) as transport:
        transport.push(content)
        transport.ask("true")
    left = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    assert not [line for line in left.splitlines() if str(phone.folder) in line]
