"""The contract of ``profilers/README.md``, held to by every Python agent with its real runtime."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from installed import installed, works

from hwnas import files

RUNTIMES = (
    "litert",
    "onnxruntime",
    *installed("openvino", "executorch"),
    *filter(works, ["onnxruntime_openvino"]),
)
Models = dict[tuple[str, str], Path]


def job(model: Path | str, **changes: Any) -> dict[str, Any]:
    plain = {
        "job": "a",
        "model": str(model),
        "threads": 1,
        "cpus": None,
        "samples": 3,
        "min_sample_ns": 2_000_000,
        "warmup_min_ns": 2_000_000,
        "warmup_max_ns": 40_000_000,
        "keep": False,
        "seed": 0,
    }
    return plain | changes


def run(agent: str, *lines: dict[str, Any] | str) -> list[dict[str, Any]]:
    plan = "".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines)
    program = files.shipped("profilers") / agent / "agent.py"
    done = subprocess.run(
        [sys.executable, str(program), "--plan", "-"], input=plan, capture_output=True, text=True, check=True
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_it_says_who_it_is_answers_and_says_goodbye(runtime: str, models: Models) -> None:
    hello, *replies, bye = run(runtime, job(models[runtime, "fp32"]), job(models[runtime, "int8"], job="b"))
    identity = hello["hello"]
    assert identity["protocol"] == 1
    assert (identity["agent"], identity["runtime"]) == (runtime, runtime)
    assert len(identity["library_sha256"]) == 64
    assert identity["runtime_version"]
    assert identity["conditions"]["monotonic_ns"] < bye["bye"]["conditions"]["monotonic_ns"]
    assert bye["bye"]["jobs"] == 2
    assert [reply["job"] for reply in replies] == ["a", "b"]


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_samples_are_long_enough_and_raw(runtime: str, precision: str, models: Models) -> None:
    _, reply, _ = run(runtime, job(models[runtime, precision]))
    samples = reply["samples_ns"]
    assert len(samples) == 3
    assert len(reply["preempted"]) == len(reply["cpu_ids"]) == len(reply["thread_ns"]) == 3
    assert min(reply["thread_ns"]) > 0
    longer = sorted(busy - ns for ns, busy in zip(samples, reply["thread_ns"], strict=True))
    assert longer[1] <= 100_000, "of three, one may be held up between the two clocks"
    assert min(samples) >= 0.9 * 2_000_000
    assert reply["inner"] > 1 or reply["first_run_ns"] > 2_000_000, "what is short is repeated"
    assert reply["warmup_runs"] >= 2
    assert reply["affinity"]


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_bad_job_is_answered_and_the_next_one_done(runtime: str, models: Models, tmp_path: Path) -> None:
    garbage = tmp_path / "garbage"
    garbage.write_bytes(b"no model at all" * 100)
    model = models[runtime, "fp32"]
    lines = [
        job(tmp_path / "missing", job="missing"),
        job(garbage, job="garbage"),
        job(model, job="offline", cpus=[4095]),
        job(model, job="few", samples=0),
        '{"job": "torn", "model',
        {"job": "bare"},
        job(model, job="good"),
    ]
    _, *replies, bye = run(runtime, *lines)
    stages = {reply["job"]: reply.get("stage") for reply in replies}
    assert stages == {
        "missing": "load",
        "garbage": "load",
        "offline": "plan",
        "few": "plan",
        None: "plan",
        "bare": "plan",
        "good": None,
    }
    assert all(reply["error"] for reply in replies if reply["job"] != "good")
    assert bye["bye"]["jobs"] == 7


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_the_same_seed_gives_the_same_output(runtime: str, models: Models) -> None:
    model = models[runtime, "int8"]
    jobs = [job(model, job=str(i), seed=seed, keep=i == 3) for i, seed in enumerate((5, 5, 6, 5))]
    _, *replies, _ = run(runtime, *jobs)
    first, again, other, kept = (reply["output_sha256"] for reply in replies)
    assert first == again == kept != other


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_it_runs_on_the_cpus_that_were_asked_for(runtime: str, models: Models) -> None:
    import os

    allowed = sorted(os.sched_getaffinity(0))
    lines = [
        job(models[runtime, "fp32"], cpus=[allowed[-1]]),
        job(models[runtime, "fp32"], job="b"),
    ]
    _, pinned, free, _ = run(runtime, *lines)
    assert pinned["affinity"] == [allowed[-1]]
    assert set(pinned["cpu_ids"]) == {allowed[-1]}
    if runtime == "openvino" and "error" in free:  # it may not leave the CPUs of its first model
        assert "must stay on the CPUs" in free["error"]
        assert free["stage"] == "run"
    else:
        assert free["affinity"] == allowed


def test_what_was_timed_on_other_cpus_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(files.shipped("profilers")))
    import pyagent

    here = pyagent._pin(None)
    pyagent._require_stayed(here)
    with pytest.raises(pyagent.JobError, match=r"must stay on the CPUs \[4095\], but went to"):
        pyagent._require_stayed({4095})


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_what_comes_before_the_samples_is_told_of_a_fresh_model(runtime: str, models: Models) -> None:
    kept = job(models[runtime, "fp32"], keep=True)
    _, first, again, fresh, _ = run(runtime, kept, kept, job(models[runtime, "int8"]))
    for reply in (first, fresh):
        assert reply["first_run_ns"] > 0
        assert reply["compile_ns"] >= 0
    assert again["first_run_ns"] is None, "a kept model has run before"
    assert first["peak_memory_bytes"] > 100_000
    assert again["peak_memory_bytes"] is fresh["peak_memory_bytes"] is None, "they share what the first took"


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_openvino_optimises_a_model_once_a_session(precision: str, models: Models, tmp_path: Path) -> None:
    pytest.importorskip("openvino")
    kept = job(models["openvino", precision], cache=str(tmp_path))
    _, first, _ = run("openvino", kept)
    _, again, _ = run("openvino", kept)
    _, without, _ = run("openvino", job(models["openvino", precision]))
    assert again["compile_ns"] is None, "what was done before is no time of loading"
    assert min(first["compile_ns"], without["compile_ns"]) > 0
    assert again["output_sha256"] == first["output_sha256"] == without["output_sha256"]
    assert again["nodes"] == without["nodes"]


@pytest.mark.parametrize("runtime", [name for name in RUNTIMES if name != "executorch"])
def test_given_inputs_and_shapes_are_used(runtime: str, models: Models, tmp_path: Path) -> None:
    shape = (1, 96, 96, 3) if runtime == "litert" else (1, 3, 96, 96)
    paths = []
    for number in range(2):
        paths.append(tmp_path / f"{number}.npz")
        np.savez(paths[-1], x=np.full(shape, number, np.float32))
    model = models[runtime, "fp32"]
    lines = [job(model, inputs=str(paths[n]), job=str(k)) for k, n in enumerate((0, 1, 0))]
    hello, *replies, _ = run(runtime, *lines, job(model, inputs=str(tmp_path / "gone.npz")))
    assert hello["hello"]["takes"] == ["shapes", "inputs"]
    zeros, ones, again, gone = replies
    assert zeros["output_sha256"] == again["output_sha256"] != ones["output_sha256"]
    assert gone["stage"] == "input"
    _, wrong, _ = run(runtime, job(model, shapes={"x": [1, 7]}))
    assert wrong["stage"] in ("allocate", "input", "warmup"), "no such shape fits"


def test_onnxruntime_times_operations_when_asked(models: Models) -> None:
    model = models["onnxruntime", "fp32"]
    _, plain, timed, _ = run("onnxruntime", job(model), job(model, job="b", op_profile=3))
    assert "op_profile" not in plain
    assert timed["op_profile"]["runs"] == 3
    names = [item["name"].partition(" ")[0] for item in timed["op_profile"]["operations"]]
    assert names.count("Conv") == 17
    _, reply, _ = run("litert", job(models["litert", "fp32"], op_profile=3))
    assert "op_profile" not in reply, "its Python package has no profiler"


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_litert_says_that_one_delegate_runs_all(precision: str, models: Models) -> None:
    _, reply, _ = run("litert", job(models["litert", precision]))
    assert reply["delegate_partitions"] == 1
    assert reply["nodes"] == reply["delegated_nodes"] > 10
    assert reply["undelegated"] == {}


def test_what_a_library_prints_does_not_mix_with_the_replies(tmp_path: Path) -> None:
    agent = tmp_path / "agent.py"
    agent.write_text(
        f"import os, sys\nsys.path.append({str(files.shipped('profilers'))!r})\nimport pyagent\n"
        "class Loud:\n"
        "    def identity(self):\n"
        "        print('hello from Python'); os.write(1, b'hello from C\\n')\n"
        "        return {'agent': 'loud', 'runtime': 'loud'}\n"
        "sys.exit(pyagent.main(Loud()))\n"
    )
    plan = json.dumps(job("m", inputs="i.npz")).encode()
    done = subprocess.run(
        [sys.executable, str(agent), "--plan", "-"], input=plan, capture_output=True, check=True
    )
    said = [json.loads(line) for line in done.stdout.splitlines()]
    assert [next(iter(line)) for line in said] == ["hello", "job", "bye"]
    assert b"hello from C" in done.stderr
    assert said[1]["stage"] == "plan"
    assert "must be given no inputs" in said[1]["error"], "it would leave them aside"


def test_litert_takes_tflite_runtime_where_there_is_nothing_else(tmp_path: Path, models: Models) -> None:
    """A board that has only the old package, played by a package of that name that wraps the new one."""
    import ai_edge_litert

    package = tmp_path / "tflite_runtime"
    package.mkdir()
    real = Path(ai_edge_litert.__file__).parent
    (package / "__init__.py").write_text("")
    (package / "interpreter.py").write_text(
        f"import importlib, sys\nsys.path.append({str(real.parent)!r})\n"
        "Interpreter = importlib.import_module('ai_edge_litert.interpreter').Interpreter\n"
    )
    (package / "_pywrap_tensorflow_interpreter_wrapper.so").write_bytes(b"the library")
    (tmp_path / "tflite_runtime-2.14.0.dist-info").mkdir()
    (tmp_path / "tflite_runtime-2.14.0.dist-info" / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: tflite-runtime\nVersion: 2.14.0\n"
    )
    code = (
        "import importlib.util as u, runpy, sys\n"
        f"sys.path.insert(0, {str(tmp_path)!r})\n"
        "find = u.find_spec\n"
        "u.find_spec = lambda name, *a: None if name == 'ai_edge_litert' else find(name, *a)\n"
        f"sys.argv = ['agent.py', '--plan', '-']\n"
        f"runpy.run_path({str(files.shipped('profilers') / 'litert' / 'agent.py')!r}, run_name='__main__')\n"
    )
    plan = json.dumps(job(models["litert", "fp32"]))
    done = subprocess.run(
        [sys.executable, "-c", code], input=plan, capture_output=True, text=True, check=True
    )
    hello, reply, _ = (json.loads(line) for line in done.stdout.splitlines())
    assert hello["hello"]["runtime"] == "tflite_runtime"
    assert hello["hello"]["runtime_version"] == "2.14.0"
    assert reply["samples_ns"]


@pytest.mark.parametrize("agent", ["onnxruntime", "onnxruntime_openvino", "openvino"])
def test_a_package_that_is_not_installed_is_named(agent: str, tmp_path: Path) -> None:
    """Agents have folders of such names, which Python would take for the packages."""
    for package in Path(np.__file__).parent.parent.glob("numpy*"):
        (tmp_path / package.name).symlink_to(package)
    done = subprocess.run(
        [sys.executable, "-S", files.shipped("profilers") / agent / "agent.py", "--plan", "-"],
        input="",
        capture_output=True,
        text=True,
        env={"PYTHONPATH": str(tmp_path)},
    )
    package = agent.partition("_")[0]
    assert done.returncode == 1
    assert done.stderr == f"{package} is not installed: pip install {package}\n"
