"""Runs that are detached from the link: nothing is lost or doubled, nothing is left behind."""

from __future__ import annotations

import json
import os
import random
import threading
import time

import pytest
import tinymodels
from testphone import job

from hwnas.errors import AgentError, TransportError, TransportTimeout
from hwnas.transport import connect
from hwnas.transport._detached import LINK_S, Detached


@pytest.fixture
def model(tmp_path):
    return tinymodels.write(tmp_path / "model.tflite")


def start(transport, phone, script, name="run"):
    run = Detached(transport._link, f"{phone.folder}/runs/{name}")
    run.start(["sh", "-c", script])
    return run


def counting(lines, pause_s=0.02):
    return f"i=0; while [ $i -lt {lines} ]; do i=$((i+1)); echo line $i; sleep {pause_s}; done"


def test_lines_come_as_they_are_written(new_phone, back_end):
    phone = new_phone()
    with connect(phone.device(back_end)) as transport:
        run = start(transport, phone, "echo one; sleep 1.5; echo two; printf half; sleep 0.5; echo ' line'")
        arrived = [(line, time.monotonic()) for line in run.lines(silence_s=10)]
        assert [line for line, _ in arrived] == [b"one", b"two", b"half line"]
        assert arrived[1][1] - arrived[0][1] > 0.3
        run.remove()
    assert phone.gone("sh -c")


@pytest.mark.parametrize(
    "text", [r"back\\slash \t %s '\''quote'\'' \"double\"", "a" * 20_000, '{"é": "\u2603"}']
)
def test_lines_are_not_changed(new_phone, tcp, text):
    phone = new_phone("--old")
    with connect(phone.device()) as transport:
        (phone.root / "text").write_text(text + "\n")
        run = start(transport, phone, f"cat {phone.root}/text")
        assert [line.decode() for line in run.lines(silence_s=10)] == [text]


def test_starting_the_same_run_twice_runs_it_once(new_phone, tcp):
    phone = new_phone()
    with connect(phone.device()) as transport:
        run = start(transport, phone, f"echo x >>{phone.root}/count; sleep 0.5")
        run.start(["sh", "-c", f"echo x >>{phone.root}/count; sleep 0.5"])
        assert list(run.lines(silence_s=10)) == []
    assert (phone.root / "count").read_text() == "x\n"


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("echo why >&2; exit 3", r"ended with 3: why"),
        ("kill -9 $$", r"ended with 137"),
        ("true; exit 1", "wrote nothing to standard error"),
    ],
)
def test_a_program_that_fails_says_why(new_phone, back_end, script, message):
    phone = new_phone()
    with connect(phone.device(back_end)) as transport:
        run = start(transport, phone, f"echo first; {script}")
        lines = run.lines(silence_s=10)
        assert next(lines) == b"first"
        with pytest.raises(AgentError, match=message):
            next(lines)


def test_a_program_that_vanishes_is_noticed(new_phone, tcp):
    """As when the phone restarts: no status is ever written."""
    phone = new_phone()
    with connect(phone.device()) as transport:
        run = start(transport, phone, "echo first; sleep 60")
        lines = run.lines(silence_s=30)
        assert next(lines) == b"first"
        pid = int((phone.folder / "runs" / "run" / "pid").read_text())
        os.killpg(pid, 9)
        with pytest.raises(AgentError, match="vanished"):
            next(lines)


def test_a_folder_that_vanishes_is_noticed(new_phone, tcp):
    phone = new_phone()
    with connect(phone.device()) as transport:
        run = Detached(transport._link, f"{phone.folder}/runs/none")
        with pytest.raises(AgentError, match="vanished"):
            list(run.lines(silence_s=5))


def test_silence_is_noticed_although_the_link_is_alive(new_phone, back_end):
    phone = new_phone()
    with connect(phone.device(back_end)) as transport:
        run = start(transport, phone, "echo first; sleep 60")
        lines = run.lines(silence_s=2.0)
        assert next(lines) == b"first"
        began = time.monotonic()
        with pytest.raises(TransportTimeout, match=r"within 2 s.* a run of its model take longer"):
            next(lines)
        assert 1.9 < time.monotonic() - began < 30
        run.remove()
    assert phone.gone("sleep")


def test_a_cut_loses_and_doubles_nothing(new_phone, back_end):
    """The daemon dies and comes back while the program goes on."""
    phone = new_phone()
    with connect(phone.device(back_end)) as transport:
        run = start(transport, phone, counting(60))

        def cut():
            for _ in range(2):
                time.sleep(0.4)
                phone.stop()
                time.sleep(0.1)
                phone.start()

        thread = threading.Thread(target=cut)
        thread.start()
        lines = [line.decode() for line in run.lines(silence_s=30)]
        thread.join()
        assert transport.take_losses().count >= 1
        assert lines == [f"line {i}" for i in range(1, 61)]


def test_a_frozen_link_is_noticed_and_goes_on(new_phone, back_end):
    phone = new_phone()
    with connect(phone.device(back_end)) as transport:
        run = start(transport, phone, counting(100))
        lines = run.lines(silence_s=60)
        got = [next(lines) for _ in range(5)]
        noticed = []
        recover = transport._link.recover
        transport._link.recover = lambda *a, **k: (
            noticed.append(time.monotonic()),
            phone.thaw(),
            recover(*a, **k),
        )
        frozen = time.monotonic()
        phone.freeze()
        got += lines
        assert [line.decode() for line in got] == [f"line {i}" for i in range(1, 101)]
        assert noticed
        assert noticed[0] - frozen < LINK_S + 20, "a second of silence, and slack for a busy machine"


def test_a_line_that_never_passes_is_an_error_that_says_so(new_phone, brittle, tcp):
    """A packet passes whole or not at all; the link comes back each time, and nothing on it."""
    phone = new_phone()
    link = brittle(phone.port, 4_000)
    with connect(phone.device(serial=link.address, patience_s=0.5)) as transport:
        run = start(transport, phone, "printf '%09000d\\n' 0; sleep 60")
        with pytest.raises(TransportError, match=r"must carry something .* 12 times in a row"):
            list(run.lines(silence_s=60))
        run.remove()


def test_what_the_program_did_while_the_link_was_lost_is_collected(new_phone, tcp):
    phone = new_phone()
    with connect(phone.device()) as transport:
        run = start(transport, phone, counting(20, 0.01))
        phone.stop()
        until = time.monotonic() + 30
        while not (phone.folder / "runs" / "run" / "status").exists():
            assert time.monotonic() < until, "it must end without a link"
            time.sleep(0.05)
        phone.start()
        assert [line.decode() for line in run.lines(silence_s=10)] == [f"line {i}" for i in range(1, 21)]


def one_run_with_cuts(new_phone, model, seed, cuts=4, jobs=12, back_end="tcp"):
    """A run of the agent on a link that breaks at random bytes; returns the replies and the losses."""
    rng = random.Random(seed)
    phone = new_phone()
    with connect(phone.device(back_end)) as transport:
        remote = transport.push(model)
        list(transport.run("litert", [], silence_s=30))  # installs the agent
        plan = [job(f"j{n}", remote, warmup_max_ns=rng.randrange(1, 20_000_000)) for n in range(jobs)]
        plan[rng.randrange(jobs)]["model"] = "/nowhere"
        phone.cut_after(*(rng.randrange(12_000) for _ in range(cuts)))
        replies = list(transport.run("litert", plan, silence_s=30))
        losses = transport.take_losses().count
    assert phone.gone(), "nothing is left running"
    assert not list((phone.folder / "runs").iterdir())
    phone.stop()
    return plan, replies, losses


def check_replies(plan, replies):
    assert "hello" in replies[0]
    assert "bye" in replies[-1]
    assert [reply["job"] for reply in replies[1:-1]] == [line["job"] for line in plan]
    for line, reply in zip(plan, replies[1:-1], strict=True):
        assert ("error" in reply) == (line["model"] == "/nowhere")


@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_the_agents_answers_survive_random_cuts(new_phone, back_end, bundle, model, seed):
    plan, replies, _ = one_run_with_cuts(new_phone, model, seed, back_end=back_end)
    check_replies(plan, replies)


def test_a_plan_that_never_passes_whole_is_done(new_phone, brittle, back_end, bundle, model):
    phone = new_phone()
    link = brittle(phone.port)
    with connect(phone.device(back_end, serial=link.address)) as transport:
        remote = transport.push(model)
        list(transport.run("litert", [], silence_s=30))  # installs the agent
        plan = [job(f"j{n}", remote) for n in range(60)]
        assert len(json.dumps(plan)) > 8_000
        link.bytes_a_cut = 4_000
        phone.stop()  # the connections that are open
        phone.start()
        check_replies(plan, list(transport.run("litert", plan, silence_s=30)))
        told = transport.take_losses()
    assert told.count > 2
    assert told.seconds > 0
    assert phone.gone(), "nothing is left running"


@pytest.mark.slow
def test_the_agents_answers_survive_a_hundred_seeds_of_random_cuts(new_phone, back_end, bundle, model):
    losses = 0
    for seed in range(100):
        plan, replies, lost = one_run_with_cuts(new_phone, model, 1000 + seed, back_end=back_end)
        check_replies(plan, replies)
        losses += lost
    assert losses > 100, "the cuts must fall into the runs"


@pytest.mark.parametrize(
    "arguments", [(), pytest.param(("--old",), marks=pytest.mark.slow)], ids=["new", "old"]
)
def test_the_agent_runs_on_a_phone(new_phone, back_end, bundle, model, arguments):
    phone = new_phone(*arguments)
    with connect(phone.device(back_end)) as transport:
        described = transport.describe()
        assert described["ro.product.model"] == "Test Phone"
        assert "serial" not in json.dumps(described)
        remote = transport.push(model)
        hello, answer, bye = transport.run("litert", [job("a", remote, samples=9)], silence_s=20)
        assert hello["hello"]["cpu_model"] == "Hwnas Test Phone"
        assert hello["hello"]["bundle_sha256"] == bundle.digest
        for said in (hello["hello"], bye["bye"]):
            assert said["conditions"]["phone"]["battery_percent"] == 83
            assert said["conditions"]["phone"]["temperatures_c"] == {"VIRTUAL-SKIN": 33.1, "BIG": 41.0}
            assert said["conditions"]["busy_ticks"] > 0
        assert hello["hello"]["conditions"]["phone"]["gate"] == {"waited_s": 0.0, "open": True, "reasons": []}
        assert answer["affinity"] == sorted(os.sched_getaffinity(0))
        assert set(answer["throttling"]) == {"drift", "clock", "of_max", "suspected"}
        again = list(transport.run("litert", [job("a", remote)], silence_s=20))
        assert len(again) == 3
    assert phone.gone()
    assert not list((phone.folder / "runs").iterdir())


def test_a_run_that_nobody_reads_any_more_is_ended(new_phone, back_end, bundle, model):
    phone = new_phone()
    with connect(phone.device(back_end)) as transport:
        remote = transport.push(model)
        long = [job(str(n), remote, warmup_min_ns=10**9, warmup_max_ns=10**9) for n in range(30)]
        replies = transport.run("litert", long, silence_s=20)
        assert "hello" in next(replies)
        assert phone.agents()
        replies.close()
    assert phone.gone()


def test_an_agent_that_hangs_is_ended(new_phone, tcp, bundle, model):
    phone = new_phone()
    with connect(phone.device()) as transport:
        remote = transport.push(model)
        hangs = job("hangs", remote, warmup_min_ns=60 * 10**9, warmup_max_ns=60 * 10**9)
        with pytest.raises(TransportTimeout):
            list(transport.run("litert", [hangs], silence_s=0.5))
        assert phone.gone()


def test_what_an_earlier_session_left_is_ended(new_phone, tcp, bundle, model):
    """The link is lost for good in the middle of a run: the agent goes on, until the next session."""
    phone = new_phone()
    with connect(phone.device(patience_s=0.3)) as transport:
        remote = transport.push(model)
        long = [job(str(n), remote, warmup_min_ns=10**9, warmup_max_ns=10**9) for n in range(30)]
        replies = transport.run("litert", long, silence_s=20)
        next(replies)
        phone.stop()
        with pytest.raises(TransportError, match="must come back"):
            list(replies)
    assert phone.agents(), "it goes on"
    phone.start()
    with connect(phone.device()):
        assert phone.gone()
    assert not list((phone.folder / "runs").iterdir())


def test_an_agent_without_a_bundle_says_what_to_run(new_phone, tcp, home, monkeypatch):
    from hwnas import files

    monkeypatch.setattr(files, "user_cache", lambda: home / "empty")
    with (
        connect(new_phone().device()) as transport,
        pytest.raises(AgentError, match=r"build_agent.py x86-64"),
    ):
        list(transport.run("litert", [], silence_s=5))


def test_the_operations_are_timed_on_request(new_phone, tcp, bundle, model):
    with connect(new_phone().device(op_profile=2)) as transport:
        remote = transport.push(model)
        [answer] = [r for r in transport.run("litert", [job("a", remote)], silence_s=20) if "job" in r]
        assert answer["op_profile"]["runs"] == 2
        assert len(answer["op_profile"]["operations"]) == 3


def test_a_launcher_comes_before_the_agents_command(new_phone, tcp, bundle):
    phone = new_phone()
    with connect(phone.device(launcher=["nice", "-n", "1"])) as transport:
        replies = list(transport.run("litert", [], silence_s=20))
        assert len(replies) == 2
