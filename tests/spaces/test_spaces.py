"""The shipped spaces: contract for each, and known answers."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from hwnas import blocks, spaces
from hwnas.blocks import MBConv, Skip
from hwnas.errors import SpaceError


@pytest.mark.parametrize("name", spaces.SPACES)
def test_contract(name):
    space = spaces.load(name)
    assert spaces.load(space.name) == space, "the full name must make the same space again"
    assert spaces.load(name, num_classes=7).num_classes == 7
    low, high = space.macs_range()
    arch = space.sample(np.random.default_rng(0))
    assert low <= arch.macs <= high
    for workload in space.workloads():
        assert blocks.parse(workload.block.key()) == workload.block


@pytest.mark.parametrize("name", ["macro-r16-c5", "fbnet-r32-c5-cifar"])
def test_a_network_runs_and_counts_as_specified(name):
    space = spaces.load(name)
    arch = space.sample(np.random.default_rng(1))
    network = blocks.build(arch.blocks).eval()
    with torch.no_grad():
        assert network(torch.randn(2, *space.input_shape)).shape == (2, 5)
    assert sum(p.numel() for p in network.parameters()) == arch.params


def test_macro_equals_the_benchmark(shared_data):
    file = shared_data / "nas_bench_macro" / "nas-bench-macro_cifar10.json"
    known = json.loads(file.read_text())
    space = spaces.load("macro")
    assert len(known) == space.num_architectures == 6561
    for key, entry in known.items():
        arch = space.architecture([int(digit) for digit in key])
        assert (arch.params, arch.macs) == (entry["params"], entry["flops"]), key


def test_fbnet_is_table_1_of_the_paper():
    space = spaces.load("fbnet")
    assert len(space.choices) == 22
    assert set(space.sizes) == {9}
    assert [c.candidates[0].out_channels for c in space.choices] == (
        [16] + [24] * 4 + [32] * 4 + [64] * 4 + [112] * 4 + [184] * 4 + [352]
    )
    sizes = [
        shape[1] for shape in (*space.choice_shapes[1:], space.choices[-1].out_shape(space.choice_shapes[-1]))
    ]
    assert sizes == [112] + [56] * 4 + [28] * 4 + [14] * 8 + [7] * 5
    first = space.choices[5].candidates
    assert [(b.kernel_size, b.expansion_ratio, b.groups) for b in first if isinstance(b, MBConv)] == [
        (3, 1, 1), (3, 1, 2), (3, 3, 1), (3, 6, 1), (5, 1, 1), (5, 1, 2), (5, 3, 1), (5, 6, 1),
    ]  # fmt: skip
    assert first[8] == Skip(24, 32, 2)
    assert space.choices[6].candidates[8].is_identity


def test_fbnet_for_cifar_keeps_more_pixels():
    space = spaces.load("fbnet", resolution=32, num_classes=100, strides="cifar")
    assert space.choice_shapes[0] == (16, 32, 32)
    assert space.choices[-1].out_shape(space.choice_shapes[-1]) == (352, 4, 4)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("nope", {}, "must be one of"),
        ("fbnet-r224-c10-weird", {}, "strides"),
        ("macro", {"strides": "cifar"}, "must not be given strides"),
        ("macro", {"resolution": 4}, "at least 8"),
        ("macro-r32-c10-x-y", {}, "must be one of"),
    ],
)
def test_unknown_names_and_options_are_refused(name, options, message):
    with pytest.raises(SpaceError, match=message):
        spaces.load(name, **options)
