"""The agent in C, compiled for this machine: the protocol, the numbers, and bad jobs."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import subprocess
from pathlib import Path

import numpy as np
import powercap
import programs
import pytest
import tinymodels
from testphone import REPOSITORY, job, run_agent

SOURCES = REPOSITORY / "profilers" / "litert" / "src"
CPUS = sorted(os.sched_getaffinity(0))


@pytest.fixture
def model(tmp_path):
    return str(tinymodels.write(tmp_path / "model.tflite"))


def agent_command(bundle):
    return [word.replace("{here}", str(bundle.folder)) for word in bundle.command]


def test_it_says_who_it_is_answers_in_order_and_says_goodbye(bundle, model):
    hello, *answers, bye = run_agent(bundle, [job("b", model), job("a", model), job("c", model)])
    hello = hello["hello"]
    library = (bundle.folder / "libLiteRt.so").read_bytes()
    assert hello["protocol"] == 1
    assert (hello["agent"], hello["runtime"], hello["runtime_version"]) == ("litert", "litert", "2.3.0")
    assert hello["library_sha256"] == hashlib.sha256(library).hexdigest()
    assert hello["machine"] == os.uname().machine
    assert [answer["job"] for answer in answers] == ["b", "a", "c"]
    assert bye["bye"]["jobs"] == 3
    for conditions in (hello["conditions"], bye["bye"]["conditions"]):
        assert conditions["affinity"] == CPUS
        assert conditions["busy_ticks"] > 0
    spent = bye["bye"]["conditions"]["own_cpu_ns"] - hello["conditions"]["own_cpu_ns"]
    assert spent > 0, "the worker's time must count"


def test_a_plan_without_jobs_is_answered(bundle):
    hello, bye = run_agent(bundle, [])
    assert "hello" in hello
    assert bye["bye"]["jobs"] == 0


def test_samples_are_as_long_as_asked_and_inner_runs_are_counted(bundle, model):
    short, long = run_agent(
        bundle, [job("short", model), job("long", model, samples=5, min_sample_ns=3_000_000)]
    )[1:3]
    assert short["inner"] == 1
    assert long["inner"] > 1
    undisturbed = [ns for ns, p in zip(long["samples_ns"], long["preempted"], strict=True) if not p]
    lists = ("samples_ns", "thread_ns", "preempted", "cpu_ids", "sample_start_ns")
    assert [len(long[name]) for name in lists] == [5] * len(lists)
    assert all(0 < own <= ns * 1.01 for ns, own in zip(long["samples_ns"], long["thread_ns"], strict=True))
    assert all(ns >= 0.85 * 3_000_000 for ns in undisturbed)


def test_warm_up_keeps_its_bounds(bundle, model):
    least, most = 20_000_000, 60_000_000
    answers = run_agent(
        bundle,
        [
            job("none", model),
            job("some", model, warmup_min_ns=least, warmup_max_ns=most),
        ],
    )[1:3]
    assert answers[0]["warmup_runs"] == 1
    assert answers[1]["warmup_runs"] > 20


def test_a_kept_model_is_loaded_once(bundle, model):
    first, second, third = run_agent(
        bundle,
        [job("1", model, keep=True), job("2", model, keep=True), job("3", model, keep=True, cpus=[CPUS[0]])],
    )[1:4]
    assert first["load_ns"] == second["load_ns"]
    assert third["load_ns"] != first["load_ns"], "another affinity is another model"
    assert first["output_sha256"] == second["output_sha256"] == third["output_sha256"]


def test_the_seed_makes_the_input(bundle, model):
    answers = run_agent(bundle, [job("a", model, seed=1), job("b", model, seed=2), job("c", model, seed=1)])[
        1:4
    ]
    digests = [answer["output_sha256"] for answer in answers]
    assert digests[0] == digests[2] != digests[1]
    assert all(answer["output_nonfinite"] == 0 for answer in answers)


def test_cpus_are_those_of_the_plan(bundle, model):
    cpu = CPUS[-1]
    pinned, free = run_agent(bundle, [job("pinned", model, cpus=[cpu]), job("free", model)])[1:3]
    assert pinned["affinity"] == [cpu]
    assert set(pinned["cpu_ids"]) == {cpu}
    assert free["affinity"] == CPUS


@pytest.mark.parametrize("odd", [False, True])
def test_coverage_is_what_the_python_agent_counts(bundle, tmp_path, odd):
    path = str(tinymodels.write(tmp_path / "m.tflite", odd=odd))
    [answer] = run_agent(bundle, [job("a", path)])[1:-1]
    counted = {
        name: answer[name] for name in ("nodes", "delegate_partitions", "delegated_nodes", "undelegated")
    }
    assert counted == _python_coverage(path)
    assert counted["nodes"] == 3 + odd
    assert counted["delegated_nodes"] == 3


def test_first_run_and_memory_are_those_of_a_fresh_model(bundle, model, tmp_path):
    other = str(tinymodels.write(tmp_path / "other.tflite"))
    jobs = [job("a", model, keep=True), job("b", model, keep=True), job("c", other)]
    first, again, fresh = run_agent(bundle, jobs)[1:-1]
    assert first["first_run_ns"] > 0
    assert fresh["first_run_ns"] > 0
    assert "first_run_ns" not in again, "a kept model has run before"
    assert first["peak_memory_bytes"] > 0
    assert fresh["peak_memory_bytes"] is None, "it shares what the first one took"


def _python_coverage(path):
    spec = importlib.util.spec_from_file_location(
        "litert_agent", REPOSITORY / "profilers" / "litert" / "agent.py"
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    loaded = module.LiteRT().open(path, 1)
    loaded.allocate()
    return loaded.coverage()


def test_outputs_are_those_of_the_interpreter(bundle, model, tmp_path):
    from ai_edge_litert.interpreter import Interpreter

    given = np.random.default_rng(3).random((1, 16, 16, 8), dtype=np.float32)
    (tmp_path / "in.bin").write_bytes(given.tobytes())
    out = tmp_path / "out.bin"
    [answer] = run_agent(bundle, [job("a", model, input=str(tmp_path / "in.bin"), output=str(out))])[1:-1]
    interpreter = Interpreter(model_path=model, num_threads=1)
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], given)
    interpreter.invoke()
    expected = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    np.testing.assert_array_equal(np.frombuffer(out.read_bytes(), np.float32), expected.ravel())
    assert answer["output_sha256"] == hashlib.sha256(expected.tobytes()).hexdigest()


def test_the_operations_are_timed_on_request(bundle, tmp_path):
    path = str(tinymodels.write(tmp_path / "m.tflite", odd=True))
    [answer] = run_agent(bundle, [job("a", path)], "--op-profile", "4")[1:-1]
    profile = answer["op_profile"]
    assert profile["runs"] == 4
    assert [step["by"] for step in profile["operations"]] == [
        "delegate",
        "interpreter",
        "delegate",
        "delegate",
    ]
    assert profile["operations"][1]["name"] == "L2_NORMALIZATION"


@pytest.mark.parametrize(
    ("line", "stage", "message"),
    [
        ({"model": "/nowhere"}, "load", "not readable or no model"),
        ({"cpus": [255]}, "plan", "cpus must be online"),
        ({"cpus": []}, "plan", "at least one CPU"),
        ({"cpus": [256]}, "plan", "from 0 to 255"),
        ({"samples": 0}, "plan", "samples must be from 1"),
        ({"samples": 10**12}, "plan", "samples must be from 1"),
        ({"samples": 2**70}, "plan", "fits 64 bits"),
        ({"threads": 1.5}, "plan", "integer"),
        ({"threads": "1"}, "plan", "integer"),
        ({"warmup_min_ns": 5, "warmup_max_ns": 4}, "plan", "must not exceed"),
        ({"keep": 1}, "plan", "true or false"),
        ({"model": ""}, "plan", "must not be empty"),
        ({"input": "/nowhere"}, "input", "input must be readable"),
        ({"output": "/nowhere/x"}, "run", "output must be writable"),
    ],
)
def test_a_bad_job_is_answered_and_the_next_is_done(bundle, model, line, stage, message):
    bad, good = run_agent(bundle, [job("bad", model, **line), job("good", model)])[1:-1]
    assert bad["job"] == "bad"
    assert bad["stage"] == stage
    assert message in bad["error"]
    assert good["job"] == "good"
    assert good["samples_ns"]


HOSTILE = [
    b"",
    b"{",
    b"[]",
    b"null",
    b'"text"',
    b'{"job"',
    b'{"job":}',
    b'{"job":"a",}',
    b'{"job":"a"} x',
    b'{"job":"a","job":"b"}',
    b'{"job":"\\ud800"}',
    b'{"job":"\\u0000"}',
    b'{"job":"\\q"}',
    b'{"job":"\xff\xfe"}',
    b'{"job":"\x01"}',
    b'{"job":01}',
    b'{"job":"a","x":' + b"[" * 5000,
    b'{"job":"a","x":' + b'{"y":' * 5000,
    b'{"job":"' + b"a" * 100_000,
    b'{"job":"a","cpus":[' + b"1," * 5000 + b"1]}",
    b'{"job":"a","threads":-99999999999999999999}',
    b'{"job":"a","processor":""}',
    b'{"job":"a","precision":"fp32","precision":"fp16"}',
    b'{"job":"a","x":1e}',
    b'{"job":"a","x":-}',
    b'{"job":"a","x":tru}',
    b"\x00\x00\x00",
    bytes(range(11, 256)),
]


@pytest.fixture(scope="session")
def sanitized(cache, native_bundle, tmp_path_factory):
    """The agent built with the address and undefined-behaviour sanitizers."""
    compiler = programs.need("gcc", "clang")
    target = tmp_path_factory.mktemp("sanitized") / "agent"
    done = subprocess.run(
        [
            *(
                compiler,
                "-std=c11",
                "-D_GNU_SOURCE",
                "-g",
                "-O1",
                "-Wall",
                "-Wextra",
                "-Werror",
                "-Wpedantic",
            ),
            *("-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-o", str(target)),
            *sorted(str(path) for path in SOURCES.glob("*.c")),
            "-ldl",
            "-lm",
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    if "cannot find -lasan" in done.stderr or "cannot find -lubsan" in done.stderr:
        programs.missing("the sanitizers' libraries are not installed")
    assert done.returncode == 0, done.stderr
    return target


def run_sanitized(program, bundle, plan):
    words = [
        str(program),
        "--plan",
        "-",
        "--library",
        str(bundle.folder / "libLiteRt.so"),
        "--op-profile",
        "1",
    ]
    done = subprocess.run(words, input=plan, capture_output=True, timeout=120, check=False)
    for sign in (b"Sanitizer", b"runtime error"):
        assert sign not in done.stderr, done.stderr.decode(errors="replace")
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_hostile_plans_break_nothing(sanitized, bundle, model):
    good = json.dumps(job("good", model)).encode()
    answers = run_sanitized(sanitized, bundle, b"\n".join([*HOSTILE, good]) + b"\n")[1:-1]
    assert len(answers) == len(HOSTILE) - 1 + 1, "an empty line is no job"
    assert all(answer["stage"] == "plan" for answer in answers[:-1])
    assert answers[-1]["job"] == "good"
    assert answers[-1]["samples_ns"]


def test_cut_off_plans_break_nothing(sanitized, bundle, model):
    line = json.dumps(
        job("é\U0001f600\n", model, cpus=[0], keep=True, extra={"a": [1.5e3, None, "x"]})
    ).encode()
    assert b"\\ud83d" in line
    plan = b"\n".join(line[:end] for end in range(1, len(line)))
    answers = run_sanitized(sanitized, bundle, plan + b"\n" + line)[1:-1]
    assert all(answer["stage"] == "plan" for answer in answers[:-1])
    assert len(answers) == len(line)
    assert answers[-1]["job"] == "é\U0001f600\n"


def test_cut_off_models_break_nothing(sanitized, bundle, model, tmp_path):
    whole, jobs = Path(model).read_bytes(), []
    for number, end in enumerate(np.linspace(0, 0.9 * len(whole), 12).astype(int)):
        (tmp_path / f"cut{number}").write_bytes(whole[:end])
        jobs.append(job(f"cut{number}", str(tmp_path / f"cut{number}")))
    plan = "".join(json.dumps(line) + "\n" for line in [*jobs, job("good", model)])
    answers = run_sanitized(sanitized, bundle, plan.encode())[1:-1]
    assert [answer["job"] for answer in answers] == [*(line["job"] for line in jobs), "good"]
    assert all("error" in answer for answer in answers[:-1])
    assert answers[-1]["samples_ns"]


def test_damaged_models_cost_one_answer_each(bundle, model, tmp_path):
    """With random bytes changed, LiteRT itself reads where it must not; the agent survives that."""
    whole, rng, jobs = Path(model).read_bytes(), np.random.default_rng(0), []
    for number in range(5):
        changed = np.frombuffer(whole, np.uint8).copy()
        changed[rng.integers(0, len(changed), 6)] = rng.integers(0, 256, 6)
        (tmp_path / f"changed{number}").write_bytes(changed.tobytes())
        jobs.append(job(f"changed{number}", str(tmp_path / f"changed{number}")))
    answers = run_agent(bundle, [*jobs, job("good", model)])[1:-1]
    assert [answer["job"] for answer in answers] == [*(line["job"] for line in jobs), "good"]
    assert all(("error" in answer) != ("samples_ns" in answer) for answer in answers)
    assert any("killed by signal" in answer.get("error", "") for answer in answers), (
        "the test must reach that"
    )
    assert answers[-1]["samples_ns"]


LIBRARY = """
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include "litert_api.h"
#define LiteRtCreateModelFromFile another_name
#define X(result, name, parameters) int LiteRt##name(void) { return 0; }
LITERT_FUNCTIONS(X)
#undef LiteRtCreateModelFromFile
int LiteRtCreateModelFromFile(void *environment, const char *path, void **model)
{
    (void)environment, (void)model;
    if (strstr(path, "segv"))
        raise(SIGSEGV);
    if (strstr(path, "abort"))
        abort();
    if (strstr(path, "exit"))
        exit(7);
    return 501;
}
"""


@pytest.fixture
def crashing(tmp_path, native_bundle):
    """A library with LiteRT's names that dies in the ways that a runtime can."""
    (tmp_path / "crash.c").write_text(LIBRARY)
    target = tmp_path / "libcrash.so"
    compiler = programs.need("cc", "gcc", "clang")
    subprocess.run(
        [compiler, "-shared", "-fPIC", f"-I{SOURCES}", "-o", str(target), str(tmp_path / "crash.c")],
        check=True,
    )
    return target


def test_a_job_that_kills_the_runtime_costs_one_answer(bundle, crashing):
    jobs = [job(name, f"/{name}") for name in ("segv", "plain", "abort", "exit", "last")]
    plan = "".join(json.dumps(line) + "\n" for line in jobs)
    command = [*agent_command(bundle)[:1], "--library", str(crashing), "--plan", "-"]
    done = subprocess.run(command, input=plan, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr
    answers = [json.loads(line) for line in done.stdout.splitlines()][1:-1]
    assert [answer["job"] for answer in answers] == ["segv", "plain", "abort", "exit", "last"]
    assert all(answer["stage"] == "load" for answer in answers)
    assert "signal 11" in answers[0]["error"]
    assert "not a valid model" in answers[1]["error"]
    assert "signal 6" in answers[2]["error"]
    assert "status 7" in answers[3]["error"]


def test_a_library_of_another_release_is_refused(bundle, tmp_path):
    other = tmp_path / "libother.so"
    (tmp_path / "other.c").write_text("int LiteRtCreateEnvironment(void) { return 0; }\n")
    compiler = programs.need("cc", "gcc", "clang")
    subprocess.run([compiler, "-shared", "-fPIC", "-o", str(other), str(tmp_path / "other.c")], check=True)
    for library, message in ((other, "lacks LiteRt"), (tmp_path / "absent.so", "cannot open")):
        command = [*agent_command(bundle)[:1], "--library", str(library), "--plan", "/dev/null"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 3
        assert message in done.stderr
        assert done.stdout == ""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_a_full_disk_is_no_success(bundle, model, tmp_path):
    plan = tmp_path / "plan.jsonl"
    plan.write_text(json.dumps(job("a", model)) + "\n")
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [*agent_command(bundle), "--plan", str(plan)], stdout=full, stderr=subprocess.PIPE, check=False
        )
    assert done.returncode == 4
    assert b"No space left" in done.stderr


@pytest.mark.parametrize(
    "words", [[], ["--plan"], ["--plan", "/nowhere"], ["--what", "x"], ["--op-profile", "0"]]
)
def test_usage(bundle, words):
    done = subprocess.run([agent_command(bundle)[0], *words], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("agent: ")


SPAN = 400
"""Steps that are counted, of a millisecond: so many that it hardly matters when one comes late."""


def test_energy_is_counted_where_the_kernel_counts_it(bundle, model, tmp_path, monkeypatch):
    """As the agents in Python do (``tests/agents/test_agent_energy.py``), with moved counters."""
    monkeypatch.setenv("HWNAS_POWERCAP", str(tmp_path / "powercap"))
    said = f"{tmp_path / 'powercap'} has no intel-rapl:* that is a package of a processor"
    hello, refused, _ = run_agent(bundle, [job("a", model, energy_steps=SPAN)])
    assert hello["hello"]["energy"] == {"cpu": {"missing": said}}
    assert (refused["error"], refused["stage"]) == (f"energy must be counted, but {said}", "plan")
    with powercap.moving(tmp_path / "powercap", ("package-0", "package-1")) as root:
        counted = job("counted", model, energy_steps=SPAN)
        hello, first, plain, again, _ = run_agent(bundle, [counted, job("plain", model), counted])
        (root / "intel-rapl:1" / "energy_uj").unlink()
        lacking, _ = run_agent(bundle, [])
    source = "rapl:package-0+package-1"
    assert hello["hello"]["energy"] == {"cpu": {"source": source}}
    assert "energy" not in plain
    for energy, reply in ((first["energy"], first), (again["energy"], again)):
        assert (energy["source"], energy["inferences"]) == (source, 3 * reply["inner"])
        assert energy["uj"] * 1e3 / energy["elapsed_ns"] == pytest.approx(2 * powercap.WATTS, rel=0.1)
        assert energy["steps"] >= 0.8 * SPAN
        assert sum(reply["samples_ns"]) <= energy["elapsed_ns"]
        assert len(energy["idle_uw"]) == 5
    assert lacking["hello"]["energy"]["cpu"]["missing"].endswith("intel-rapl:1/energy_uj cannot be read")


@pytest.mark.slow
def test_a_counter_that_begins_anew_is_counted_on_in_c(bundle, model, tmp_path, monkeypatch):
    """It begins anew every two seconds, at 20 J: in some span, and twice in none that is looked at."""
    monkeypatch.setenv("HWNAS_POWERCAP", str(tmp_path / "powercap"))
    spans = [job(str(number), model, energy_steps=SPAN) for number in range(8)]
    with powercap.moving(tmp_path / "powercap", range_uj=20_000_000):
        _, *replies, _ = run_agent(bundle, spans)
    found = [reply["energy"] for reply in replies if reply["energy"]["elapsed_ns"] < 1.9e9]
    watts = [energy["uj"] * 1e3 / energy["elapsed_ns"] for energy in found]
    assert watts == pytest.approx([powercap.WATTS] * len(found), rel=0.1)
