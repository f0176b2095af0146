"""The agents of ONNX Runtime's providers: what they are told, what they refuse, what they prove.

No GPU is here: CUDA and TensorRT are played by ONNX Runtime's provider for the CPU, which shows that the code
of the agents runs and what it asks for, and nothing of a GPU. Refusals are ONNX Runtime's own.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import onnxruntime
import pytest
from installed import need_agent, works
from quick_measuring import JOB

from hwnas import device, files, runtimes
from hwnas.errors import AgentError
from hwnas.measure import ProfileOptions
from hwnas.measure.engine import greet
from hwnas.transport.local import LocalTransport

AGENTS = files.shipped("profilers")
Models = dict[tuple[str, str], Path]


@pytest.fixture
def ort(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """What the agents share, in this process."""
    monkeypatch.syspath_prepend(str(AGENTS))
    import ortagent

    return ortagent


def provider_of(name: str) -> Any:
    """What an agent says of its provider."""
    spec = importlib.util.spec_from_file_location(f"{name}_agent", AGENTS / name / "agent.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    (found,) = [value for value in vars(module).values() if type(value).__name__ == "Provider"]
    return found


class Played:
    """ONNX Runtime with a provider that is played by that for the CPU; keeps what was asked of it."""

    def __init__(self, name: str) -> None:
        self.name, self.left, self.asked = name, "", []

    get_provider_graph_assignment_info = None  # it is newer than some versions

    def __call__(self, path: str, settings: Any, *, providers: list[Any] = (), **how: Any) -> Any:
        if providers == ["CPUExecutionProvider"]:
            return onnxruntime.InferenceSession(path, settings, providers=providers)
        ((name, options),) = providers
        assert name == self.name
        assert how == {"enable_fallback": 0}
        if self.left and is_alone(settings):
            raise RuntimeError("nodes are assigned to the CPU")
        own = onnxruntime.SessionOptions()
        own.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
        session = onnxruntime.InferenceSession(path, own, providers=["CPUExecutionProvider"])
        parts = [self.part(part) for part in session.get_provider_graph_assignment_info()]
        session.get_provider_graph_assignment_info = lambda: parts
        session.get_providers = lambda: [self.name, "CPUExecutionProvider"]
        self.asked.append(options)
        return session

    def part(self, part: Any) -> SimpleNamespace:
        is_left = any(node.op_type == self.left for node in part.get_nodes())
        return SimpleNamespace(ep_name=part.ep_name if is_left else self.name, get_nodes=part.get_nodes)


def is_alone(settings: Any) -> bool:
    """Whether nothing may be left to the CPU; ONNX Runtime raises for what is not set."""
    try:
        return settings.get_session_config_entry("session.disable_cpu_ep_fallback") == "1"
    except RuntimeError:
        return False


@pytest.fixture
def play(ort: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Has a provider played, and gives the player and the agent's runtime."""

    def play(name: str) -> tuple[Played, Any]:
        provider = provider_of(name)
        played = Played(provider.name)
        double = SimpleNamespace(**vars(onnxruntime))
        double.InferenceSession = played
        double.get_available_providers = lambda: [provider.name]
        double.preload_dlls = lambda: None
        monkeypatch.setattr(ort, "onnxruntime", double)
        for variable, value in provider.environment:
            monkeypatch.setenv(variable, value)  # taken back after the test
        monkeypatch.setenv("CUDA_DEVICE_ORDER", "PCI_BUS_ID")
        return played, ort.OnnxRuntimeProvider(provider)

    return play


def answer(runtime: Any, model: Path, precision: str, **more: Any) -> dict[str, Any]:
    import pyagent

    job = {**JOB, "job": "a", "model": str(model), "precision": precision, "processor": "gpu", **more}
    return pyagent.answer(job, runtime, {})


@pytest.mark.parametrize("name", [name for name in runtimes.RUNTIMES if name.startswith("onnxruntime_")])
def test_host_and_agent_say_the_same(ort: ModuleType, name: str) -> None:
    runtime, provider = runtimes.get(name), provider_of(name)
    assert (provider.runtime, provider.precisions) == (name, runtime.precisions)
    assert (provider.processor,) == runtime.processors
    assert runtime.proves_delegation
    assert runtime.proves_precision


@pytest.mark.parametrize(
    ("name", "precision", "options"),
    [
        ("onnxruntime_cuda", "fp32", {"use_tf32": "0"}),
        ("onnxruntime_cuda", "tf32", {"use_tf32": "1"}),
        ("onnxruntime_tensorrt", "fp32", {"trt_fp16_enable": "0", "trt_int8_enable": "0"}),
        ("onnxruntime_tensorrt", "fp16", {"trt_fp16_enable": "1", "trt_int8_enable": "0"}),
        ("onnxruntime_tensorrt", "int8", {"trt_fp16_enable": "0", "trt_int8_enable": "1"}),
    ],
)
def test_a_gpu_is_told_its_precision_and_proves_it(
    play: Any, models: Models, name: str, precision: str, options: dict[str, str]
) -> None:
    played, runtime = play(name)
    said = runtimes.get(name)
    reply = answer(runtime, models["onnxruntime", runtimes.PRECISIONS[precision].file], precision)
    (asked,) = played.asked
    assert asked.items() >= options.items()
    assert reply["processor"] == "gpu"
    assert reply["nodes"] == reply["delegated_nodes"] > 10
    assert reply["thread_ns"] is reply["preempted"] is reply["peak_memory_bytes"] is None
    said.require_delegated("gpu", reply)
    if runtimes.PRECISIONS[precision].least:  # the CPU, which plays, has none but fp32
        with pytest.raises(AgentError, match="it was computed in fp32"):
            said.require_precise(precision, "gpu", reply)
    else:
        said.require_precise(precision, "gpu", reply)


def test_tensorrt_has_no_tf32(play: Any, models: Models) -> None:
    play("onnxruntime_tensorrt")
    assert os.environ["NVIDIA_TF32_OVERRIDE"] == "0"


def test_what_is_left_to_the_cpu_is_refused_by_name(play: Any, models: Models) -> None:
    import pyagent

    played, runtime = play("onnxruntime_cuda")
    played.left = "Add"
    with pytest.raises(pyagent.JobError, match=r"but leaves 2 to others: Add \(add.add\), Add \(add.add_1\)"):
        answer(runtime, models["onnxruntime", "fp32"], "fp32")


def test_an_output_that_is_not_written_is_noticed(play: Any, models: Models) -> None:
    _, runtime = play("onnxruntime_cuda")
    model = runtime.open(str(models["onnxruntime", "fp32"]), 1, "gpu", "fp32")
    model.allocate()
    model.fill(np.random.default_rng(0))
    assert model.check()["nonfinite"] == 0
    model.invoke = lambda: None
    assert model.check() == {"error": None, "nonfinite": 10}


def test_a_gpu_that_failed_takes_the_process_along(play: Any, models: Models) -> None:
    """Every later job would fail in it as well: the host blames this one, and starts another process."""
    _, runtime = play("onnxruntime_cuda")
    model = runtime.open(str(models["onnxruntime", "fp32"]), 1, "gpu", "fp32")
    model.allocate()  # and no input is given
    with pytest.raises(SystemExit, match="the GPU failed: "):
        model.invoke()


def test_int8_is_compared_with_what_its_file_says(ort: ModuleType, models: Models) -> None:
    """Its roundings are in the reference as well: an fp32 network of the same weights is further off."""
    path = str(models["onnxruntime", "int8"])
    images = {"x": np.random.default_rng(0).random((1, 3, 96, 96), np.float32)}
    (expected,) = ort._as_written(path).run(None, images)
    (found,) = ort.session_on_cpu(path, ort.session_options(1)).run(None, images)
    assert ort.difference([found], [expected])["error"] < 0.05
    assert ort.difference([np.zeros_like(found)], [expected])["error"] == 1.0
    assert runtimes.PRECISIONS["int8"].most < 1.0


@pytest.mark.skipif(
    "AzureExecutionProvider" not in onnxruntime.get_available_providers(),
    reason="this ONNX Runtime has no provider that takes nothing",
)
def test_onnxruntime_itself_leaves_to_the_cpu_what_a_provider_does_not_take(
    ort: ModuleType, models: Models
) -> None:
    import pyagent

    azure = ort.Provider("x", "AzureExecutionProvider", "cpu", ("fp32",), lambda *_: {}, "", "")
    runtime = ort.OnnxRuntimeProvider(azure)
    with pytest.raises(pyagent.JobError, match=r"must take every operator, but leaves \d+ to others: Conv"):
        answer(runtime, models["onnxruntime", "fp32"], "fp32", processor="cpu")


@pytest.mark.parametrize(
    ("name", "on"),
    [
        ("onnxruntime_cuda", "host-gpu"),
        ("onnxruntime_tensorrt", "host-gpu"),
        ("onnxruntime_openvino", "host"),
    ],
)
def test_a_provider_that_is_not_there_is_a_sentence(name: str, on: str) -> None:
    if works(name):
        pytest.skip(f"{name} is here")
    target = device.load(on).target(name, "fp32")
    with (
        LocalTransport() as transport,
        pytest.raises(AgentError, match=f"{name} must have the .*: pip install"),
    ):
        greet(transport, target, ProfileOptions())


def test_openvino_takes_all_and_computes_in_fp32(models: Models) -> None:
    """Really, where a processor is that the plug-in takes."""
    need_agent("onnxruntime_openvino")
    jobs = [
        {**JOB, "job": kind, "model": str(models["onnxruntime", kind]), "processor": "cpu", "precision": kind}
        for kind in ("fp32", "int8")
    ]
    done = subprocess.run(
        [sys.executable, str(AGENTS / "onnxruntime_openvino" / "agent.py"), "--plan", "-"],
        input="".join(json.dumps(job) + "\n" for job in jobs),
        capture_output=True,
        text=True,
        check=True,
    )
    _, *replies, _ = (json.loads(line) for line in done.stdout.splitlines())
    for job, reply in zip(jobs, replies, strict=True):
        assert reply["delegate_partitions"] == 1
        runtimes.get("onnxruntime_openvino").require_precise(job["precision"], "cpu", reply)


def test_what_was_not_written_is_no_value_of_whole_numbers_either(ort: ModuleType) -> None:
    value = np.array([1, 2], np.int64)
    assert ort.difference([ort._blank(value)], [value])["error"] > 1e10
    assert ort.difference([ort._blank(value.astype(np.uint8))], [value])["error"] > 10
