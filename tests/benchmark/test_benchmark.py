"""Files of all kinds, measured with the real runtimes in real processes."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import strangers
import typer
from accessibility import shown_to_all
from installed import installed, overflows_in_int8
from quick_measuring import form, hurry
from rich.console import Console
from typer.testing import CliRunner

import hwnas
from hwnas import device, report
from hwnas.benchmark import Asked, benchmark, seconds_of
from hwnas.benchmark.choosing import _groups, chosen
from hwnas.benchmark.facts import BenchmarkPlace, Failure
from hwnas.benchmark.files import ReadFile, read
from hwnas.benchmark.measuring import _differences, _reason
from hwnas.benchmark.result import FileBenchmark
from hwnas.benchmark.row import Endurance, LatencyDifference, Operation, Placement
from hwnas.cli import _app, app
from hwnas.cli._benchmark import leave_benchmark, show_benchmark
from hwnas.device import Target
from hwnas.errors import AgentError, HwnasError
from hwnas.measure.engine import Given
from hwnas.runtimes import RUNTIMES
from hwnas.runtimes.base import Description, Tensor
from hwnas.statistics.verdict import Verdict

pytestmark = pytest.mark.usefixtures("warm_processes")
HOST = device.load("host")


def run(
    *paths: Path, rounds: int = 2, tell: Callable[[str], None] = lambda _: None, on=HOST, **given
) -> FileBenchmark:
    return benchmark(Asked(paths, [on], **given), form(rounds), tell)


@pytest.fixture(scope="module")
def measured(networks, warm_processes) -> FileBenchmark:
    """Four files of one network, with all that can be asked for."""
    return run(*networks.values(), rounds=6, compare=True, per_op=True, budget_ms=1000.0)


def test_each_file_is_measured_with_the_runtime_that_reads_it(measured, networks):
    assert [(row.file, str(row.place)) for row in measured.rows] == [
        ("net-fp32.tflite", "host/litert"),
        ("net-int8.tflite", "host/litert"),
        ("net-fp32.onnx", "host/onnxruntime"),
        ("net-int8.onnx", "host/onnxruntime"),
    ]
    assert len({row.session for row in measured.rows}) == len(measured.sessions) == 2
    assert not measured.failures
    for row in measured.rows:
        low, high = row.interval_ms
        assert 0 < low <= row.latency_ms <= high
        assert 6 <= row.rounds <= 8, "up to a third more where the clock has two states"
        assert row.p90_ms > 0
        assert row.load_ms > 0
        assert row.first_run_ms > 0
        assert row.peak_memory_bytes > measured.file(row.file).bytes // 2
        assert measured.file(row.file).bytes == networks[row.file].stat().st_size
    kinds = [measured.file(row.file).description.precision for row in measured.rows]
    assert kinds == ["fp32", "int8"] * 2
    assert {session.anchors for session in measured.sessions} == {"fp32"}, "beside files of both kinds"


def test_a_runtime_may_read_files_that_are_made_for_another(networks):
    pytest.importorskip("openvino")
    if overflows_in_int8():
        pytest.skip("int8 of OpenVINO overflows on a processor without VNNI, and is refused")
    files = [networks["net-int8.tflite"], networks["net-int8.onnx"]]
    found = run(*files, runtimes=("litert", "openvino"))
    assert sorted((row.file, row.place.runtime) for row in found.rows) == [
        ("net-int8.onnx", "openvino"),
        ("net-int8.tflite", "litert"),
        ("net-int8.tflite", "openvino"),
    ]


def test_it_says_where_files_ran(measured):
    for row in measured.rows:
        if row.place.runtime == "litert":
            assert row.placement.delegate == "XNNPACK"
            assert (row.placement.partitions, row.placement.outside) == (1, 0)
            assert row.placement.nodes == row.placement.delegated_nodes > 10
            assert row.placement.said == ""
        else:
            assert row.placement.short == "no delegate"


def test_operations_are_timed_where_the_runtime_can(measured):
    by_file = {row.file: row.operations for row in measured.rows}
    assert by_file["net-fp32.tflite"] is None
    convolutions = [item for item in by_file["net-fp32.onnx"] if item.name.startswith("Conv")]
    assert len(convolutions) == 17
    assert {item.by for item in convolutions} == {"CPUExecutionProvider"}
    assert all(item.us >= 0 for item in convolutions)
    assert sum(item.us for item in convolutions) > 0


@pytest.mark.slow
def test_a_budget_is_kept_broken_or_not_proven(measured, networks):
    assert {row.verdict.word for row in measured.rows} <= {"PASS", "NOT PROVEN"}
    one = networks["net-fp32.onnx"]
    assert run(one, rounds=6, budget_ms=1e-6).verdict.is_fail
    open_end = run(one, rounds=2, budget_ms=1e6)
    assert open_end.verdict.word == "NOT PROVEN", "two rounds carry no interval"
    assert measured.budget_ms == 1000.0


def test_files_are_compared_with_the_first_of_their_device(measured):
    first = "net-fp32.tflite on host/litert"
    assert [item.first for item in measured.differences] == [first] * 3
    assert [item.same_session for item in measured.differences] == [True, False, False]
    for item in measured.differences:
        low, high = item.interval
        assert low <= item.ratio <= high
        assert not item.is_shown or not low <= 1 <= high
        assert ("no difference shown" in item.said) == (not item.is_shown)


def test_the_whole_result_is_json(measured):
    data = json.loads(json.dumps(measured.to_json(), allow_nan=False))
    assert data["schema"] == "hwnas-measured/1"
    assert data["rows"][1]["precision"] == "int8"
    assert data["rows"][0]["place"] == {
        "device": "host",
        "runtime": "litert",
        "processor": "cpu",
        "threads": 1,
        "precision": "",
    }
    assert data["files"][0]["description"]["inputs"][0]["shape"] == [1, 96, 96, 3]
    assert data["sessions"][0]["verdict"] in ("stable", "noisy", "unusable")
    assert data["differences"][0]["is_shown"] in (True, False)
    assert set(data["rows"][0]["placement"]) == {
        "delegate",
        "nodes",
        "delegated_nodes",
        "partitions",
        "undelegated",
    }


def test_the_result_shows_itself_and_goes_into_a_data_frame(measured, monkeypatch):
    frame = measured.to_pandas()
    assert list(frame["file"]) == [row.file for row in measured.rows]
    assert frame["latency_ms"].tolist() == [row.latency_ms for row in measured.rows]
    assert ((frame["low_ms"] <= frame["latency_ms"]) & (frame["latency_ms"] <= frame["high_ms"])).all()
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(measured)
    for text in (str(measured), console.export_text(), measured._repr_html_()):
        for row in measured.rows:
            assert row.file in text
            assert f"{row.latency_ms:.4g} ms" in text
    odd = replace(measured, rows=(replace(measured.rows[0], file="<b>[red].tflite"),))
    monkeypatch.setattr(FileBenchmark, "precision", lambda *_: "int8")
    assert "&lt;b&gt;[red].tflite" in odd._repr_html_()
    console.print(odd)
    assert "<b>[red].tflite" in console.export_text()
    left = replace(measured, failures=(Failure("gone.onnx", None, "gone.onnx is [not] there"),))
    console.print(left)
    for text in (str(left), console.export_text(), left._repr_html_()):
        assert "gone.onnx is [not] there" in text
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(HwnasError, match="pandas must be installed for a data frame"):
        measured.to_pandas()


def test_whole_numbers_alone_are_measured_beside_their_own_anchors(networks):
    [session] = run(networks["net-int8.tflite"]).sessions
    assert session.anchors == "int8"


def test_a_runtime_that_is_told_its_precision_has_a_session_for_each():
    """Its replies are compared with fp32: in one session, int8 files would be refused as wrong."""
    told = replace(RUNTIMES["onnxruntime"], proves_precision=("cpu",))
    kinds = ("int8", "fp32", "other")
    models = [SimpleNamespace(description=SimpleNamespace(precision=kind)) for kind in kinds]
    assert list(_groups(models, told, "cpu")) == [
        ("fp32", models[1:]),
        ("int8", [models[0]]),
    ]
    assert list(_groups(models, told, "gpu")) == [("fp32", models)]
    assert list(_groups([], told, "cpu")) == []


def test_files_are_computed_in_the_precisions_that_are_asked_for():
    told = replace(RUNTIMES["litert"], proves_precision=("gpu",))
    kinds = ("int8", "fp32", "mixed")
    models = [SimpleNamespace(description=SimpleNamespace(precision=kind)) for kind in kinds]
    assert list(_groups(models, told, "gpu", ("fp16", "fp32"))) == [
        ("fp16", models[1:]),
        ("fp32", models[1:]),
    ], "each in both, in the order of asking; what is of no precision of its own as floats"
    assert list(_groups(models, told, "gpu", ("bf16",))) == []
    assert list(_groups(models, told, "cpu", ("fp16", "fp32"))) == [("fp32", [models[1]])], "as written alone"
    assert list(_groups(models, told, "cpu", ("mixed", "int8"))) == [("fp32", [models[0], models[2]])]


@pytest.mark.slow
def test_an_fp32_file_is_measured_in_another_precision(networks, tmp_path, monkeypatch, capsys):
    pytest.importorskip("torch")
    one = networks["net-fp32.onnx"]
    asked = {"runtimes": ("torch_cuda", "onnxruntime"), "precisions": ("bf16", "fp32"), "compare": True}
    found = run(one, **asked)
    assert [(str(row.place), found.precision(row)) for row in found.rows] == [
        ("host/torch_cuda-bf16", "bf16"),
        ("host/torch_cuda", "fp32"),
        ("host/onnxruntime", "fp32"),
    ]
    assert not found.failures
    assert found.notes == (
        "nothing is measured in bf16 on host/onnxruntime: that does not compute in it on the cpu",
    )
    assert [item.first for item in found.differences] == [f"{one.name} on host/torch_cuda-bf16"] * 2
    first = found.to_json()["rows"][0]
    assert (first["precision"], first["place"]["precision"]) == ("bf16", "bf16")
    monkeypatch.setattr(_app.out, "_width", 500)
    show_benchmark(found)
    assert f"{one.name}  bf16 " in capsys.readouterr().out
    report.write_benchmark(found, tmp_path / "page.html")
    assert "host/torch_cuda-bf16" in (tmp_path / "page.html").read_text()


@pytest.mark.slow
def test_what_is_not_computed_as_asked_is_said(hwnas_measure, networks):
    whole = networks["net-int8.onnx"]
    found = run(networks["net-fp32.onnx"], precisions=("int8",))
    assert not found.rows
    assert [item.reason for item in found.failures] == [
        "net-fp32.onnx must be computed in int8 to be measured on host/onnxruntime, but that computes it in "
        "fp32: ask for --precision fp32"
    ]
    found = run(networks["net-fp32.onnx"], precisions=("fp16",))
    assert found.failures[0].reason.endswith("in fp32: ask for --precision fp32 or --runtime torch_cuda")
    found = run(networks["net-fp32.onnx"], whole, precisions=("int8",))
    assert [row.file for row in found.rows] == [whole.name]
    assert [item.file for item in found.failures] == ["net-fp32.onnx"]
    found = run(whole, precisions=("int8", "fp32"))
    assert found.notes == (
        "nothing is measured in fp32 on host/onnxruntime: none of the files that it reads is of fp32",
    )
    for words in (("--precision", "fp16"), ("--precision", "int8,int8"), ("--precision", "int7")):
        hwnas_measure(whole, "--runtime", "onnxruntime", *words, code=2)


def test_operators_outside_the_delegate_are_named(tmp_path, networks):
    source = networks["net-fp32.tflite"]
    [row] = run(strangers.changed(source, tmp_path / "odd.tflite", strangers.left_outside)).rows
    assert row.placement.undelegated == {"L2_NORMALIZATION": 1}
    assert row.placement.said == (
        "XNNPACK took 25 of 26 operations in 1 partition; outside: 1 L2_NORMALIZATION"
    )
    assert row.placement.short == "XNNPACK 25/26"
    [row] = run(strangers.changed(source, tmp_path / "state.tflite", strangers.remembering)).rows
    assert (row.placement.nodes, row.placement.outside) == (27, 0), "the delegate keeps variables itself"


@pytest.mark.slow
def test_open_dimensions_several_inputs_and_threads(tmp_path, networks):
    lite = strangers.changed(networks["net-fp32.tflite"], tmp_path / "open.tflite", strangers.open_sides)
    onnx = strangers.convolution(tmp_path / "open.onnx", ["n", 3, "h", "w"])
    shapes = {"x": (2, 64, 48, 3), "image": (1, 3, 24, 16)}
    small = run(lite, onnx, shapes=shapes)
    large = run(lite, onnx, shapes={"x": (4, 128, 96, 3), "image": (4, 3, 48, 32)})
    assert not small.failures
    for one, other in zip(small.rows, large.rows, strict=True):
        assert one.latency_ms < other.latency_ms, "eight times the work"
    found = run(strangers.tokens(tmp_path / "tokens.onnx"), shapes={"tokens": (1, 20)})
    assert [row.file for row in found.rows] == ["tokens.onnx"]


def test_given_inputs_are_used(tmp_path):
    """A number that is no row of the table is found out by the runtime: it was really given."""
    path, file = strangers.tokens(tmp_path / "tokens.onnx"), tmp_path / "given.npz"
    np.savez(file, tokens=np.arange(12).reshape(1, 12), factor=np.ones(1, np.float32))
    assert len(run(path, inputs=file).rows) == 1
    np.savez(file, tokens=np.full((1, 12), 50), factor=np.ones(1, np.float32))
    [failure] = run(path, inputs=file).failures
    assert "tokens.onnx must run on host/onnxruntime, but" in failure.reason
    assert "50" in failure.reason


def test_what_does_not_run_stops_nothing_else(tmp_path, networks):
    source = networks["net-fp32.tflite"]
    files = [
        strangers.changed(source, tmp_path / "flex.tflite", strangers.flex),
        source,
        strangers.stranger(tmp_path / "stranger.onnx"),
        strangers.relu(tmp_path / "future.onnx", opset=99),
        strangers.relu(tmp_path / "relu.onnx"),
        tmp_path / "gone.onnx",
    ]
    found = run(*files)
    assert [row.file for row in found.rows] == ["net-fp32.tflite", "relu.onnx"]
    said = {item.file: item.reason for item in found.failures}
    assert said.keys() == {"flex.tflite", "stranger.onnx", "future.onnx", "gone.onnx"}
    assert said["flex.tflite"].startswith("flex.tflite must run on host/litert, but")
    assert said["flex.tflite"].endswith("lacks its custom operator FlexErf: convert it without")
    assert said["stranger.onnx"].endswith("lacks its custom operator Mystery: convert it without")
    assert "Opset 99" in said["future.onnx"]
    assert "onnxruntime_src" not in said["future.onnx"], "a place in its source tells a user nothing"
    assert not any("\n" in reason for reason in said.values())


def test_the_first_of_several_graphs_is_measured_and_it_is_said(tmp_path, networks):
    path = strangers.changed(networks["net-fp32.tflite"], tmp_path / "two.tflite", strangers.two_graphs)
    found = run(path)
    assert [row.file for row in found.rows] == ["two.tflite"]
    assert found.notes == ("two.tflite has 2 graphs: the first alone is measured",)


def test_files_of_one_name_in_two_folders_are_told_apart_everywhere(tmp_path, networks, capsys):
    for folder, name in (("old", "net-fp32.onnx"), ("new", "net-int8.onnx")):
        (tmp_path / folder).mkdir()
        shutil.copyfile(networks[name], tmp_path / folder / "net.onnx")
    odd = strangers.stranger(tmp_path / "stranger.onnx")
    found = run(tmp_path / "old" / "net.onnx", tmp_path / "new" / "net.onnx", odd, compare=True)
    names = ["old/net.onnx", "new/net.onnx"]
    assert [row.file for row in found.rows] == names
    assert [found.file(name).description.precision for name in names] == ["fp32", "int8"]
    (difference,) = found.differences
    both = f"{names[1]} on host/onnxruntime", f"{names[0]} on host/onnxruntime"
    assert (difference.second, difference.first) == both
    data = found.to_json()
    assert [row["file"] for row in data["rows"]] == names
    assert [row["precision"] for row in data["rows"]] == ["fp32", "int8"]
    assert [item["file"] for item in data["failures"]] == ["stranger.onnx"]
    report.write_benchmark(found, tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    assert all(page.count(f">{name}<") == 2 for name in names), "its row, and its line among the files"
    show_benchmark(found)
    printed = capsys.readouterr().out
    assert all(name in printed for name in names)
    assert difference.said in " ".join(printed.split())


def test_a_made_network_and_a_file_of_its_name_are_told_apart(tmp_path, networks):
    mine = shutil.copyfile(networks["net-fp32.onnx"], tmp_path / "mobilenetv2-0.1-r32.onnx")
    found = run(Path(mine), networks=["mobilenetv2-0.1-r32"], precisions=["fp32"], runtimes=["onnxruntime"])
    assert [row.file for row in found.rows][1] == "made/mobilenetv2-0.1-r32.onnx"
    assert [item.path for item in found.files] == [str(mine), None]


def test_weights_beside_a_file_count_and_are_not_sent_to_a_board(tmp_path):
    path = strangers.weights_beside(tmp_path / "conv.onnx")
    found = run(path)
    assert found.to_json()["rows"][0]["bytes"] > (tmp_path / "weights.bin").stat().st_size
    board = replace(HOST, name="board", transport="ssh")
    asked, unread = Asked([path], [HOST, board]), []
    models, _ = read(asked)
    assert [where.runtime for where, _ in chosen(asked, HOST, models, unread)] == ["onnxruntime"]
    assert not unread
    assert list(chosen(asked, board, models, unread)) == []
    assert unread[0].reason == (
        "a model must be one file to be measured on board, but the weights of conv.onnx are in weights.bin: "
        "save it as one file"
    )


def test_a_remedy_fits_what_went_wrong(tmp_path):
    whole = Description((Tensor("x", (None,), "int64"),), (), {}, "fp32")
    place = BenchmarkPlace("host", "onnxruntime", "cpu", 1)

    def reason(said: str, **shapes: tuple[int, ...]) -> str:
        return _reason(
            ReadFile(tmp_path / "m.onnx", "m.onnx", "onnx", "", whole, Given(shapes, "")),
            place,
            AgentError(said),
        )

    values = "without --inputs its x is 0, which it may not take: give better values"
    assert reason("run: indices must be over 0").endswith(f"indices must be over 0: {values}")
    for failed in ("run: Failed to allocate memory for x", "warmup: bad_alloc", "run: out of memory"):
        assert reason(failed, x=(1000, 2)).endswith(f"{failed}: it may be too large with --shape x=1000x2")
        assert reason(failed).endswith(failed)
    assert reason("allocate: RuntimeError:").endswith("allocate: RuntimeError: the runtime does not say why")


@pytest.mark.slow
def test_a_runtime_that_knows_few_operators_names_the_others(networks):
    files = [networks[name] for name in ("net-fp32.onnx", "net-int8.onnx")]
    found = run(*files, runtimes=("torch_cuda",))
    assert [(row.file, str(row.place)) for row in found.rows] == [("net-fp32.onnx", "host/torch_cuda")]
    assert [item.file for item in found.failures] == ["net-int8.onnx"]
    assert "must run on host/torch_cuda, but: load: operators must be of" in found.failures[0].reason
    assert "the model has DequantizeLinear, QuantizeLinear" in found.failures[0].reason


def test_what_fails_between_rounds_stops_nothing_else(tmp_path):
    """One file is damaged after it had run alone."""
    weak, strong = (strangers.relu(tmp_path / name) for name in ("weak.onnx", "strong.onnx"))

    def damage(text: str) -> None:
        if text.startswith("strong.onnx alone"):
            weak.write_bytes(b"no model any more")

    found = run(weak, strong, rounds=3, tell=damage)
    assert [(row.file, row.rounds) for row in found.rows] == [("strong.onnx", 3)]
    [failure] = found.failures
    assert (failure.file, failure.place) == ("weak.onnx", BenchmarkPlace("host", "onnxruntime", "cpu", 1))
    assert failure.reason.startswith("weak.onnx must run on host/onnxruntime, but: load")


def test_a_model_that_takes_its_process_along_is_a_failure(tmp_path, networks):
    """Flatbuffers that are whole and lie: LiteRT looks where nothing is."""

    def lie(model) -> None:
        model.subgraphs[0].operators[0].inputs = np.array([2**30, 1, 2], np.int32)

    bad = strangers.changed(networks["net-fp32.tflite"], tmp_path / "bad.tflite", lie)
    found = run(bad, networks["net-int8.tflite"])
    assert [row.file for row in found.rows] == ["net-int8.tflite"]
    assert [item.file for item in found.failures] == ["bad.tflite"]


def test_a_device_that_cannot_measure_says_so_for_each_file(networks):
    lite, onnx = networks["net-fp32.tflite"], networks["net-fp32.onnx"]
    [failure] = run(onnx, on=replace(HOST, runtimes=("litert",))).failures
    assert "must have a runtime that reads net-fp32.onnx" in failure.reason
    assert failure.reason.endswith(": ask for openvino or onnxruntime_openvino or torch_cuda")
    both = run(lite, onnx, on=replace(HOST, runtimes=("litert",)))
    assert [item.file for item in both.failures] == ["net-fp32.onnx"]
    [failure] = run(lite, on=replace(HOST, runtimes=("tflite_runtime",))).failures
    assert "must run tflite_runtime, but found 'litert'" in failure.reason
    [failure] = run(lite, threads=(999,)).failures
    assert "threads must have a CPU each" in failure.reason


def test_files_for_executorch_are_measured_with_it_without_being_asked(networks):
    """Or the extra is named; others are measured all the same."""
    program = Path(__file__).parents[1] / "runtimes" / "programs" / "conv-fp32.pte"
    found = run(program, networks["net-fp32.tflite"])
    measured = {row.file: row.place.runtime for row in found.rows}
    if installed("executorch"):
        assert measured == {"conv-fp32.pte": "executorch", "net-fp32.tflite": "litert"}
    else:
        assert measured == {"net-fp32.tflite": "litert"}
        assert "pip install 'hwnas[executorch]'" in found.failures[0].reason


def test_a_file_that_one_of_two_devices_reads_is_no_failure(networks):
    one = networks["net-fp32.onnx"]
    other = replace(HOST, name="other", runtimes=("litert",), also=("onnxruntime",))
    found = benchmark(Asked([one], [HOST, other]), form(2))
    assert not found.failures
    assert found.notes == (
        "other must have a runtime that reads net-fp32.onnx to measure it there, but litert is asked for: "
        "ask for onnxruntime",
    )


def test_what_is_asked_for_and_not_measured_is_said(networks):
    """A PASS of some runtimes must not be taken for one of all that were named."""
    other = replace(HOST, name="other", runtimes=("litert",), also=())
    asked = Asked([networks["net-int8.tflite"]], [HOST, other], runtimes=("litert", "onnxruntime"))
    found = benchmark(asked, form(2))
    assert {str(row.place) for row in found.rows} == {"host/litert", "other/litert"}
    assert found.notes == (
        "onnxruntime reads none of the files: nothing is measured with it",
        "other has no onnxruntime: nothing is measured with it there",
    )


@pytest.mark.slow
def test_what_an_agent_does_not_tell_is_not_made_up(networks, tmp_path, monkeypatch):
    """An agent of somebody's own that answers samples and nothing else, and takes no shapes."""
    hwnas.load_plugins(_plugin(tmp_path))
    try:
        own = replace(HOST, runtimes=("byte_counter",))
        path = networks["net-int8.tflite"]
        [row] = run(path, on=own, per_op=True).rows
        told = (row.load_ms, row.first_run_ms, row.peak_memory_bytes, row.operations)
        assert told == (None, None, None, None)
        assert row.placement == Placement("XNNPACK")
        assert row.placement.short == "XNNPACK: not told"
        opened = strangers.changed(path, tmp_path / "open.tflite", strangers.open_sides)
        [failure] = run(opened, on=own, shapes={"x": (1, 96, 96, 3)}).failures
        assert "an agent must take the shapes of a model, but that of host/byte_counter-int8 cannot" in (
            failure.reason
        )
    finally:
        hwnas.plugins.forget()


def _plugin(folder: Path) -> Path:
    """A file that registers the runtime of ``tests/runtimes/byte_counter``."""
    agent = Path(__file__).parents[1] / "runtimes" / "byte_counter" / "agent.py"
    file = folder / "plugin.py"
    file.write_text(
        "import runpy\nfrom hwnas import runtimes\n"
        f"made = runpy.run_path({str(agent)!r})\nruntimes.register(made['runtime']())\n"
    )
    return file


def test_a_difference_needs_rounds():
    unknown = LatencyDifference("a", "b", 1.2, None, True)
    assert not unknown.is_shown
    assert "too few" in unknown.said
    real = LatencyDifference("a", "b", 1.2, (1.1, 1.3), True, chance=0.001)
    assert real.is_shown
    assert real.said == "b takes 1.200× the time of a (95 %: 1.100 to 1.300)"


def test_a_small_ratio_keeps_its_digits():
    assert "takes 0.00312× the time of a (95 %: 0.00287 to 0.00401" in (
        LatencyDifference("a", "b", 0.003123, (0.002871, 0.004012), True).said
    )
    assert "(95 %: 1.001 to 1.004)" in LatencyDifference("a", "b", 1.0025, (1.001, 1.004), True).said
    large = LatencyDifference("a", "b", 40.2204, (39.1111, 41.0911), True).said
    assert "takes 40.2× the time of a (95 %: 39.1 to 41.1)" in large


def test_among_many_pairs_chance_is_no_difference(measured, tmp_path, monkeypatch, capsys):
    """An interval that just leaves 1 out is one in twenty, and of twenty there is one."""
    [first, *_] = measured.rows
    first = replace(first, latency_ms=1.0, interval_ms=(0.99, 1.01))
    near = replace(first, file="near", latency_ms=1.0165, interval_ms=(1.0065, 1.0265))
    far = replace(near, file="far", latency_ms=1.1, interval_ms=(1.09, 1.11))
    [alone] = _differences([first, near])
    assert alone.is_shown
    assert "among" not in alone.said
    found = list(_differences([first, near, far, *(replace(first, file=f"same{n}") for n in range(10))]))
    assert [item.is_shown for item in found] == [False, True, *[False] * 10]
    assert found[0].interval == alone.interval
    assert found[0].interval[0] > 1
    assert found[0].said.endswith("no difference shown among so many pairs")
    assert found[2].said.endswith("no difference shown")
    assert all(item.chance is None for item in _differences([first, replace(near, interval_ms=None)]))
    many = replace(measured, differences=tuple(found))
    said = "noise alone shows a difference anywhere among these 12 pairs in 5 % of cases at most (Holm)"
    assert said in printed(many, 500, monkeypatch, capsys)
    report.write_benchmark(many, tmp_path / "page.html")
    assert said in (tmp_path / "page.html").read_text()
    assert many.to_json()["differences"][0]["is_shown"] is False


def test_the_page_has_the_verdict_of_the_terminal(measured, tmp_path):
    failed = Failure("gone.onnx", None, "gone.onnx is not there")
    report.write_benchmark(replace(measured, failures=(failed,)), tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text()
    word = measured.verdict.word
    assert "Within 1000 ms" in text
    assert f"{word}</span>, but for what was not measured: gone.onnx" in text
    report.write_benchmark(replace(measured, rows=(), sessions=(), differences=()), tmp_path / "page.html")
    assert "Within 1000 ms" not in (tmp_path / "page.html").read_text()


def printed(found: FileBenchmark, width: int, monkeypatch, capsys) -> str:
    monkeypatch.setenv("COLUMNS", str(width))  # without it, what goes to no terminal is as wide as its text
    monkeypatch.setattr(_app.out, "_width", width)  # it may have been fixed by COLUMNS when it was made
    show_benchmark(found)
    return capsys.readouterr().out


def test_a_narrow_terminal_shows_fewer_columns_and_breaks_no_number(measured, monkeypatch, capsys):
    wide = printed(measured, 200, monkeypatch, capsys)
    assert "too narrow" not in wide
    text = printed(measured, 80, monkeypatch, capsys)
    assert "too narrow here for size, memory" in text
    tables = [line for line in text.splitlines() if "too narrow" not in line]
    assert not any(" size " in line or "memory" in line for line in tables)
    for row in measured.rows:
        [line, *_] = [line for line in tables if line.startswith(row.file)]
        assert row.verdict.word in line
        assert row.placement.short in line
        shown = [float(number) for number in re.findall(r"\d+\.\d+", line.removeprefix(row.file))]
        assert pytest.approx(row.latency_ms, rel=0.01) in shown
    assert all(len(line) <= 80 for line in text.split("too narrow")[0].splitlines())


def test_a_long_name_folds_and_nothing_else(measured, monkeypatch, capsys):
    [facts, *_], [row, *_] = measured.files, measured.rows
    name = "a_name_of_a_file_that_is_much_longer_than_a_terminal.tflite"
    files, rows = (replace(facts, name=name),), (replace(row, file=name),)
    long = replace(measured, files=files, rows=rows, sessions=measured.sessions[:1], differences=())
    text = printed(long, 80, monkeypatch, capsys)
    assert "too narrow here for size, memory, first run, load, p90: --json and --html have them" in text
    [line] = [line for line in text.splitlines() if row.placement.short in line]
    assert row.verdict.word in line
    assert name in "".join(line[:80].split()[0] for line in text.splitlines()[2:] if line.split())
    assert "…" not in printed(long, 30, monkeypatch, capsys), "where nothing has room, all folds"


def test_a_profile_that_is_far_from_the_latency_says_so(measured, monkeypatch, capsys, tmp_path):
    row = next(row for row in measured.rows if row.operations)
    near = replace(row, operations=(Operation("Conv", "CPU", row.latency_ms * 1e3 * 1.1),))
    assert near.operations_said == ""
    far = replace(row, latency_ms=4.7, operations=(Operation("Conv", "CPU", 24_600.0),))
    said = (
        "its operations together take 24.6 ms a run in their profile, but its latency is 4.7 ms: "
        "their shares count, not their microseconds"
    )
    assert far.operations_said == said
    found = replace(measured, rows=(far,))
    assert f"{row.name}: {said}" in printed(found, 80, monkeypatch, capsys)
    assert found.to_json()["rows"][0]["operations_said"] == said
    report.write_benchmark(found, tmp_path / "page.html")
    assert said in (tmp_path / "page.html").read_text()


def test_the_reasons_of_the_whole_name_their_files(measured):
    rows = [replace(row, verdict=Verdict("FAIL", ("it is slow",))) for row in measured.rows[:2]]
    found = replace(measured, rows=tuple(rows)).to_json()
    assert found["verdict"]["reasons"] == [f"{row.name}: it is slow" for row in rows]
    assert found["rows"][0]["verdict"]["reasons"] == ["it is slow"]


def test_a_device_that_is_not_there_is_one_error(measured, capsys, tmp_path):
    failures = [Failure(name, None, "pixel: no such phone") for name in ("a.onnx", "b.onnx")]
    found = replace(measured, rows=(), sessions=(), failures=tuple(failures))
    with pytest.raises(typer.Exit):
        leave_benchmark(found, accept_noise=False)
    assert capsys.readouterr().err.count("no such phone") == 1
    report.write_benchmark(found, tmp_path / "page.html")
    assert (tmp_path / "page.html").read_text().count("no such phone") == 1
    assert len(found.to_json()["failures"]) == 2, "each file has its own in the data"


def test_a_place_is_a_target_without_the_precision():
    assert str(BenchmarkPlace.of(Target("host", "litert", "int8"))) == "host/litert"
    assert str(BenchmarkPlace.of(Target("pixel", "litert", "fp32", "gpu", 4))) == "pixel/litert-gpu-t4"
    assert str(BenchmarkPlace.of(Target("pixel", "litert", "fp16", "gpu"))) == "pixel/litert-fp16-gpu"


@pytest.mark.slow
def test_the_page_holds_all_and_names_are_text(measured, tmp_path, networks):
    odd = strangers.relu(tmp_path / "a<b>&.onnx")
    page = tmp_path / "page.html"
    report.write_benchmark(run(odd, tmp_path / "gone<i>.onnx", budget_ms=1e-9, rounds=6), page)
    text = page.read_text()
    assert "a&lt;b&gt;&amp;.onnx" in text
    assert "a<b>" not in text
    assert "gone&lt;i&gt;.onnx" in text
    assert "FAIL" in text
    report.write_benchmark(measured, page)
    text = page.read_text()
    for words in (
        *networks,
        "host/litert",
        "Which differences are real?",
        "XNNPACK",
        "Operations of",
        "17 Conv",
    ):
        assert words in text
    assert "http" not in text.replace("http-equiv", ""), "one file that asks for nothing"


@pytest.mark.slow
def test_nobody_is_shut_out_of_the_page_of_a_benchmark(measured, tmp_path, browser):
    lasting = replace(
        measured.rows[0], endurance=Endurance(tuple((float(s), 1.0 + s / 90) for s in range(40)))
    )
    page = tmp_path / "page.html"
    report.write_benchmark(replace(measured, rows=(lasting, *measured.rows[1:])), page)
    assert shown_to_all(browser, page) == []
    assert browser.problems == []


@pytest.fixture
def hwnas_measure(monkeypatch):
    """The verb in this process."""
    hurry(monkeypatch)
    monkeypatch.setattr(_app.out, "_width", 500)

    def invoke(*words: object, code: int = 0):
        done = CliRunner(env={"COLUMNS": "500"}).invoke(app, ["measure", *map(str, words)])
        assert done.exit_code == code, (done.output, done.exception)
        return done

    return invoke


def test_the_verb_prints_a_row_for_each_file(hwnas_measure, networks, tmp_path):
    page = tmp_path / "page.html"
    words = (*networks.values(), "--rounds", 6, "--compare", "--per-op", "--html", page)
    done = hwnas_measure(*words)
    for name in networks:
        assert name in done.stdout
    assert "XNNPACK" in done.stdout
    assert "takes" in done.stdout
    assert "net-fp32.tflite on host/litert: its runtime has no profile of operations there" in done.stdout
    assert "CPUExecutionProvider" in done.stdout
    assert page.is_file()


def test_without_a_terminal_each_step_is_a_line_of_standard_error(hwnas_measure, networks):
    one = networks["net-int8.onnx"]
    done = hwnas_measure(one, "--rounds", 3, "--json")
    assert done.stderr.splitlines() == [
        "reading the files",
        f"{one.name} alone on host/onnxruntime",
        "measuring on host/onnxruntime",
    ], "what counts up is no line of its own"
    assert json.loads(done.stdout)["rows"]


@pytest.mark.slow
def test_the_verb_leaves_with_the_code_of_the_verdict(hwnas_measure, networks, tmp_path):
    one = networks["net-fp32.onnx"]
    assert "FAIL" in hwnas_measure(one, "--rounds", 6, "--budget-ms", "0.000001", code=1).stdout
    assert "NOT PROVEN" in hwnas_measure(one, "--rounds", 2, "--budget-ms", 1e6, code=3).stdout
    hwnas_measure(one, "--rounds", 2, "--budget-ms", 1e6, "--accept-noise")
    done = hwnas_measure(one, tmp_path / "gone.onnx", "--rounds", 2, "--json", code=1)
    data = json.loads(done.stdout)
    assert [row["file"] for row in data["rows"]] == ["net-fp32.onnx"]
    assert "gone.onnx: a model must be a file that is there" in done.stderr
    done = hwnas_measure(one, tmp_path / "gone.onnx", "--rounds", 6, "--budget-ms", 1e6, code=1)
    assert done.stdout.rstrip().endswith(", but for what was not measured: gone.onnx"), "no plain PASS"
    hwnas_measure(one, "", code=2)
    page = tmp_path / "no folder" / "page.html"
    page.parent.write_text("a file")
    done = CliRunner().invoke(app, ["measure", str(one), "--html", str(page)])
    assert done.exit_code == 1
    assert "must be" in str(done.exception)
    done = CliRunner().invoke(app, ["measure", str(one), "--html", str(shutil.copy(one, tmp_path))])
    assert "may only replace an earlier one, but" in str(done.exception)
    assert (tmp_path / one.name).read_bytes() == one.read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_whoever_ends_it_finds_nothing_left_behind(networks, tmp_path, number):
    words = [networks["net-fp32.onnx"], "--rounds", "200", "--max-rounds", "200"]
    program = [sys.executable, "-m", "hwnas", "measure", *map(str, words)]
    running = subprocess.Popen(
        program,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(number, signal.SIG_DFL),  # as shells and nohup may ignore it
    )
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob("*.jsonl")) and time.monotonic() < deadline:
        time.sleep(0.05)  # until an agent has its plan
    assert list(tmp_path.iterdir())
    running.send_signal(number)
    said = running.communicate(timeout=60)[1]
    assert running.returncode == 128 + number
    assert ("and nothing of hwnas measure" in said) == (number == signal.SIGINT)
    left = {path.name for path in tmp_path.rglob("*")} - {".ses"}  # of ONNX Runtime's own telemetry
    assert not left


def test_a_phone_or_a_board_is_named_as_in_other_verbs(networks, monkeypatch):
    asked = []

    def stop(given, *_):
        asked.append(given)
        raise HwnasError("enough")

    monkeypatch.setattr("hwnas.benchmark.benchmark", stop)
    words = ["measure", str(networks["net-fp32.tflite"]), "--device", "raspberrypi5", "--serial", "pi@board"]
    CliRunner().invoke(app, words)
    assert [item.options["serial"] for item in asked[0].devices] == ["pi@board"]
    assert CliRunner().invoke(app, [*words, "--device", "pixel"]).exit_code == 2, "of which?"
    assert len(asked) == 1


def test_a_misspelt_name_is_told(tmp_path):
    for name in ("mobilnetv2", "efficientnet-lite9", "resnet50-0.5"):
        done = CliRunner().invoke(app, ["measure", name, "--precision", "int8"])
        assert done.exit_code == 1
        assert f"but got {name!r}" in str(done.exception)
    code = CliRunner().invoke(app, ["measure", "mobilenetv2", "--runtime", ""]).exit_code
    assert code == 2, "an empty word is no default"


def test_the_public_function_is_what_the_verb_calls(networks):
    one = networks["net-int8.onnx"]
    found = hwnas.measure(str(one), options=form(2), budget_ms=1000.0)
    assert isinstance(found, hwnas.FileBenchmark)
    assert [row.file for row in found.rows] == [one.name]
    assert found.verdict.word == "NOT PROVEN"
    with pytest.raises(hwnas.HwnasError, match="is there twice"):
        hwnas.measure([one, str(one)])


@pytest.mark.slow
def test_verify_takes_a_single_file_with_a_budget(networks, tmp_path):
    file = str(networks["net-int8.tflite"])

    def verify(*words: str) -> tuple[int, str]:
        done = CliRunner(env={"COLUMNS": "500"}).invoke(app, ["verify", *words])
        assert not isinstance(done.exception, AssertionError)
        return done.exit_code, done.output

    few = ("--rounds", "6", "--samples", "2", "--min-round-s", "0")
    code, said = verify(file, "--budget-ms", "1000", *few)
    assert (code, "PASS" in said) == (0, True)
    code, said = verify(file, "--budget-ms", "0.000001", "--json", *few)
    assert code == 1
    assert json.loads(said.splitlines()[-1])["verdict"]["verdict"] == "FAIL"
    for words, sentence in (
        ((file,), "a single file must have a budget to keep"),
        ((file, "--budget-ms", "5", "--data", "digits"), "--data must only be given with a folder"),
        ((str(tmp_path), "--budget-ms", "5"), "--budget-ms must only be given with a single file"),
    ):
        code, said = verify(*words)
        assert (code, sentence in said) == (2, True)
    code, said = verify(str(tmp_path / "no.onnx"), "--budget-ms", "5")
    assert (code, "must be a file that is there" in said) == (1, True)


@pytest.mark.slow
def test_a_known_network_is_made_in_every_format_that_is_read():
    name = "mobilenetv2-0.25-r32-c10"
    found = run(networks=[name], precisions=["int8"], budget_ms=1000.0)
    assert [(row.file, row.place.runtime) for row in found.rows] == [
        (f"{name}.int8.tflite", "litert"),
        (f"{name}.int8.onnx", "onnxruntime"),
    ]
    assert {found.file(row.file).description.precision for row in found.rows} == {"int8"}
    assert run(networks=[name], precisions=["16x8", "int8"], runtimes=["onnxruntime"]).notes == (
        "nothing is measured in 16x8 on host/onnxruntime: that does not compute in it on the cpu",
    )
    assert [item["path"] for item in found.to_json()["files"]] == [None, None], "their folder is no more"
    with pytest.raises(hwnas.HwnasError, match="a baseline must be one of"):
        run(networks=["nothing-known"])
    with pytest.raises(
        hwnas.HwnasError, match="precisions must be of fp32, int8, 16x8, fp16, bf16, tf32, but got int7"
    ):
        run(networks=[name], precisions=["int7"])
    with pytest.raises(hwnas.HwnasError, match="none does in int8: host/torch_cuda has fp32"):
        run(networks=[name], precisions=["int8"], runtimes=["torch_cuda"])


def test_the_verb_takes_a_name_and_puts_the_fastest_first(hwnas_measure, networks):
    name = "mobilenetv2-0.25-r32-c10"
    done = hwnas_measure(name, networks["net-fp32.onnx"], "--precision", "fp32", "--rounds", 2)
    after = done.stdout.split("the fastest first")[1]
    for file in (f"{name}.tflite", f"{name}.onnx", "net-fp32.onnx"):
        assert file in after


@pytest.mark.slow
def test_a_model_that_runs_without_a_pause_has_a_curve(networks, tmp_path):
    one = networks["net-int8.tflite"]
    found = run(one, repeat_s=10.0)
    (row,) = found.rows
    points = row.endurance.points
    assert len(points) == 10
    seconds = [s for s, _ in points]
    assert seconds[0] == 0
    assert all(later - before >= 0.8 for before, later in pairwise(seconds)), "each is a second's work"
    assert all(ms > 0 for _, ms in points)
    assert 0 < row.endurance.busy < 1.1
    assert row.endurance.said.startswith(f"{row.endurance.first_ms:.3g} ms in the first tenth of")
    assert tuple(points) == found.to_json()["rows"][0]["endurance"]["points"]
    page = report.write_benchmark(found, tmp_path / "page.html")
    assert "Without a pause" in (tmp_path / "page.html").read_text(), page


def test_an_endurance_compares_its_ends():
    slower = Endurance(tuple((float(s), 1.0 if s < 50 else 1.5) for s in range(100)))
    assert (slower.first_ms, slower.last_ms, slower.seconds) == (1.0, 1.5, 99.0)
    assert "(1.50×)" in slower.said
    assert "CPU" not in slower.said
    assert "CPU" not in replace(slower, busy=0.97).said
    assert "it had its CPU for 27% of that time: what else ran there" in replace(slower, busy=0.27).said


@pytest.mark.parametrize(("text", "seconds"), [("90", 90), ("90s", 90), ("1.5 min", 90), ("1h", 3600)])
def test_times_are_typed_with_their_unit(text, seconds):
    assert seconds_of(text) == seconds
    for odd in ("", "min", "1 day", "-5s", "5m"):
        with pytest.raises(hwnas.HwnasError, match="a time must be written"):
            seconds_of(odd)
