"""What a switch is in the files that are measured, and that it is measured like any block."""

from __future__ import annotations

from pathlib import Path

import pytest
from quick_measuring import form
from typer.testing import CliRunner

from hwnas import blocks, device, files, spaces
from hwnas.bits import rows
from hwnas.bits.costs import PrecisionRows
from hwnas.blocks import Conv, Head, Switch
from hwnas.cli import app
from hwnas.errors import DeviceError
from hwnas.export import random_module
from hwnas.export.mixed import layers_of
from hwnas.measure import export_worker
from hwnas.measure.plan import workload_items
from hwnas.runtimes import litert, onnxruntime
from hwnas.space import Workload
from hwnas.tables.table import LatencyTable

SHAPE = (16, 6, 6)


def lowered(folder, runtime, before, after):
    """The file that is measured."""
    path = folder / "model"
    task = {
        "blocks": [Switch(SHAPE[0], before, after).key()],
        "reads": [[-1]],
        "input_shape": SHAPE,
        "runtime": runtime,
        "precision": "int8",
        "batch": 1,
        "seed": 0,
        "check": False,
        "path": str(path),
    }
    assert "error" not in export_worker.answer(task)
    return path.read_bytes()


@pytest.mark.parametrize(
    ("before", "after", "changes", "partitions"),
    [
        ("int8", "int8", {}, 1),
        ("fp32", "fp32", {}, 1),
        ("int8", "fp32", {"DEQUANTIZE": 1}, 1),
        ("fp32", "int8", {"QUANTIZE": 1}, 1),
        ("int8", "16x8", {"QUANTIZE": 1}, 1),
        ("16x8", "16x8", {}, 0),
    ],
)
def test_litert_changes_once_and_where_it_can_in_the_delegate(tmp_path, before, after, changes, partitions):
    found = litert.execution(lowered(tmp_path, "litert", before, after))
    assert found.operators == {"DEPTHWISE_CONV_2D": 2} | changes
    assert found.partitions == partitions


@pytest.mark.parametrize(("before", "after"), [("int8", "fp32"), ("fp32", "int8")])
def test_onnx_runtime_has_one_layer_whole_and_the_other_float(tmp_path, before, after):
    found = onnxruntime.execution(lowered(tmp_path, "onnxruntime", before, after)).operators
    assert found["QLinearConv"] == found["Conv"] == 1
    assert found["DequantizeLinear"] == found["QuantizeLinear"] == 1, "one of the two is at an end"


def test_no_latency_of_blocks_is_learnt_from_switches():
    workloads = [Workload(Switch(8, "int8", "fp32"), (8, 4, 4)), Workload(Conv(3, 8), (3, 8, 8))]
    assert [item.kind for item in workload_items(workloads)] == ["switch", "block"]


@pytest.mark.usefixtures("warm_processes")
@pytest.mark.slow
def test_a_network_in_all_precisions_is_measured_into_tables(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(rows, "_SHAPES", 2)
    host = device.load("host")
    layers = layers_of(random_module([Conv(3, 8, 3, 2), Head(8, 8, 4)], 0), (3, 8, 8))
    paths = rows.measured(host, layers, host.target("litert", "int8"), tmp_path, form(1), lambda _: None)
    assert [target.precision for target in paths] == ["int8", "fp32", "16x8"]
    found = PrecisionRows({target.precision: LatencyTable.load(path) for target, path in paths.items()})
    assert found.covers(layers)
    costs = found.costs(layers)
    assert costs.sizes == (3, 3, 3)
    assert [pair.edge for pair in costs.pairs] == [(0, 1), (1, 2)]


def test_a_runtime_that_mixes_nothing_is_refused():
    host = device.load("host")
    with pytest.raises(DeviceError, match=r"must mix precisions.*executorch does not: use one of litert"):
        rows.targets(host.target("executorch", "int8"))


def test_profile_measures_the_layers_of_a_run(tmp_path, monkeypatch):
    """Each runtime in all its precisions; switches are rows of int8."""
    arch = spaces.load("macro", resolution=16).architecture([0] * 8)
    files.write_json(tmp_path / "run" / "arch.json", arch.to_json())
    asked = {}

    def noted(host, _spaces, targets, *_, only):
        (target,) = targets
        asked[target] = only
        LatencyTable(target, {}).save(tmp_path / target.slug)
        return {target: tmp_path / target.slug}

    monkeypatch.setattr(rows, "profile", noted)
    options = ["--layers-of", str(tmp_path / "run"), "--runtime", "litert,onnxruntime", "--json"]
    done = CliRunner().invoke(app, ["profile", *options])
    assert done.exit_code == 0, done.output
    names = ["litert-int8", "litert-fp32", "litert-16x8", "onnxruntime-int8", "onnxruntime-fp32"]
    assert [target.slug for target in asked] == names
    layers = layers_of(blocks.network(arch), arch.space.input_shape)
    for target, only in asked.items():
        assert {layer.workload for layer in layers} <= set(only)
        assert any(isinstance(each.block, Switch) for each in only) == (target.precision == "int8")
