"""Precisions that are computed from another one's file, and what a reply must prove of them."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from quick_measuring import form

from hwnas import budget, device, export, measure, release, runtimes, spaces
from hwnas.blocks import Conv, Head, MBConv
from hwnas.device import PRECISIONS, Target
from hwnas.errors import AgentError, DeviceError, ExportError
from hwnas.measure import ProfileOptions
from hwnas.measure.engine import Engine, Job
from hwnas.release import ShippedModel, is_for
from hwnas.search.objective import objective
from hwnas.tables.table import LatencyTable
from hwnas.transport.local import LocalTransport

AGENT = """
import json, sys
from pathlib import Path
def say(data): print(json.dumps(data), flush=True)
say({"hello": {"protocol": 1, "runtime": "torch_cuda", "processors": ["cpu", "gpu"]}})
for line in Path(sys.argv[sys.argv.index("--plan") + 1]).read_text().splitlines():
    job = json.loads(line)
    said = json.loads(Path(job["model"]).read_text())
    said |= {"job": job["job"], "samples_ns": [5] * job["samples"], "inner": 1, "processor": job["processor"]}
    say(said if job["precision"] == "fp16" else {"job": job["job"], "error": job["precision"]})
say({"bye": {"jobs": 0}})
"""
QUICK = ProfileOptions(rounds=6, max_rounds=6, samples=2, silence_s=20.0, min_round_s=0.0)


def check(first: float | None, last: float | None, nonfinite: int = 0) -> dict[str, object]:
    return {"against": "cpu-fp32", "first": first, "last": last, "nonfinite": nonfinite}


def test_every_precision_says_which_files_it_is_computed_from():
    files = {name: Target("host", "torch_cuda", name).file_precision for name in PRECISIONS}
    of_fp32 = dict.fromkeys(("fp32", "fp16", "bf16", "tf32"), "fp32")
    assert files == {**of_fp32, "int8": "int8", "16x8": "16x8"}
    assert set(files.values()) == set(export.PRECISIONS)
    assert runtimes.get("torch_cuda").files == ("fp32",)
    assert runtimes.get("litert").files == ("fp32", "int8", "16x8")
    assert runtimes.get("onnxruntime").files == ("fp32", "int8"), "it computes 16x8 in float"


def test_a_runtime_must_prove_what_no_file_says():
    with pytest.raises(DeviceError, match="must prove its precision"):
        replace(runtimes.get("torch_cuda"), proves_precision=())
    with pytest.raises(DeviceError, match=r"precision must be one of .* with litert, but got 'fp16'"):
        runtimes.get("litert").require("fp16", "cpu")


def test_files_are_written_in_what_runs_them_alone():
    module = export.random_module([Conv(3, 4)], 0)
    with pytest.raises(ExportError, match=r"precision must be one of .'fp32',., but got 'fp16'"):
        export.lower(module, (3, 8, 8), "torch_cuda", "fp16")
    assert export.lower(module, (3, 8, 8), "torch_cuda", "fp32", check=False).suffix == ".onnx"


def test_a_budget_is_on_a_precision_and_the_file_is_that_of_fp32():
    (found,) = budget.parse(["host-gpu/torch_cuda-fp16=0.4"])
    assert str(found.target) == "host-gpu/torch_cuda-fp16-gpu"
    shipped = {
        precision: ShippedModel(f"onnxruntime-{precision}", "onnxruntime", precision, file, 1)
        for (name, precision), file in release.VARIANTS.items()
        if name == "onnxruntime"
    }
    assert is_for(found.target, shipped["fp32"])
    assert not is_for(found.target, shipped["int8"])


@pytest.mark.parametrize(
    ("precision", "processor", "said"),
    [
        ("fp32", "cpu", check(0.0, 0.0)),
        ("fp32", "gpu", check(9e-6, 2e-7)),
        ("tf32", "gpu", check(4e-4, 4e-4)),
        ("fp16", "gpu", check(1e-3, 1.9e-2)),
        ("bf16", "gpu", check(4e-2, 4e-2)),
        ("fp16", "cpu", check(0.0, 0.0)),
    ],
)
def test_what_is_as_near_as_its_precision_lets_it_is_believed(precision, processor, said):
    runtimes.get("torch_cuda").require_precise(precision, processor, {"check": said})


@pytest.mark.parametrize(
    ("precision", "said", "words"),
    [
        ("fp32", check(2e-5, 0.0), "fp32 on the gpu must be within 1e-05 of cpu-fp32, but is off by 2.0e-05"),
        ("fp16", check(1e-3, 0.9), "is off by 1.0e-03 before and 9.0e-01 after the samples"),
        ("tf32", check(6e-3, 1e-3), "tf32 on the gpu must be within 0.005"),
        ("bf16", check(1e-2, 6e-2), "bf16 on the gpu must be within 0.05"),
        ("fp16", check(1e-6, 2e-6), "is by 2.0e-06: it was computed in fp32"),
        ("bf16", check(0.0, 0.0), "it was computed in fp32"),
        ("tf32", check(9e-6, 9e-6), "it was computed in fp32"),
        ("fp16", check(None, None, 7), "must answer finite numbers, but 7 of an output are not"),
        ("fp16", check(1e-3, None), "must say how far"),
        ("fp16", check(1e-3, float("nan")), "must say how far"),
        ("fp16", {"first": 1e-3, "last": 1e-3, "nonfinite": 0}, "must compare its output with cpu-fp32"),
        ("fp32", None, "must compare its output with cpu-fp32, but says None"),
        ("fp32", [1], "must compare its output"),
    ],
)
def test_what_was_computed_in_something_else_is_not(precision, said, words):
    with pytest.raises(AgentError, match=re.escape(words)):
        runtimes.get("torch_cuda").require_precise(precision, "gpu", {"check": said})


def test_nothing_is_asked_of_a_runtime_that_computes_as_its_files_say():
    runtimes.get("onnxruntime").require_precise("fp32", "cpu", {})


def engine(tmp_path: Path, transport: LocalTransport, anchor: dict[str, object]) -> tuple[Engine, list[Job]]:
    said = {"anchor": anchor, "good": check(1e-3, 1e-3), "wrong": check(1e-3, 0.5)}
    for name, found in said.items():
        (tmp_path / name).write_text(json.dumps({"check": found}))
    target = Target("host-gpu", "torch_cuda", "fp16", "gpu")
    jobs = [Job(name, str(tmp_path / name), 0) for name in ("wrong", "good")]
    return Engine(transport, target, [str(tmp_path / "anchor")], QUICK), jobs


@pytest.fixture
def transport(tmp_path):
    (tmp_path / "agents" / "torch_cuda").mkdir(parents=True)
    (tmp_path / "agents" / "torch_cuda" / "agent.py").write_text(AGENT)
    with LocalTransport(tmp_path / "agents") as opened:
        yield opened


def test_a_wrong_output_is_a_failed_row_without_a_number_and_the_rest_is_measured(tmp_path, transport):
    running, jobs = engine(tmp_path, transport, check(1e-3, 1e-3))
    found = {outcome.job.model: outcome for outcome in running.run(jobs)}
    assert found["wrong"].samples_ms == ()
    assert (
        "must be within 0.02 of cpu-fp32, but is off by 1.0e-03 before and 5.0e-01" in found["wrong"].failed
    )
    assert found["good"].samples_ms == (5e-6, 5e-6)
    assert found["good"].conditions["check"] == check(1e-3, 1e-3)


def test_nothing_is_measured_beside_an_anchor_that_is_wrong(tmp_path, transport):
    running, jobs = engine(tmp_path, transport, check(1e-9, 1e-9))
    with pytest.raises(
        AgentError, match=r"the anchor must run on host-gpu/torch_cuda-fp16-gpu, but: .*in fp32"
    ):
        list(running.run(jobs))


@pytest.mark.usefixtures("warm_processes")
@pytest.mark.slow
def test_a_precision_has_rows_of_its_own(tmp_path):
    """The CPU path of the real agent, from the exporter to the table."""
    space, here = spaces.load("macro", resolution=8), device.load("host")
    target = here.target("torch_cuda", "bf16")
    networks = [space.architecture([0] * 8)]
    path = measure.profile(here, space, [target], tmp_path, form(1), only=networks)[target]
    assert path.name == "torch_cuda-bf16.jsonl"
    table = LatencyTable.load(path)
    assert table.target == target
    assert table.environment["runtime"] == "torch_cuda"
    (row,) = table.rounds
    assert row.samples_ms
    assert 1e-4 < row.conditions["check"]["last"] < 5e-2


def test_sixteen_bits_are_finer_than_eight_and_whole_numbers_throughout():
    blocks = (Conv(3, 8, stride=2), MBConv(8, 8, expansion_ratio=3, se_ratio=0.25), Head(8, 32, 10))
    module = export.random_module(blocks, 0)
    images = export.random_calibration((3, 32, 32), 32, 0)
    found = {
        precision: export.lower(
            module, (3, 32, 32), "litert", precision, calibration=images[:16], checked=images[16:]
        )
        for precision in ("int8", "16x8")
    }
    fine, coarse = found["16x8"].parity, found["int8"].parity
    assert fine.sqnr_db > coarse.sqnr_db + 3
    assert fine.float_operators == ()
    assert coarse.partitions == 1
    assert fine.partitions == 0, "XNNPACK has no kernels for it"
    ends = runtimes.get("litert").host.quantization(found["16x8"].model)
    assert {end["dtype"] for end in ends.values()} == {"int16"}
    assert {end["zero_point"] for end in ends.values()} == {0}


def test_a_file_says_that_it_is_of_sixteen_bits(tmp_path):
    module, images = export.random_module([Conv(3, 4)], 0), export.random_calibration((3, 8, 8), 4, 0)
    path = tmp_path / "model.tflite"
    path.write_bytes(export.lower(module, (3, 8, 8), "litert", "16x8", calibration=images).model)
    assert runtimes.get("litert").host.describe(path).precision == "16x8"
    assert (
        objective("bytes", spaces.load("macro"), "16x8").costs.range
        > objective("bytes", spaces.load("macro"), "int8").costs.range
    ), "biases have 64 bits"
