"""A real Ray cluster of this machine."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import nullcontext, suppress
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch
from pool_helpers import Heavy, briefly, broken, dies_twice, ends, process_of, refused, slept, squared
from ports import free_port

from hwnas import data, device, spaces
from hwnas.blocks import Conv, Skip
from hwnas.errors import HwnasError, InfeasibleBudget, TaskLost
from hwnas.evaluators import layerwise
from hwnas.evaluators.blockwise import Blockwise
from hwnas.evaluators.scoring import Scoring
from hwnas.evaluators.standalone import FromScratch
from hwnas.evaluators.supernet.config import OneShotConfig
from hwnas.measure import models
from hwnas.measure.plan import Item
from hwnas.pools import HERE, PoolSpec, opened, ordered, unordered
from hwnas.pools.ray import _start
from hwnas.train import TrainConfig

if find_spec("ray") is None:  # to import it here would settle how it is
    pytest.skip("Ray is not installed", allow_module_level=True)
SPACE = "macro-r8-c10"


TESTS = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def cluster():
    with pytest.MonkeyPatch.context() as patch, opened_where_tests_are(patch) as pool:
        yield pool


def opened_where_tests_are(patch):
    """A new cluster whose workers find what tests send, and the program that is tested."""
    patch.setenv("PYTHONPATH", os.pathsep.join(map(str, (TESTS.parent, TESTS))))
    patch.delenv("RAY_ADDRESS", raising=False)
    return opened(PoolSpec.read("ray"))


def test_answers_come_in_order_from_other_processes(cluster):
    assert cluster.size == os.cpu_count()
    assert list(ordered(cluster, squared, range(7))) == [n**2 for n in range(7)]
    assert os.getpid() not in set(ordered(cluster, process_of, range(4)))


@pytest.mark.slow
def test_what_a_worker_raises_is_raised_here_with_its_facts(cluster):
    with pytest.raises(InfeasibleBudget, match="no") as raised:
        list(ordered(cluster, refused, range(4)))
    assert raised.value.least == 2.0
    with pytest.raises(ZeroDivisionError) as failed:
        list(ordered(cluster, broken, [1, 0]))
    assert "in a process that had 0" in failed.value.__notes__[0]


@pytest.mark.slow
def test_a_task_whose_worker_is_killed_is_done_by_another(cluster, tmp_path):
    assert list(ordered(cluster, dies_twice, [str(tmp_path / "deaths")])) == [str(tmp_path / "deaths")]
    assert len((tmp_path / "deaths").read_text()) == 3


@pytest.mark.slow
def test_a_task_whose_workers_all_end_without_an_answer_is_reported(cluster, capfd):
    with pytest.raises(TaskLost, match="that had 1 was lost, 3 times in a row: see Ray's own logs"):
        list(ordered(cluster, ends, range(3)))
    time.sleep(1.0)  # for what Ray would say
    assert capfd.readouterr().out == "", "standard output may be JSON"


@pytest.mark.slow
def test_many_tasks_with_workers_killed_at_random_are_answered_once_each(cluster):
    answers, rng = [], np.random.default_rng(0)
    workers = sorted(set(ordered(cluster, process_of, range(8))))
    for answer in unordered(cluster, briefly, range(60)):
        answers.append(answer)
        if len(answers) % 20 == 0 and workers:
            os.kill(workers.pop(int(rng.integers(len(workers)))), signal.SIGKILL)
    assert sorted(answers) == list(range(60))


@pytest.mark.slow
def test_a_function_with_its_data_is_sent_once(cluster, tmp_path):
    heavy = Heavy(tmp_path / "notes", bytes(1_000_000))
    assert list(ordered(cluster, heavy, range(12))) == [n + 1_000_000 for n in range(12)]
    assert len((tmp_path / "notes").read_text()) == 1


@pytest.mark.slow
def test_what_is_abandoned_ends_and_the_cluster_is_free_again(cluster):
    for number in range(6):
        cluster.submit(number, slept, 60.0)
    time.sleep(0.5)
    cluster.abandon()
    began = time.monotonic()
    assert list(ordered(cluster, squared, [3, 4])) == [9, 16]
    assert time.monotonic() - began < 30


@pytest.mark.slow
def test_networks_trained_elsewhere_are_kept_here(cluster, tmp_path):
    """As good as those that are trained here, to the bit, with one thread each."""
    images = data.load("digits", resolution=8)
    config = TrainConfig(epochs=1, batch_size=256)
    space = spaces.load(SPACE)
    asked = [space.architecture([n] * len(space.choices)) for n in range(2)]
    here = FromScratch(space, "digits", config=config, threads=1, kept=tmp_path / "here", images=images)
    there = replace(here, kept=tmp_path / "there", source="/nowhere")  # which no worker can read
    assert Scoring(there, cluster).all(asked) == [here(arch) for arch in asked]
    for arch in asked:
        one, two = (tmp_path / name / f"{arch.id}.safetensors" for name in ("here", "there"))
        assert one.read_bytes() == two.read_bytes()
    assert there(asked[0]) == here(asked[0]), "it is read again from where it is kept"
    assert there.traits.seconds > 0


@pytest.mark.slow
def test_models_are_exported_elsewhere_as_they_are_here(cluster, tmp_path, monkeypatch):
    target = device.load("host").target("litert", "int8")
    items = [Item(f"i{n}", "block", (Conv(3, 8 + n, kernel_size=3),), (3, 8, 8)) for n in range(2)]
    bad = replace(items[0], key="bad", blocks=(Skip(5, 8),))
    monkeypatch.setattr(models, "opened", lambda _: nullcontext(cluster))
    found = {}
    for name, spec in (("here", HERE), ("there", PoolSpec("ray"))):
        (tmp_path / name).mkdir()
        with models.Exporter(spec) as exporter:
            asked = [*items, *([bad] if name == "there" else [])]
            found[name] = exporter.export(asked, target, tmp_path / name, lambda _: None)
    for item in items:
        assert found["here"][item.key].sha256 == found["there"][item.key].sha256
        assert found["here"][item.key].path.read_bytes() == found["there"][item.key].path.read_bytes()
    assert "Error" in found["there"]["bad"].failed
    assert not found["there"]["bad"].path.exists()


@pytest.mark.slow
def test_candidates_taught_elsewhere_are_those_taught_here(cluster, tmp_path, monkeypatch):
    """To the bit, with one thread each; workers read no file of this machine."""
    monkeypatch.setattr(layerwise, "opened", lambda _: nullcontext(cluster))
    config = OneShotConfig(
        0.25, batch_size=32, training="blockwise", teacher_share=0.0, layerwise=True, recalibration_images=64
    )
    images, found = replace(data.load("digits", resolution=8), name="/nowhere"), []
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        for spec in (PoolSpec(), PoolSpec.read("ray")):
            evaluator = Blockwise(spaces.load(SPACE), images, config)
            if not spec.is_here:
                evaluator.share(layerwise.Teaching(spec, 1, tmp_path / "layers"))
            evaluator.prepare(3, on_step=lambda _: None, checkpoint=tmp_path / spec.kind)
            found.append(evaluator.supernet.state_dict())
    finally:
        torch.set_num_threads(threads)
    assert all(torch.equal(value, found[1][name]) for name, value in found[0].items())


@pytest.mark.parametrize("times", [1, 2])
def test_a_start_that_a_busy_machine_missed_is_tried_once_more_and_leaves_nothing(times):
    """Ray gives it half a minute, and lets run what it has begun by then."""
    begun = []

    def init():
        begun.append(subprocess.Popen([sys.executable, "-c", "input()", "/ray/gcs"], stdin=subprocess.PIPE))
        if len(begun) <= times:
            raise Exception("The current node timed out during startup.")

    with pytest.raises(Exception, match="timed out") if times == 2 else nullcontext():
        _start(init)
    assert [psutil.pid_exists(program.pid) for program in begun] == [False] * times + [True] * (2 - times)
    for program in begun:
        with suppress(BrokenPipeError):
            program.communicate(b"\n", 30)


def test_a_second_cluster_in_one_process_is_refused(cluster):
    with pytest.raises(HwnasError, match="in one Ray cluster at a time"), opened(PoolSpec.read("ray")):
        pass


@pytest.mark.slow
def test_who_has_not_the_token_gets_no_answer(cluster):
    """Ray listens on every network; the cluster that was started here is of this process alone."""
    import ray

    address = ray.get_runtime_context().gcs_address
    others = {name: value for name, value in os.environ.items() if not name.startswith("RAY_AUTH")}
    program = (
        "import ray._raylet as r, sys\n"
        f"try: r.GcsClient(address={address!r}).get_all_node_info(timeout=5)\n"
        "except Exception as error: sys.exit(type(error).__name__)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], env=others, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert "AuthenticationError" in done.stderr


def test_where_nobody_listens_it_is_said_at_once(monkeypatch):
    import ray

    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    began = time.monotonic()
    address = f"127.0.0.1:{free_port()}"
    with pytest.raises(HwnasError, match=f"must be reachable, but {address} is not"):
        opened(PoolSpec.read(f"ray://{address}")).__enter__()
    assert time.monotonic() - began < 20


PROGRAM = """
import os, sys
from hwnas.measure import models
from hwnas.measure.plan import Item
from hwnas.pools import HERE, PoolSpec, opened, ordered
from pool_helpers import process_of, slept
if __name__ == "__main__":
    with opened(PoolSpec.read(sys.argv[1])) as pool:
        print(*set(ordered(pool, process_of, range(4))), flush=True)
        list(ordered(pool, slept, [float(sys.argv[2])] * 4))
"""


def without_ray():
    """What the environment is without what Ray was told in this process."""
    return {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}


def started(tmp_path, *words, **environment):
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    return subprocess.Popen(
        [sys.executable, str(program), *words], env=without_ray() | {"PYTHONPATH": str(TESTS)} | environment,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


@pytest.mark.slow
def test_what_no_machine_has_is_refused_before_anything_waits(tmp_path):
    done = started(tmp_path, "ray?num_gpus=64", "0").communicate(timeout=60)
    assert "must have 1 CPUs and 64 GPUs for a task, but the largest has" in done[1]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["SIGINT", "SIGKILL"])
def test_whatever_ends_the_program_ends_its_cluster(tmp_path, name):
    process = started(tmp_path, "ray", "60")
    workers = list(map(int, process.stdout.readline().split()))
    assert workers
    time.sleep(1)
    process.send_signal(signal.Signals[name])
    process.communicate(timeout=30)
    deadline = time.monotonic() + 30
    while any(Path(f"/proc/{pid}").exists() for pid in workers):
        assert time.monotonic() < deadline, "workers must end with who started them"
        time.sleep(0.2)


@pytest.mark.slow
def test_a_cluster_that_others_started_is_joined_by_its_address(tmp_path):
    """As by ``ray start --head`` on another machine; it is left as it was."""
    port, client = free_port(), free_port()
    command = [str(Path(sys.executable).with_name("ray"))]
    own = {"HOME": str(tmp_path), "RAY_AUTH_TOKEN": "5" * 64}
    environment = without_ray() | own | {"PYTHONPATH": str(TESTS), "RAY_AUTH_MODE": "token"}
    head = ["start", "--head", f"--port={port}", f"--ray-client-server-port={client}", "--num-cpus=2"]
    head += ["--include-dashboard=false", f"--temp-dir={tmp_path.parent / 'r'}", "--disable-usage-stats"]
    with (tmp_path / "head.log").open("wb") as log:  # `ray stop` would stop every cluster of this machine
        process = subprocess.Popen([*command, *head, "--block"], env=environment, stdout=log, stderr=log)
    try:
        until_it_listens(client, process)
        for spec in (f"ray://127.0.0.1:{client}", f"ray://127.0.0.1:{client}?num_cpus=2"):
            done = started(tmp_path, spec, "0", **own)
            out, said = done.communicate(timeout=100)
            assert done.returncode == 0, said
            assert out.split()
        assert process.poll() is None
    finally:
        process.terminate()
        process.wait(60)


def until_it_listens(port, process):
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1.0):
            return
        time.sleep(0.2)
    pytest.fail("the head does not listen")


def test_without_ray_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(HwnasError, match=r"pip install 'hwnas\[ray\]'"):
        opened(PoolSpec.read("ray")).__enter__()
