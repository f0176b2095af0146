"""Costs of networks on devices, as HW-NAS-Bench and HELP publish them."""

from __future__ import annotations

import json
import pickle
import shutil

import numpy as np
import published_files as published
import pytest
import torch

from hwnas import spaces
from hwnas.budget import Budget
from hwnas.errors import DataError
from hwnas.evaluators.tabular import Benchmark, hwnasbench
from hwnas.evaluators.tabular import help as help_latencies
from hwnas.evaluators.tabular.costs import CostTable
from hwnas.search.problem import Constraint

CELLS = [(0, 1, 2, 3, 4, 0), (4, 4, 4, 4, 4, 4), (3, 1, 0, 2, 0, 1)]
TEXTS = [published.cell_text(cell) for cell in CELLS]
KERNELS = [(3, 1, 1), (3, 1, 2), (3, 3, 1), (3, 6, 1), (5, 1, 1), (5, 1, 2), (5, 3, 1), (5, 6, 1)]


def fbnet_blocks(side, strides, hidden, classes):
    """Blocks of the FBNet space as HW-NAS-Bench calls them, and what a network of first candidates costs."""
    table, first = {}, 0.0

    def add(key, is_first=True):
        nonlocal first
        cost = table.setdefault(key, len(table) + 1.0)
        first += cost * is_first

    stem = 2 if side == 224 else 1
    add(f"ConvNorm_H{side}_W{side}_Cin3_Cout16_kernel3_stride{stem}_group1")
    side, channels = side // stem, 16
    for depth, width, first_stride in zip(
        (1, 4, 4, 4, 4, 4, 1), (16, 24, 32, 64, 112, 184, 352), strides, strict=True
    ):
        for layer in range(depth):
            stride = first_stride if layer == 0 else 1
            at = f"H{side}_W{side}_Cin{channels}_Cout{width}"
            for number, (kernel, ratio, groups) in enumerate(KERNELS):
                tail = f"exp{ratio}_kernel{kernel}_stride{stride}_group{groups}"
                add(f"ConvBlock_{at}_{tail}", is_first=number == 0)
            add(f"Skip_{at}_stride{stride}", is_first=False)
            side, channels = side // stride, width
    add(f"ConvNorm_H{side}_W{side}_Cin352_Cout{hidden}_kernel1_stride1_group1")
    add(f"AvgP_H{side}_W{side}_Cin{hidden}_Cout{hidden}_kernel{side}_stride1")
    add(f"FC_Cin{hidden}_Cout{classes}")
    return table, first


def hw_nas_bench():
    """The dictionary of ``HW-NAS-Bench-v1_0.pickle``."""
    config = [{"name": "infer.tiny", "C": 16, "N": 5, "arch_str": text, "num_classes": 10} for text in TEXTS]
    cells = {
        "config": config,
        "pixel3_latency": [3.5, 9.25, np.float64(4.0)],
        "fpga_latency": np.array([2.5, 3.5, 4.5]),
        "fpga_energy": [18.0, 19.0, 20.0],
        "eyeriss_arithmetic_intensity": [1.0, 1.0, 1.0],
    }
    small, _ = fbnet_blocks(32, (1, 1, 2, 2, 1, 2, 1), 1504, 100)
    large, _ = fbnet_blocks(224, (1, 2, 2, 2, 1, 2, 1), 1984, 1000)
    return {
        "nasbench201": {"cifar10": cells},
        "fbnet": {"pixel3_latency": large | small, "fpga_energy": small},
    }


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "HW-NAS-Bench-v1_0.pickle"
    path.write_bytes(pickle.dumps(hw_nas_bench()))
    return path


def test_cells_have_their_costs_by_device(file):
    found = hwnasbench.read(file, "cifar10")
    assert set(found) == {"pixel3", "fpga"}
    assert found["pixel3"] == CostTable("pixel3", dict(zip(CELLS, (3.5, 9.25, 4.0), strict=True)))
    assert found["fpga"].energy_mj == dict(zip(CELLS, (18.0, 19.0, 20.0), strict=True))


def test_a_table_is_a_budget_beside_accuracies(file):
    table = hwnasbench.read(file, "cifar10")["pixel3"]
    runs = {cell: np.array([0.5 + number / 10]) for number, cell in enumerate(CELLS)}
    benchmark = Benchmark(published.stand_in(), runs)
    assert benchmark.oracle(table.within(9.25)) == 0.7
    assert benchmark.oracle(table.within(3.9)) == 0.5
    with pytest.raises(DataError, match=r"must be in the table of pixel3, but \[0, 0, 0, 0, 0, 0\] is not"):
        table.within(1.0)(np.zeros((1, 6), dtype=np.int64))


@pytest.mark.parametrize(
    ("name", "blocks"),
    [
        ("fbnet-r32-c100-cifar", (32, (1, 1, 2, 2, 1, 2, 1), 1504, 100)),
        ("fbnet-r224-c1000-imagenet", (224, (1, 2, 2, 2, 1, 2, 1), 1984, 1000)),
    ],
)
def test_blocks_of_fbnet_are_the_costs_of_its_space(name, blocks, tmp_path):
    table, first = fbnet_blocks(*blocks)
    path = tmp_path / "HW-NAS-Bench.pickle"
    path.write_bytes(pickle.dumps({"fbnet": {"raspi4_latency": table}}))
    space = spaces.load(name)
    cost = hwnasbench.fbnet_costs(path, space)["raspi4"]
    assert cost.of(np.zeros((1, 22), dtype=np.int64)).tolist() == [first]
    assert (
        cost.choices[1][8]
        == table[
            f"Skip_H{blocks[0] // (2 if name.endswith('imagenet') else 1)}_W"
            + ("112_Cin16_Cout24_stride2" if name.endswith("imagenet") else "32_Cin16_Cout24_stride1")
        ]
    )
    Constraint(Budget("raspi4", cost.range[1], "ms"), cost)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda data: data["nasbench201"].clear(), "cifar10 is missing"),
        (lambda data: data["nasbench201"]["cifar10"].pop("config"), "config is missing"),
        (
            lambda data: data["nasbench201"]["cifar10"]["config"].pop(),
            "pixel3 in .* must have a cost a network",
        ),
        (
            lambda data: data["nasbench201"]["cifar10"].update(pixel3_latency=[0, 1, 2]),
            "must be a number over 0",
        ),
        (lambda data: data["nasbench201"]["cifar10"].update(pixel3_latency=7), "must be as it is published"),
        (lambda data: data.update(more=print), "asks for builtins.print"),
    ],
)
def test_a_file_that_is_not_as_published_is_refused(change, said, file):
    data = hw_nas_bench()
    change(data)
    file.write_bytes(pickle.dumps(data))
    with pytest.raises(DataError, match=said):
        hwnasbench.read(file, "cifar10")


def test_a_block_that_is_not_there_is_named(file):
    data = hw_nas_bench()
    data["fbnet"]["pixel3_latency"].pop("FC_Cin1504_Cout100")
    file.write_bytes(pickle.dumps(data))
    with pytest.raises(DataError, match="FC_Cin1504_Cout100 is missing"):
        hwnasbench.fbnet_costs(file, spaces.load("fbnet-r32-c100-cifar"))


@pytest.fixture
def folder(tmp_path):
    """``data/nasbench201`` of HELP."""
    found = tmp_path / "nasbench201"
    (found / "latency").mkdir(parents=True)
    torch.save({text: number for number, text in reversed(list(enumerate(TEXTS)))}, found / "str_arch2idx.pt")
    torch.save([1.5, 2.5, 3.5], found / "latency" / "pixel2.pt", _use_new_zipfile_serialization=False)
    torch.save(torch.tensor([4.0, 5.0, 6.0]), found / "latency" / "titan_rtx_256.pt")
    (found / "latency" / "raspi4.json").write_text("[7, 8.5, 9]")
    (found / "latency" / "fpga.pkl").write_bytes(pickle.dumps(np.array([1.0, 2.0, 3.0])))
    return found


def test_latencies_of_help_are_those_of_the_networks_that_are_numbered_so(folder):
    found = help_latencies.read(folder)
    assert {device: list(table.latency_ms.values()) for device, table in found.items()} == {
        "fpga": [1.0, 2.0, 3.0],
        "pixel2": [1.5, 2.5, 3.5],
        "raspi4": [7.0, 8.5, 9.0],
        "titan_rtx_256": [4.0, 5.0, 6.0],
    }
    assert list(found["pixel2"].latency_ms) == CELLS


def test_networks_of_fbnet_are_told_by_their_candidates(tmp_path):
    archs = [[8, *range(7), *range(7), *range(7)], [0] * 22]
    (tmp_path / "latency").mkdir()
    torch.save({"arch": [{"op_idx_list": arch} for arch in archs]}, tmp_path / "metainfo.pt")
    torch.save([1.25, 2.25], tmp_path / "latency" / "pixel3.pt")
    found = help_latencies.read(tmp_path)["pixel3"]
    assert found.latency_ms == {tuple(archs[0]): 1.25, tuple(archs[1]): 2.25}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda at: (at / "str_arch2idx.pt").unlink(), "must be readable"),
        (lambda at: shutil.rmtree(at / "latency"), "must be as it is published"),
        (lambda at: torch.save({TEXTS[0]: 4}, at / "str_arch2idx.pt"), "does not number all networks"),
        (lambda at: torch.save({"|a~0|": 0}, at / "str_arch2idx.pt"), "a cell must be written"),
        (lambda at: torch.save([1.0], at / "latency" / "a.pt"), "must have a cost a network, but has 1 of 3"),
        (lambda at: torch.save([1.0, -1.0, 2.0], at / "latency" / "a.pt"), "must be a number over 0"),
        (lambda at: torch.save(["a"], at / "latency" / "a.pt"), "must be as it is published"),
        (lambda at: torch.save({"model": torch.nn.ReLU()}, at / "latency" / "a.pt"), "asks for torch.nn"),
        (lambda at: (at / "latency" / "a.pt").write_bytes(b"PK\x03\x04"), "must be whole"),
        (
            lambda at: (at / "latency" / "a.json").write_text(json.dumps({"a": 1})),
            "must be as it is published",
        ),
    ],
)
def test_a_folder_that_is_not_as_published_is_refused(change, said, folder):
    change(folder)
    with pytest.raises(DataError, match=said) as raised:
        help_latencies.read(folder)
    assert "\n" not in str(raised.value)
