"""The agent that computes with PyTorch: its own reading of ONNX, its precisions, its check.

What is run is the CPU path of the code. Tests of a GPU are marked, and skipped where there is none.
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import onnx
import pytest
import quick_measuring
import torch
from onnx import TensorProto, helper, numpy_helper

from hwnas import blocks, device, export, files, known, measure, runtimes, spaces
from hwnas.errors import AgentError, DeviceError
from hwnas.measure import ProfileOptions, session
from hwnas.measure.engine import greet
from hwnas.measure.plan import ANCHOR
from hwnas.transport import doctor
from hwnas.transport.local import LocalTransport

AGENT = files.shipped("profilers") / "torch_cuda" / "agent.py"
PRECISIONS = runtimes.get("torch_cuda").precisions
NO_GPU = not torch.cuda.is_available()
needs_gpu = pytest.mark.skipif(NO_GPU, reason="torch finds no CUDA device here")
JOB = {"processor": "cpu", "precision": "fp32", **quick_measuring.JOB}


@pytest.fixture(scope="module")
def agent() -> ModuleType:
    """The agent's module, in this process."""
    spec = importlib.util.spec_from_file_location("torch_cuda_agent", AGENT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def anchor(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("anchor") / "anchor.onnx"
    module = export.random_module(ANCHOR.blocks, 0)
    lowered = export.lower(module, ANCHOR.input_shape, "torch_cuda", "fp32", check=False)
    path.write_bytes(lowered.model)
    return path


def run(*jobs: dict[str, Any]) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """What the agent says of itself, and its replies by the name of the job."""
    plan = "".join(json.dumps(JOB | job) + "\n" for job in jobs)
    done = subprocess.run(
        [sys.executable, str(AGENT), "--plan", "-"], input=plan, capture_output=True, text=True, check=True
    )
    hello, *replies, bye = (json.loads(line) for line in done.stdout.splitlines())
    assert bye["bye"]["jobs"] == len(jobs)
    return hello["hello"], {reply["job"]: reply for reply in replies}


@pytest.fixture(scope="module")
def said(anchor: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], dict[str, Any]]:
    """One run of the agent for all questions."""
    folder = tmp_path_factory.mktemp("said")
    np.savez(folder / "ones.npz", x=np.ones((1, *ANCHOR.input_shape), np.float32))
    module, images = export.random_module([blocks.Conv(3, 4)], 0), export.random_calibration((3, 8, 8), 4, 0)
    lowered = export.lower(module, (3, 8, 8), "onnxruntime", "int8", calibration=images, check=False)
    (folder / "int8.onnx").write_bytes(lowered.model)
    (folder / "garbage.onnx").write_bytes(b"no model at all" * 100)
    path = str(anchor)
    jobs = [{"job": name, "model": path, "precision": name} for name in (*PRECISIONS, "int8")]
    jobs += [{"job": f"kept{n}", "model": path, "precision": "bf16", "keep": True} for n in range(2)]
    jobs += [
        {"job": "seed", "model": path, "seed": 1},
        {"job": "ones", "model": path, "inputs": str(folder / "ones.npz")},
        {"job": "wider", "model": path, "shapes": {"x": [1, 3, 128, 128]}},
        {"job": "quantised", "model": str(folder / "int8.onnx")},
        {"job": "garbage", "model": str(folder / "garbage.onnx")},
    ]
    jobs += [{"job": "gpu", "model": path, "processor": "gpu"}] if NO_GPU else []
    return run(*jobs)


def test_it_says_who_it_is(said):
    hello, _ = said
    assert (hello["agent"], hello["runtime"]) == ("torch_cuda", "torch_cuda")
    assert hello["runtime_version"] == torch.__version__
    assert len(hello["library_sha256"]) == 64
    assert hello["processors"] == (["cpu"] if NO_GPU else ["cpu", "gpu"])
    assert ("gpu" in hello) == (not NO_GPU), "what is not there is not told"
    assert ("no_gpu" in hello) == NO_GPU


@pytest.mark.parametrize(
    ("precision", "off"), [("fp32", (0, 1e-5)), ("fp16", (1e-5, 2e-2)), ("bf16", (1e-4, 5e-2))]
)
def test_each_precision_is_as_far_off_fp32_as_it_must_be(said, precision, off):
    reply = said[1][precision]
    assert len(reply["samples_ns"]) == len(reply["thread_ns"]) == len(reply["preempted"]) == 2
    assert reply["processor"] == "cpu"
    assert reply["check"]["against"] == "cpu-fp32"
    assert reply["check"]["nonfinite"] == 0
    assert all(off[0] <= reply["check"][when] <= off[1] for when in ("first", "last"))
    assert "device_ns" not in reply, "no other processor has a clock of its own here"
    runtimes.get("torch_cuda").require_precise(precision, "cpu", reply)


def test_what_it_cannot_do_is_a_sentence_before_anything_is_timed(said):
    _, replies = said
    assert replies["tf32"]["error"] == "tf32 must run on the gpu, but is asked for on the cpu, which has none"
    assert "precision must be one of" in replies["int8"]["error"]
    assert replies["quantised"]["stage"] == replies["garbage"]["stage"] == "load"
    assert "the model has DequantizeLinear, QuantizeLinear" in replies["quantised"]["error"]
    if NO_GPU:
        assert replies["gpu"]["error"] == "processor must be one of ['cpu'], but got 'gpu'"


def test_models_are_kept_and_given_what_they_read(said):
    _, replies = said
    assert replies["kept0"]["first_run_ns"] > 0
    assert replies["kept1"]["first_run_ns"] is None
    assert replies["kept0"]["output_sha256"] == replies["kept1"]["output_sha256"]
    digests = {replies[name]["output_sha256"] for name in ("fp32", "bf16", "seed", "ones", "wider")}
    assert len(digests) == 5
    assert replies["fp32"]["peak_memory_bytes"] > 100_000
    assert replies["wider"]["check"]["nonfinite"] == 0


def of(arch: Any, side: int) -> tuple[list[Any], tuple[int, int, int]]:
    return list(arch.blocks), (3, side, side)


NETWORKS = {
    "macro": lambda: of(spaces.load("macro", resolution=16).architecture([0, 1, 2, 0, 1, 2, 0, 1]), 16),
    "fbnet": lambda: of(spaces.load("fbnet", resolution=32).architecture([n % 9 for n in range(22)]), 32),
    "shufflenet": lambda: of(
        known.load("shufflenetv2-0.5", resolution=32, num_classes=10, strides="imagenet"), 32
    ),
    "mobilenetv3": lambda: of(known.load("mobilenetv3-small", resolution=32, num_classes=10), 32),
    "segmenter": lambda: ([blocks.Conv(3, 8, 3, 2), blocks.PooledContext(8, 16, 5, 2)], (3, 32, 32)),
}


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, tuple[int, int, int]]]:
    folder, found = tmp_path_factory.mktemp("networks"), {}
    for name, make in NETWORKS.items():
        parts, shape = make()
        lowered = export.lower(export.random_module(parts, 0), shape, "torch_cuda", "fp32", check=False)
        found[name] = folder / f"{name}.onnx", shape
        found[name][0].write_bytes(lowered.model)
    return found


@pytest.mark.parametrize("name", NETWORKS)
def test_it_reads_what_hwnas_writes_as_onnxruntime_does(agent, exported, name):
    path, shape = exported[name]
    images = export.random_calibration(shape, 1, 3)
    with torch.inference_mode():
        (found,) = agent.Network(str(path)).eval()(torch.from_numpy(images))
    expected = runtimes.run(path, "onnxruntime", images)
    assert np.linalg.norm(found.numpy() - expected) <= 1e-5 * np.linalg.norm(expected)


def test_all_its_operators_are_read_here(agent, exported):
    seen = {node.op_type for path, _ in exported.values() for node in onnx.load(path).graph.node}
    assert seen == set(agent.OPERATORS)


def write(path: Path, nodes: list[Any], shape: list[int], opset: int = 17, **constants: Any) -> Path:
    """A model from ``x`` to ``y`` that hwnas did not write."""
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, size)
        for name, size in (("x", shape), ("y", None))
    ]
    weights = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "g", ends[:1], ends[1:], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    path.write_bytes(model.SerializeToString())
    return path


KERNEL = np.random.default_rng(0).standard_normal((4, 3, 3, 3), np.float32)


@pytest.mark.parametrize(
    ("node", "constants"),
    [
        (helper.make_node("Conv", ["x", "w"], ["y"], dilations=[2, 1], pads=[2, 0, 1, 1]), {"w": KERNEL}),
        (
            helper.make_node("MaxPool", ["x"], ["y"], kernel_shape=[3, 2], pads=[1, 0, 0, 1], strides=[2, 1]),
            {},
        ),
        (
            helper.make_node("Slice", ["x", "s", "e", "a", "t"], ["y"]),
            {"s": [-6, 1], "e": [99, -1], "a": [2, -1], "t": [2, 3]},
        ),
        (helper.make_node("Slice", ["x", "s", "e"], ["y"]), {"s": [0, 1], "e": [1, 3]}),
        (helper.make_node("Clip", ["x", "", "m"], ["y"]), {"m": np.float32(0.25)}),
        (helper.make_node("Reshape", ["x", "s"], ["y"]), {"s": [0, 2, -1]}),
        (helper.make_node("Flatten", ["x"], ["y"], axis=2), {}),
        (helper.make_node("Resize", ["x", "", "", "k"], ["y"], mode="linear"), {"k": [1, 3, 20, 6]}),
        (helper.make_node("Mul", ["x", "f"], ["y"]), {"f": np.float32([[[2]], [[3]], [[4]]])}),
    ],
    ids=lambda value: value.op_type if hasattr(value, "op_type") else "",
)
def test_what_others_write_is_read_as_onnx_says(agent, tmp_path, node, constants):
    path = write(tmp_path / "m.onnx", [node], [1, 3, 8, 9], **constants)
    images = export.random_calibration((3, 8, 9), 1, 0)
    with torch.inference_mode():
        (found,) = agent.Network(str(path)).eval()(torch.from_numpy(images))
    session = runtimes.onnxruntime.session(path)
    np.testing.assert_allclose(found.numpy(), session.run(None, {"x": images})[0], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("node", "opset", "words"),
    [
        (helper.make_node("Erf", ["x"], ["y"]), 17, "but the model has Erf"),
        (helper.make_node("HardSwish", ["x"], ["y"]), 17, "but the model has HardSwish"),
        (helper.make_node("Relu", ["x"], ["y"], domain="com.mine"), 17, "but the model has Relu"),
        (helper.make_node("Relu", ["x"], ["y"]), 12, "must be of opset 13 or later, but is of 12"),
        (
            helper.make_node("MaxPool", ["x"], ["y"], kernel_shape=[2, 2], ceil_mode=1),
            17,
            "but ceil_mode of MaxPool cannot be computed",
        ),
        (
            helper.make_node("MaxPool", ["x"], ["y", "where"], kernel_shape=[2, 2]),
            17,
            "the outputs of MaxPool cannot",
        ),
    ],
)
def test_what_it_would_compute_otherwise_is_refused_by_name(agent, tmp_path, node, opset, words):
    path = write(tmp_path / "m.onnx", [node], [1, 3, 8, 8], opset)
    with pytest.raises(agent.JobError, match=words):
        agent.Network(str(path))


@pytest.mark.parametrize(
    ("mode", "named", "constant"),
    [
        ("nearest", "", [1, 3, 16, 16]),
        ("cubic", "", [1, 3, 16, 16]),
        ("linear", "scales", np.float32([1, 1, 2, 2])),
    ],
)
def test_resizing_of_another_kind_is_refused(agent, tmp_path, mode, named, constant):
    inputs = ["x", "", "k"] if named else ["x", "", "", "k"]
    path = write(
        tmp_path / "m.onnx", [helper.make_node("Resize", inputs, ["y"], mode=mode)], [1, 3, 8, 8], k=constant
    )
    with pytest.raises(
        agent.JobError, match="Resize must be linear, to heights and widths that the file says"
    ):
        agent.Network(str(path))(torch.zeros(1, 3, 8, 8))


def not_written(kind, path):
    """A model whose run writes no output, after one that did, and what it says of it."""
    with torch.inference_mode():
        model = kind(str(path), "fp32")
        model.allocate()
        model.fill(np.random.default_rng(0))
        model.invoke()
        assert model.check()["nonfinite"] == 0
        model.invoke = lambda: None
        return model, model.check()


def test_an_output_that_is_not_written_is_noticed(agent, anchor):
    """As of a graph that was recorded with other memory: what lies there is of an earlier run."""
    model, found = not_written(agent.Loaded, anchor)
    assert found["nonfinite"] == sum(value.numel() for value in model._outputs) > 0
    assert found["error"] is None


def test_a_gpu_that_failed_takes_the_process_along(agent, anchor):
    """Every later job would fail in it as well: the host blames this one, and starts another process."""

    class Failing(agent.Loaded):
        @agent._ends_with_the_gpu
        def invoke(self):
            raise torch.AcceleratorError("an illegal memory access was encountered")

    with pytest.raises(SystemExit, match="the GPU failed: an illegal memory access"):
        Failing(str(anchor), "fp32").invoke()


def test_what_a_waiting_thread_says_of_itself_is_not_told(agent, monkeypatch, anchor):
    """The host would take its CPU time for that of the sample; ``pyagent`` with a model that is elsewhere."""
    import pyagent

    class Elsewhere(agent.Loaded):
        is_elsewhere = True

        def device_ns(self, runs):
            return [7] * runs

        def peak_memory_bytes(self):
            return 12345

    monkeypatch.setattr(agent, "Loaded", Elsewhere)
    with torch.inference_mode():
        job = JOB | {"job": "a", "model": str(anchor)}
        reply = pyagent.answer(job, agent.TorchCuda(), {})
    assert (reply["thread_ns"], reply["preempted"]) == (None, None)
    assert (reply["device_ns"], reply["peak_memory_bytes"]) == ([7, 7], 12345)
    assert len(reply["samples_ns"]) == 2


class PlayedGraph:
    """A recorded network, played by running it."""

    def replay(self) -> None:
        found = self.model._network(*self.model._inputs)
        for output, value in zip(self.model._outputs, found, strict=True):
            output.copy_(value)


@pytest.fixture
def played(agent, monkeypatch):
    """The class of the GPU with CUDA played by the CPU: shows that its code runs, and nothing of a GPU."""

    class OnGpu(agent.OnGpu):
        device = "cpu"

        def __init__(self, *given):
            PlayedGraph.model = self
            super().__init__(*given)

    event = SimpleNamespace(record=lambda: None, elapsed_time=lambda other: 0.5)
    stream = SimpleNamespace(wait_stream=lambda other: None)
    properties = SimpleNamespace(name="Played", major=9, minor=0, total_memory=1)
    cuda = {
        "CUDAGraph": PlayedGraph,
        "Event": lambda enable_timing: event,
        "Stream": lambda: stream,
        "current_stream": lambda: stream,
        "get_device_capability": lambda: (7, 5),
        "get_device_properties": lambda number: properties,
        "graph": lambda graph: nullcontext(),
        "is_available": lambda: True,
        "max_memory_allocated": lambda: 9,
        "memory_allocated": lambda: 5,
        "reset_peak_memory_stats": lambda: None,
        "stream": lambda stream: nullcontext(),
        "synchronize": lambda: None,
    }
    for name, value in cuda.items():
        monkeypatch.setattr(torch.cuda, name, value)
    monkeypatch.setattr(torch.version, "cuda", "12.8")
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", False)
    monkeypatch.setattr(agent, "OnGpu", OnGpu)
    return agent.TorchCuda()


@pytest.mark.parametrize(
    ("cuda", "words"),
    [(None, "torch must be built with CUDA, but"), ("12.8", "CUDA must find a GPU, but torch's 12.8 finds")],
)
def test_where_no_gpu_can_be_used_it_says_why_not(agent, monkeypatch, cuda, words):
    monkeypatch.setattr(torch.version, "cuda", cuda)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert words in agent.TorchCuda().identity()["no_gpu"]


def test_the_code_of_the_gpu_does_what_it_says_where_cuda_is_played(played, anchor):
    import pyagent

    job = JOB | {"job": "a", "model": str(anchor), "processor": "gpu", "precision": "fp16"}
    with torch.inference_mode():
        reply = pyagent.answer(job, played, {})
    assert reply["thread_ns"] is reply["preempted"] is None
    assert (reply["device_ns"], reply["peak_memory_bytes"]) == ([500_000, 500_000], 4)
    assert 1e-5 < reply["check"]["first"] == reply["check"]["last"] < 2e-2
    assert reply["processor"] == "cpu", "where the outputs are: this would be refused"
    with pytest.raises(AgentError, match="must prove that the gpu took the model, but says 'cpu'"):
        runtimes.get("torch_cuda").require_delegated("gpu", reply)
    with pytest.raises(pyagent.JobError, match=r"tf32 must have a GPU of .* 8.0 or later, but this has 7.5"):
        played.open(str(anchor), 1, "gpu", "tf32")
    assert set(pyagent._refused(played)["refuses"]["gpu"]) == {"tf32", "bf16"}


def test_what_is_not_told_of_a_gpu_is_not_made_up(played, agent, monkeypatch):
    gpu = played.identity()["gpu"]
    assert (gpu["name"], gpu["capability"], gpu["cuda"], gpu["driver"]) == ("Played", "9.0", "12.8", None)
    assert set(played.conditions()["gpu"].values()) == {None}, "there is no nvidia-smi"
    monkeypatch.setattr(agent, "_bus", lambda: "0")
    for said, expected in (("1980, 1980, 41, [N/A]\n", [1980, 1980, 41, None]), ("odd\n", [None] * 4)):
        done = SimpleNamespace(stdout=said)
        monkeypatch.setattr(agent.nvidiagpu.subprocess, "run", lambda *words, done=done, **how: done)
        assert list(played.conditions()["gpu"].values()) == expected


@pytest.mark.slow
@pytest.mark.skipif(not NO_GPU, reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_a_sentence():
    here = device.load("host-gpu")
    with (
        LocalTransport() as transport,
        pytest.raises(AgentError, match=r"of host-gpu, but it runs on cpu only: (torch|CUDA) must"),
    ):
        greet(transport, here.target("torch_cuda", "fp16"), ProfileOptions())
    (check,) = doctor.examine(here)
    assert check.state == doctor.FAILED
    assert "runs on cpu only" in check.found
    assert "driver" in check.remedy


@pytest.mark.slow
def test_a_precision_that_is_not_there_is_refused_before_models_are_made(tmp_path, monkeypatch):
    def export(*given):
        raise AssertionError("no model is made for what cannot be measured")

    monkeypatch.setattr("hwnas.measure.models.Exporter.export", export)
    here, space = device.load("host"), spaces.load("macro")
    target = here.target("torch_cuda", "tf32")
    with pytest.raises(DeviceError, match="torch_cuda-tf32 is not: tf32 must run on the gpu, but"):
        measure.profile(here, [space], [target], tmp_path, ProfileOptions())
    assert not list(tmp_path.glob("*.jsonl"))
    with LocalTransport() as transport:
        hello = greet(transport, here.target("torch_cuda", "bf16"), ProfileOptions())
    assert set(hello["refuses"]["cpu"]) == {"tf32"}
    assert "refuses" not in session.environment(hello, {}), "numbers are not true of that"


@pytest.mark.gpu
@needs_gpu
@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_gpu_computes_in_the_precision_that_it_is_told(anchor, precision):
    hello, replies = run({"job": "a", "model": str(anchor), "processor": "gpu", "precision": precision})
    reply = replies["a"]
    assert hello["gpu"]["name"]
    assert hello["gpu"]["memory_bytes"] > 0
    assert reply["processor"] == "gpu"
    assert reply["thread_ns"] is reply["preempted"] is None
    assert len(reply["device_ns"]) == len(reply["samples_ns"]) == 2
    assert reply["peak_memory_bytes"] > 100_000
    runtime = runtimes.get("torch_cuda")
    runtime.require_delegated("gpu", reply)
    runtime.require_precise(precision, "gpu", reply)


@pytest.mark.gpu
@needs_gpu
def test_a_graph_on_the_gpu_that_is_not_replayed_is_noticed(agent, anchor):
    _, found = not_written(agent.OnGpu, anchor)
    assert found["nonfinite"] > 0


class Nvml:
    """NVIDIA's library as its manual has it, with a counter that rises by 3 mJ a call; no GPU was there."""

    def __init__(self, status=0):
        self.asked, self.mj, self.status = [], 7, status

    def nvmlInit_v2(self):
        return 0

    def nvmlDeviceGetHandleByPciBusId_v2(self, bus, handle):
        self.asked.append(bus)
        handle._obj.value = 42
        return 0

    def nvmlDeviceGetTotalEnergyConsumption(self, handle, found):
        self.mj += 3
        found._obj.value = self.mj
        return self.status if handle.value == 42 else 2


def test_the_energy_of_a_gpu_is_that_of_its_driver(played, agent, monkeypatch):
    import pyagent

    monkeypatch.setattr(agent, "_bus", lambda: "00000000:01:00.0")
    library = Nvml()
    monkeypatch.setattr(agent.ctypes, "CDLL", lambda name: library)
    assert pyagent._counters(played)["gpu"] == {"source": "nvml:total_energy"}
    assert library.asked == [b"00000000:01:00.0"]
    counter = played.counter("gpu")
    assert counter.step() - counter.read_uj() == -3000
    monkeypatch.setattr(agent.ctypes, "CDLL", lambda name: Nvml(3))
    said = "the GPU's energy counter cannot be read (nvmlDeviceGetTotalEnergyConsumption of NVML answered 3)"
    assert pyagent._counters(played)["gpu"] == {"missing": said}
    monkeypatch.undo()
    assert (
        "libnvidia-ml.so.1 cannot be loaded"
        in pyagent._counters(
            SimpleNamespace(processors=("gpu",), counter=lambda processor: agent.NvmlEnergy("0"))
        )["gpu"]["missing"]
    )
