"""The LiteRT agent in C on GPUs, in three ways.

A Vulkan loader that is played shows what the agent makes of the GPUs that it finds; the CPU that plays
a GPU, what it makes of one that lies; Mesa's software Vulkan is the real way through LiteRT's accelerator,
where it is installed (25 or later; `HWNAS_TEST_MESA` names a folder that its packages are unpacked in). No
GPU was ever used.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import programs
import pytest
import tinymodels
from block_examples import EXAMPLES
from quick_measuring import form

from hwnas import blocks, device, export, files, measure, runtimes, spaces
from hwnas.device import Device, Target
from hwnas.errors import AgentError, DeviceError
from hwnas.measure import ProfileOptions
from hwnas.measure.engine import greet
from hwnas.report import _conditions
from hwnas.tables import operations
from hwnas.tables.table import LatencyTable
from hwnas.transport import _bundle, connect, doctor

HERE = Path(__file__).resolve().parent
SOURCES = files.shipped("profilers") / "litert" / "src"
LITERT = Path(importlib.util.find_spec("ai_edge_litert").origin).parent
SOFTWARE = "llvmpipe"
JOB = {
    "job": "a",
    "processor": "gpu",
    "precision": "fp32",
    "threads": 1,
    "cpus": None,
    "samples": 2,
    "min_sample_ns": 0,
    "warmup_min_ns": 0,
    "warmup_max_ns": 0,
}
Run = Callable[..., tuple[dict[str, Any], list[dict[str, Any]]]]


def compiled(target: Path, sources: list[Path], *words: str) -> Path:
    subprocess.run(
        [programs.need("cc", "gcc", "clang"), "-std=c11", "-O1", "-o", target, *sources, *words], check=True
    )
    return target


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The agent, what plays a Vulkan loader, and what stands before LiteRT."""
    made, shared = tmp_path_factory.mktemp("agent"), ("-shared", "-fPIC")
    compiled(made / "agent", sorted(SOURCES.glob("*.c")), "-D_GNU_SOURCE", "-ldl", "-lm")
    (made / "vulkan").mkdir()  # LiteRT's accelerator looks beside the program as well
    compiled(made / "vulkan" / "libvulkan.so.1", [HERE / "played_vulkan.c"], *shared)
    behind = ("-Wl,--no-as-needed", f"-L{LITERT}", "-l:libLiteRt.so", "-lm", f"-Wl,-rpath,{LITERT}")
    compiled(made / "played.so", [HERE / "played_litert.c"], *shared, *behind)
    return made


def written(path: Path, parts: list[Any], shape: tuple[int, int, int], precision: str = "fp32") -> str:
    module, images = export.random_module(parts, 0), export.random_calibration(shape, 4, 0)
    lowered = export.lower(module, shape, "litert", precision, calibration=images, check=False)
    path.write_bytes(lowered.model)
    return str(path)


@pytest.fixture(scope="module")
def model(folder: Path) -> str:
    return written(folder / "model.tflite", [blocks.Conv(3, 8)], (3, 8, 8))


@pytest.fixture(scope="module")
def run(folder: Path, model: str) -> Run:
    """Runs the agent on jobs; gives its hello and its replies."""

    def do(jobs: list[dict[str, Any]], *words: str, library: Path | None = None, **environment: str) -> Any:
        plan = "".join(json.dumps(JOB | {"model": model} | job) + "\n" for job in jobs)
        command = [folder / "agent", "--plan", "-", "--library", library or LITERT / "libLiteRt.so"]
        done = subprocess.run(
            [*command, "--gpu", LITERT, *words],
            input=plan,
            capture_output=True,
            text=True,
            check=True,
            env=os.environ | environment,
        )
        hello, *replies, bye = map(json.loads, done.stdout.splitlines())
        assert bye["bye"]["jobs"] == len(jobs)
        hello["hello"]["stderr"] = done.stderr
        return hello["hello"], replies

    return do


@pytest.fixture
def found(folder: Path, run: Run) -> Callable[..., dict[str, Any]]:
    """What the agent says where Vulkan lists these GPUs."""

    def look(adapters: str, *words: str, **environment: str) -> dict[str, Any]:
        return run([], *words, LD_LIBRARY_PATH=str(folder / "vulkan"), ADAPTERS=adapters, **environment)[0]

    return look


@pytest.mark.parametrize(
    ("adapters", "asked", "name"),
    [
        ("Card 1=2", (), "Card 1"),
        ("Card 1=2,llvmpipe (LLVM)=4", (), "Card 1"),
        ("Card 1=2,Chip 2=1", ("--adapter", "Chip"), "Chip 2"),
        ("Card 1=2,Card 1=2", (), "Card 1"),
        ("Card 1=2,llvmpipe (LLVM)=4", ("--adapter", SOFTWARE), "llvmpipe (LLVM)"),
    ],
)
def test_the_gpu_that_is_meant_is_found(found, adapters, asked, name):
    hello = found(adapters, *asked)
    assert hello["processors"] == ["cpu", "gpu"]
    assert hello["gpu"]["name"] == name
    assert hello["gpu"]["software"] == name.startswith(SOFTWARE)
    assert (hello["gpu"]["driver"], hello["gpu"]["vendor"]) == ("played 1.2", "0x1234")
    assert [adapter["name"] for adapter in hello["adapters"]] == [
        text.partition("=")[0] for text in adapters.split(",")
    ]


@pytest.mark.parametrize(
    ("adapters", "asked", "environment", "words"),
    [
        ("", (), {}, "a Vulkan driver must find a GPU, but finds none"),
        ("llvmpipe=4", (), {}, "there is only software that plays one: llvmpipe; its times are of the CPU"),
        ("Card 1=2,Chip 2=1", (), {}, "there are Card 1, Chip 2: say which by the option adapter"),
        ("Card 1=2", ("--adapter", "Chip"), {}, "an adapter must be called Chip, but there is Card 1"),
        ("Card 1=2", (), {"VULKAN": "crash"}, "a Vulkan driver must list its GPUs, but crashes"),
        ("Card 1=2", (), {"VULKAN": "incompatible"}, "a Vulkan driver of 1.1 or later must be installed"),
    ],
)
def test_where_no_gpu_can_be_used_it_says_why(found, adapters, asked, environment, words):
    hello = found(adapters, *asked, **environment)
    assert hello["processors"] == ["cpu"]
    assert "gpu" not in hello
    assert words in hello["no_gpu"]


def test_a_job_for_a_gpu_that_is_not_there_is_refused_and_the_cpus_is_done(run, folder):
    jobs = [{}, {"processor": "npu"}, {"processor": "cpu", "precision": "fp16"}, {"processor": "cpu"}]
    _, (gpu, npu, half, cpu) = run(jobs, LD_LIBRARY_PATH=str(folder / "vulkan"))
    assert gpu["error"].startswith("processor must be cpu, but got gpu: a Vulkan driver must find a GPU")
    assert npu["error"] == "processor must be cpu or gpu, but got npu"
    assert half["error"] == "precision must be fp32, int8 or 16x8 on the cpu, but got fp16"
    assert {gpu["stage"], npu["stage"], half["stage"]} == {"plan"}
    assert cpu["samples_ns"]
    assert "processor" not in cpu


@pytest.fixture
def played(folder: Path, run: Run) -> Run:
    """Runs jobs where the CPU plays a GPU called Card 1."""

    def do(*jobs: dict[str, Any], **environment: str) -> Any:
        place = {"LD_LIBRARY_PATH": str(folder / "vulkan"), "ADAPTERS": "Card 1=2", "TAKES": "Card 1"}
        return run(list(jobs) or [{}], library=folder / "played.so", **(place | environment))

    return do


def judge(reply: dict[str, Any], precision: str = "fp32") -> None:
    """What the host does with a reply."""
    runtimes.get("litert").require_delegated("gpu", reply)
    runtimes.get("litert").require_precise(precision, "gpu", reply)


def test_a_reply_from_a_gpu_proves_where_it_is_from(played):
    hello, (first, again) = played({"keep": True}, {"keep": True})
    judge(first)
    assert first["check"] == {"against": "cpu-fp32", "first": 0, "last": 0, "nonfinite": 0}
    assert (first["processor"], first["nodes"], first["delegated_nodes"]) == ("gpu", 1, 1)
    assert first["delegate"] == "WebGPU", "what hwnas measure calls it"
    assert first["first_run_ns"] > 0
    assert first["lock_ns"] > 0
    assert first["peak_memory_bytes"] is None
    assert "first_run_ns" not in again
    assert not {"thread_ns", "preempted", "op_profile"} & (set(first) | set(again))
    assert "precision = 2\nwait_type = 2\npreferred_device_substr = 'Card 1'" in hello["stderr"]


def test_fp16_is_asked_for_and_fp32_under_its_name_is_refused(played):
    hello, (reply,) = played({"precision": "fp16"})
    assert "precision = 1\n" in hello["stderr"]
    with pytest.raises(AgentError, match="it was computed in fp32"):
        judge(reply, "fp16")
    _, (reply,) = played({"precision": "fp16"}, HALF="1")
    judge(reply, "fp16")
    with pytest.raises(AgentError, match=r"fp32 on the gpu must be within 1e-05"):
        judge(reply)


def test_what_is_right_on_the_first_run_only_is_refused(played):
    _, (reply,) = played(LIE="once")
    assert reply["check"]["first"] == 0 < 1e-2 < reply["check"]["last"]
    with pytest.raises(AgentError, match=r"off by 0.0e[+]00 before"):
        judge(reply)


@pytest.mark.parametrize(("lie", "count"), [("stale", 512), ("infinite", 1)])
def test_an_output_that_is_not_written_or_not_finite_is_refused(played, lie, count):
    _, (reply,) = played(LIE=lie)
    assert reply["check"] == {"against": "cpu-fp32", "first": None, "last": None, "nonfinite": count}
    with pytest.raises(AgentError, match=f"but {count} of an output are not"):
        judge(reply)


@pytest.mark.parametrize(
    ("environment", "stage", "words"),
    [
        ({"LIE": "late"}, "check", r"a run must be done when it returns, .* LiteRT did not wait for the GPU"),
        ({"LIE": "part"}, "load", "the GPU must take the whole model, but took a part of it"),
        ({"LIE": "refuse"}, "load", r"CreateCompiledModel failed: .*\(status 3\): No adapters found"),
        ({"TAKES": "Card 11"}, "load", "must take the adapter Card 1 over Vulkan, but says: Card 11, arch"),
        ({"TAKES": "Chip 2"}, "load", "must take the adapter Card 1 over Vulkan, but says: Chip 2, arch"),
        ({"LIE": "crash"}, "load", r"the runtime was killed by signal 11"),
        ({"LIE": "lost"}, "warmup", r"LiteRtRunCompiledModel failed: runtime failure \(status 3\)"),
    ],
)
def test_what_goes_wrong_is_a_sentence_and_what_follows_has_a_process_of_its_own(
    played, environment, stage, words
):
    hello, replies = played({}, {"processor": "cpu", "cpus": [min(os.sched_getaffinity(0))]}, **environment)
    assert re.search(words, replies[0]["error"])
    assert replies[0]["stage"] == stage
    assert replies[1]["samples_ns"]
    if environment.get("LIE") == "crash":
        assert "the driver says why" in hello["stderr"]


def test_int8_is_refused_with_the_reason(played, folder):
    path = written(folder / "int8.tflite", [blocks.Conv(3, 8)], (3, 8, 8), "int8")
    _, (asked, hidden) = played({"precision": "int8", "model": path}, {"model": path})
    assert "got int8, which LiteRT computes wrongly there: it ignores strides and groups" in asked["error"]
    assert "outputs must be floats to be compared with the CPU's, but one is of type 9" in hidden["error"]


def test_only_a_gpu_of_the_agent_has_fp16_and_must_be_checked():
    litert = runtimes.get("litert")
    assert litert.precisions_on("cpu") == ("fp32", "int8", "16x8")
    litert.require("fp16", "gpu")
    with pytest.raises(DeviceError, match="but got 'fp16'"):
        litert.require("fp16", "cpu")
    litert.require_precise("fp32", "cpu", {})
    litert.require_precise("fp32", "gpu", {"aggregated": {"statistic": "mean"}})
    for precision, reply in (("fp32", {}), ("fp16", {"aggregated": {"statistic": "mean"}})):
        with pytest.raises(AgentError, match="must compare its output with cpu-fp32, but says None"):
            litert.require_precise(precision, "gpu", reply)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A user's cache with the bundle for GPUs, built for this machine by the tool."""
    programs.need("cc", "gcc", "clang")
    folder = tmp_path_factory.mktemp("cache")
    builder = files.shipped("tools") / "build_agent.py"
    words = [sys.executable, builder, "native", "--gpu", "--out", folder / "bundles"]
    subprocess.run(words, check=True, capture_output=True)
    return folder


@pytest.fixture
def bundle(cache: Path, monkeypatch: pytest.MonkeyPatch) -> _bundle.Bundle:
    monkeypatch.setattr(files, "user_cache", lambda: cache)
    return _bundle.find("litert", _bundle.ARCHITECTURES[os.uname().machine], "gpu")


def test_the_bundle_for_gpus_is_another_one_and_uses_the_systems_libraries(bundle, tmp_path, monkeypatch):
    assert set(bundle.files) == {"agent", "libLiteRt.so", "libLiteRtWebGpuAccelerator.so"}
    assert re.fullmatch(r"litert-\S+-gpu-[0-9a-f]{16}", bundle.name)
    command = _bundle.words(bundle, "/there", {"adapter": "V3D"})
    assert command[0] == "/there/agent"
    assert command[-4:] == ["--gpu", "/there", "--adapter", "V3D"]
    monkeypatch.setattr(files, "user_cache", lambda: tmp_path)
    with pytest.raises(
        AgentError, match=r"built once for the gpu of arm64 devices.*build_agent.py arm64 --gpu`"
    ):
        _bundle.find("litert", "arm64", "gpu")


def own(**options: Any) -> Device:
    known = device.load("host-vulkan")
    return Device("mine", "", known.transport, known.processor, known.runtimes, options=options)


@pytest.mark.usefixtures("bundle")
def test_a_doctor_without_a_gpu_fails_and_with_one_names_it(folder, monkeypatch):
    monkeypatch.setenv("LD_LIBRARY_PATH", str(folder / "vulkan"))
    here = device.load("host-vulkan")
    (check,) = doctor.examine(here)
    assert check.state == doctor.FAILED
    assert "runs on cpu only: a Vulkan driver must find a GPU, but finds none" in check.found
    with (
        connect(here) as transport,
        pytest.raises(AgentError, match=r"on cpu only: a Vulkan driver must find"),
    ):
        greet(transport, here.target("litert", "fp32"), ProfileOptions())
    monkeypatch.setenv("ADAPTERS", "Card 1=2,llvmpipe=4")
    (check,) = doctor.examine(here)
    assert check.state == doctor.OK
    assert (
        "on Card 1, played 1.2 (there are: Card 1, played 1.2; llvmpipe, played 1.2, software" in check.found
    )
    (check,) = doctor.examine(own(adapter=SOFTWARE))
    assert "on llvmpipe, played 1.2, software, no GPU" in check.found


def test_a_doctor_without_the_bundle_names_the_command(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "user_cache", lambda: tmp_path)
    (check,) = doctor.examine(device.load("host-vulkan"))
    assert (check.state, check.name) == (doctor.FAILED, "agent's files")
    assert re.fullmatch(r"run `\S+ \S*build_agent.py \S+ --gpu`", check.remedy)


def test_what_software_measured_is_called_so():
    said = {"gpu": {"name": "llvmpipe", "software": True}, "runtime": "litert"}
    assert _conditions.place(said).startswith("llvmpipe (software, no GPU), ")
    assert operations.gpu_name({"gpu": {"name": "Card 1", "software": False}}) == "Card 1"
    assert operations.gpu_name({}) == ""


def mesa() -> dict[str, str]:
    """What lets a process find the software Vulkan that was unpacked; nothing where the system's is used."""
    root = os.environ.get("HWNAS_TEST_MESA")
    if not root:
        return {}
    (driver,) = Path(root).glob("usr/lib/*/libvulkan_lvp.so")
    described = {"file_format_version": "1.0.0"} | {
        "ICD": {"library_path": str(driver), "api_version": "1.4.0"}
    }
    file = Path(root) / "lvp.json"
    file.write_text(json.dumps(described))
    return {
        "LD_LIBRARY_PATH": str(driver.parent),
        "VK_DRIVER_FILES": str(file),
        "VK_ICD_FILENAMES": str(file),
    }


@pytest.fixture(scope="module")
def lavapipe(run: Run) -> dict[str, str]:
    """The environment in which Mesa's software Vulkan is there; skips where it is not, or too old."""
    environment = mesa() | {"LP_NUM_THREADS": "1"}
    hello, (reply,) = run([{}], "--adapter", SOFTWARE, **environment)
    if "gpu" not in hello:
        pytest.skip(f"Mesa's software Vulkan (25 or later) is not installed: {hello['no_gpu']}")
    if "No adapters" in reply.get("error", "") or "No supported" in reply.get("error", ""):
        pytest.skip(f"LiteRT does not take {hello['gpu']['driver']} (25 is new enough): {reply['error']}")
    return environment


def test_a_software_gpu_computes_in_the_precision_that_it_is_told(run, model, lavapipe):
    hello, (exact, half) = run([{}, {"precision": "fp16"}], "--adapter", SOFTWARE, **lavapipe)
    assert hello["gpu"]["software"] is True
    assert "Mesa" in hello["gpu"]["driver"]
    judge(exact)
    judge(half, "fp16")


@pytest.mark.parametrize(("wait_type", "is_waited"), [(0, False), (1, True), (2, True), (3, False)])
def test_a_run_that_litert_does_not_wait_for_is_refused(run, folder, lavapipe, wait_type, is_waited):
    path = written(folder / "large.tflite", [blocks.Conv(3, 16)], (3, 64, 64))
    jobs, played = [{"model": path}], folder / "played.so"
    words = ("--adapter", SOFTWARE)
    _, (reply,) = run(jobs, *words, library=played, WAIT_TYPE=str(wait_type), **lavapipe)
    if is_waited:
        judge(reply)
    else:
        assert "LiteRT did not wait for the GPU" in reply["error"]


def test_a_part_of_a_model_is_refused_by_litert_itself(run, folder, lavapipe):
    path = str(tinymodels.write(folder / "odd.tflite", odd=True))
    _, (reply,) = run([{"model": path}], "--adapter", SOFTWARE, **lavapipe)
    assert "not supported by GPU delegate: L2_NORMALIZATION" in reply["error"]


@pytest.mark.slow
def test_every_kind_of_block_is_computed_rightly(run, folder, lavapipe):
    jobs = []
    for number, (block, shape) in enumerate(EXAMPLES):
        path = written(folder / f"{number}.tflite", [block], shape)
        jobs += [{"model": path, "precision": kind, "job": f"{block} {kind}"} for kind in ("fp32", "fp16")]
    _, replies = run(jobs, "--adapter", SOFTWARE, **lavapipe)
    for reply in replies:
        assert "error" not in reply, reply
        judge(reply, reply["job"].rpartition(" ")[2])


@pytest.mark.slow
@pytest.mark.usefixtures("bundle")
def test_a_space_is_measured_on_a_software_gpu_of_this_machine(lavapipe, tmp_path, monkeypatch):
    for name, value in lavapipe.items():
        monkeypatch.setenv(name, value)
    here, space = own(adapter=SOFTWARE), spaces.load("macro", resolution=8)
    target = Target("mine", "litert", "fp16", "gpu")
    path = measure.profile(here, space, [target], tmp_path, form(1), only=[space.architecture([0] * 8)])[
        target
    ]
    assert path.name == "litert-fp16-gpu.jsonl"
    table = LatencyTable.load(path)
    assert table.environment["gpu"]["software"] is True
    (row,) = table.rounds
    assert row.samples_ms
    assert 1e-5 < row.conditions["check"]["last"] < 2e-2
