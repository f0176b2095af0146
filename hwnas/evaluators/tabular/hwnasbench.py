"""HW-NAS-Bench (arXiv:2103.10584), published by github.com/GATECH-EIC/HW-NAS-Bench.

The file, ``HW-NAS-Bench-v1_0.pickle``, is a pickled dictionary. ``nasbench201`` has by data set a list a
metric (``pixel3_latency`` in ms, ``fpga_energy`` in mJ), in the order of ``config``, where ``arch_str`` is
the cell. ``fbnet`` has by metric what each block costs, by a text of its shapes; a network costs their sum.
Devices are edgegpu (Jetson TX2), raspi4, edgetpu, pixel3, eyeriss and fpga, edgetpu not for FBNet; latencies
are of one image.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from hwnas.blocks import MBConv
from hwnas.evaluators.tabular.costs import CostTable, by_arch
from hwnas.evaluators.tabular.nasbench201 import operations_of
from hwnas.evaluators.tabular.records import WRONG, unlike
from hwnas.evaluators.tabular.unpickling import read_pickle
from hwnas.latency.base import Cost
from hwnas.space import SearchSpace, Workload

_LATENCY, _ENERGY = "_latency", "_energy"
_HEADS = {100: 1504, 1000: 1984}  # channels before the classifier, by the number of classes


def read(path: Path, dataset: str) -> dict[str, CostTable]:
    """What the cells of NAS-Bench-201 cost by device, by the numbers of their operations.

    Args:
        path: The file.
        dataset: ``cifar10``, ``cifar100`` or ``ImageNet16-120``.

    Raises:
        DataError: The file is damaged or of another form, or lacks the data set.
    """
    try:
        tables = _content(path)["nasbench201"][dataset]
        archs = [operations_of(config["arch_str"]) for config in tables["config"]]
        return {
            device: CostTable(
                device,
                by_arch(archs, tables[device + _LATENCY], f"{device} in {path}"),
                by_arch(archs, tables[device + _ENERGY], f"{device} in {path}")
                if device + _ENERGY in tables
                else {},
            )
            for device in _devices(tables)
        }
    except WRONG as error:
        raise unlike("HW-NAS-Bench", path, error) from error


def fbnet_costs(path: Path, space: SearchSpace) -> dict[str, Cost]:
    """Latency of FBNet's candidates by device, in ms: sums that any search can take as a budget.

    Args:
        path: The file.
        space: ``fbnet-r32-c100-cifar`` or ``fbnet-r224-c1000-imagenet``. For ImageNet, the published head
            is of 1984 channels instead of the space's 1504, which is in the fixed part.

    Raises:
        DataError: The file is damaged or of another form, or lacks a block of the space.
    """
    try:
        tables = _content(path)["fbnet"]
        return {device: _cost(tables[device + _LATENCY], space) for device in _devices(tables)}
    except WRONG as error:
        raise unlike("HW-NAS-Bench", path, error) from error


def _content(path: Path) -> Any:
    with path.open("rb") as file:
        return read_pickle(file, path)


def _devices(tables: Mapping[str, Any]) -> list[str]:
    return [name.removesuffix(_LATENCY) for name in tables if name.endswith(_LATENCY)]


def _cost(table: Mapping[str, float], space: SearchSpace) -> Cost:
    stem, head = space.fixed
    side, width, classes, _ = _shapes(head)
    hidden = _HEADS[classes]
    fixed = (
        _conv(*_shapes(stem), kernel=3),
        _conv(side, width, hidden, 1, kernel=1),
        f"AvgP_H{side}_W{side}_Cin{hidden}_Cout{hidden}_kernel{side}_stride1",
        f"FC_Cin{hidden}_Cout{classes}",
    )
    choices = tuple(
        np.array([float(table[_candidate(w)]) for w in workloads]) for workloads in space.choice_workloads
    )
    return Cost(sum(float(table[key]) for key in fixed), choices)


def _shapes(workload: Workload) -> tuple[int, int, int, int]:
    """Side and channels of what it reads, channels of what it gives, and its stride."""
    ((inputs, side, _),) = workload.in_shapes
    outputs, side_after, _ = workload.block.out_shape(workload.in_shape)
    return side, inputs, int(outputs), side // int(side_after)


def _conv(side: int, inputs: int, outputs: int, stride: int, *, kernel: int) -> str:
    return f"ConvNorm_H{side}_W{side}_Cin{inputs}_Cout{outputs}_kernel{kernel}_stride{stride}_group1"


def _candidate(workload: Workload) -> str:
    """What a table calls a candidate."""
    side, inputs, outputs, stride = _shapes(workload)
    shapes, block = f"H{side}_W{side}_Cin{inputs}_Cout{outputs}", workload.block
    if not isinstance(block, MBConv):
        return f"Skip_{shapes}_stride{stride}"
    return (
        f"ConvBlock_{shapes}_exp{block.expansion_ratio:g}_kernel{block.kernel_size}_stride{stride}_"
        f"group{block.groups}"
    )
