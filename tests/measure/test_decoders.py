"""Blocks of several inputs are rows of a table like others: exported, and timed by each agent."""

from __future__ import annotations

from pathlib import Path

import pytest
from installed import need_agent
from quick_measuring import form

from hwnas import device, measure
from hwnas.blocks import LRASPP, Conv, FPNSum
from hwnas.measure.plan import items
from hwnas.space import Choice, SearchSpace
from hwnas.tables.table import LatencyTable

pytestmark = pytest.mark.usefixtures("warm_processes")

SPACE = SearchSpace(
    "decoded",
    (3, 16, 24),
    (),
    (
        Choice("fine", tuple(Conv(3, 8, kernel, 2) for kernel in (3, 5, 7))),
        Choice("coarse", (Conv(8, 16, 3, 2),)),
        Choice("decoder", (LRASPP((8, 16), 16, 5, 2), FPNSum((8, 16), 16, 5)), (("fine", "coarse"),) * 2),
    ),
    (),
)
QUICK = form(2, calibration_networks=1, heldout_networks=1)


def test_a_block_reads_all_that_goes_in():
    rows = {item.key: item for item in items([SPACE], QUICK)}
    row = rows["lraspp_i8-16_h16_c5_f2_u1_arelu6@8x8x12+16x4x6"]
    assert row.input_shape == ((8, 8, 12), (16, 4, 6))
    assert row.reads == ((-1,),)


@pytest.mark.parametrize(
    ("runtime", "precision"),
    [
        ("litert", "int8"),
        ("onnxruntime", "fp32"),
        pytest.param("litert", "16x8", marks=pytest.mark.slow),
        pytest.param("onnxruntime", "int8", marks=pytest.mark.slow),
        pytest.param("openvino", "int8", marks=pytest.mark.slow),
        pytest.param("torch_cuda", "fp32", marks=pytest.mark.slow),
    ],
)
def test_every_row_is_measured(runtime: str, precision: str, tmp_path: Path):
    if runtime in ("openvino", "torch_cuda"):
        need_agent(runtime)
    host = device.load("host")
    target = host.target(runtime, precision)
    table = LatencyTable.load(measure.profile(host, SPACE, [target], tmp_path, QUICK)[target])
    assert set(table.of_kind("block")) == {workload.key() for workload in SPACE.workloads()}
    assert all(row.latency_ms > 0 for row in table.measurements.values())
