"""The local transport: agents are processes that never outlive their use."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from hwnas.errors import AgentError, TransportError, TransportTimeout
from hwnas.transport.local import LocalTransport

PREAMBLE = "import json, os, subprocess, sys, time\nsay = lambda d: print(json.dumps(d), flush=True)\n"


def transport(folder: Path, body: str) -> LocalTransport:
    (folder / "mine").mkdir()
    (folder / "mine" / "agent.py").write_text(PREAMBLE + body)
    return LocalTransport(folder)


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_the_plan_goes_in_and_replies_come_out(tmp_path: Path) -> None:
    body = "for line in open(sys.argv[2]): say({'job': json.loads(line)['job']})\nsay({'bye': {}})\n"
    with transport(tmp_path, body) as way:
        replies = list(way.run("mine", [{"job": "a"}, {"job": "b"}], silence_s=10))
    assert replies == [{"job": "a"}, {"job": "b"}, {"bye": {}}]


def test_replies_come_as_they_are_said(tmp_path: Path) -> None:
    with transport(tmp_path, "say({'hello': {}})\ntime.sleep(60)\n") as way:
        began = time.monotonic()
        assert next(iter(way.run("mine", [], silence_s=30))) == {"hello": {}}
        assert time.monotonic() - began < 20


def test_silence_ends_the_agent_and_its_children(tmp_path: Path) -> None:
    body = (
        "child = subprocess.Popen(['sleep', '60'])\nsay({'pids': [os.getpid(), child.pid]})\ntime.sleep(60)\n"
    )
    with transport(tmp_path, body) as way:
        replies = way.run("mine", [], silence_s=3)
        pids = next(replies)["pids"]
        assert all(map(is_running, pids))
        with pytest.raises(TransportTimeout, match=r"within 3 s.* a run of its model take longer"):
            next(replies)
        assert not is_running(pids[0])
        end = time.monotonic() + 60  # the child is killed with it, but nobody waits for it
        while is_running(pids[1]):
            assert time.monotonic() < end
            time.sleep(0.01)


@pytest.mark.parametrize("how", ["abandoned", "closed"])
def test_an_agent_ends_with_its_reader_or_its_transport(tmp_path: Path, how: str) -> None:
    way = transport(tmp_path, "say({'pid': os.getpid()})\ntime.sleep(60)\n")
    replies = way.run("mine", [], silence_s=30)
    pid = next(replies)["pid"]
    assert is_running(pid)
    if how == "abandoned":
        replies.close()
    else:
        way.__exit__(None, None, None)
    assert not is_running(pid)
    assert not way._running


def test_an_agent_that_ends_early_is_quoted(tmp_path: Path) -> None:
    with (
        transport(tmp_path, "say({'hello': {}})\nsys.exit('the model is on fire')\n") as way,
        pytest.raises(AgentError, match=r"status 1: the model is on fire"),
    ):
        list(way.run("mine", [], silence_s=10))


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (
            "sys.exit('mine is not installed: pip install mine')",
            r"^mine is not installed: pip install mine \(",
        ),
        ("import not_there", r"^the Python module not_there must be installed for the agent, but is not: "),
        ("sys.stderr.write('odd\\n'); sys.exit('x is not installed: do')", r"^x is not installed: do \(the"),
        ("sys.stderr.write('odd\\n'); sys.exit('on fire')", r"^an agent must end with its goodbye, but mine"),
        ("1 / 0", r"^an agent must end with its goodbye, but mine ended with status 1: Traceback"),
    ],
)
def test_what_an_agent_lacks_is_said_first(tmp_path: Path, body: str, words: str) -> None:
    with transport(tmp_path, body + "\n") as way, pytest.raises(AgentError, match=words) as error:
        list(way.run("mine", [], silence_s=10))
    assert "mine ended with status 1" in str(error.value)


def test_an_agent_that_is_killed_is_reported_by_the_signal(tmp_path: Path) -> None:
    body = "say({'hello': {}})\nos.kill(os.getpid(), 11)\n"
    with (
        transport(tmp_path, body) as way,
        pytest.raises(AgentError, match=r"mine was killed by SIGSEGV: it wrote nothing"),
    ):
        list(way.run("mine", [], silence_s=10))


@pytest.mark.parametrize("line", ["{torn", "[1, 2]", "plain words", "\\xff\\xfe"])
def test_what_is_no_json_object_is_shown(tmp_path: Path, line: str) -> None:
    body = f"sys.stdout.buffer.write(b'{line}\\n'); sys.stdout.flush(); time.sleep(60)\n"
    with transport(tmp_path, body) as way, pytest.raises(AgentError, match="must answer in JSON objects"):
        list(way.run("mine", [], silence_s=10))


def test_a_long_line_arrives_whole(tmp_path: Path) -> None:
    body = "say({'numbers': list(range(200_000))})\nsay({'bye': {}})\n"
    with transport(tmp_path, body) as way:
        first, _ = way.run("mine", [], silence_s=10)
    assert first["numbers"] == list(range(200_000))


def test_an_unknown_agent_is_named(tmp_path: Path) -> None:
    with LocalTransport(tmp_path) as way, pytest.raises(AgentError, match="nobody"):
        list(way.run("nobody", [], silence_s=1))


def test_a_pushed_file_stays_where_it_is(tmp_path: Path) -> None:
    path = tmp_path / "model"
    path.write_bytes(b"x")
    with LocalTransport() as way:
        assert way.push(path) == str(path)
        with pytest.raises(TransportError, match="must be there"):
            way.push(tmp_path / "missing")


def test_it_says_what_machine_this_is_without_a_serial_number() -> None:
    facts = LocalTransport().describe()
    assert facts["machine"] == os.uname().machine
    assert os.uname().nodename not in facts.values()


def test_a_file_whose_path_is_no_text_is_copied_for_as_long_as_needed(tmp_path):
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    folder.mkdir()
    (folder / "a.tflite").write_bytes(b"model")
    with LocalTransport() as transport:
        copy = Path(transport.push(folder / "a.tflite"))
        assert copy.suffix == ".tflite"
        assert str(copy).isprintable()
        assert copy.read_bytes() == b"model"
    assert not copy.exists()
