"""The shipped spaces: contract for each, and known answers."""

from __future__ import annotations

import json

import pytest

from hwnas import spaces, testing
from hwnas.blocks import MBConv, MBStage, Skip
from hwnas.errors import SpaceError


@pytest.mark.parametrize("name", spaces.SPACES)
def test_contract(name):
    testing.check_space(name)


@pytest.mark.parametrize("name", ["fbnet", "mnasnet", "proxylessnas"])
def test_contract_with_other_strides(name):
    testing.check_space(f"{name}-r32-c5-cifar")


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
    sizes = [workloads[0].out_shapes[0][1] for workloads in space.choice_workloads]
    assert sizes == [112] + [56] * 4 + [28] * 4 + [14] * 8 + [7] * 5
    first = space.choices[5].candidates
    assert [(b.kernel_size, b.expansion_ratio, b.groups) for b in first if isinstance(b, MBConv)] == [
        (3, 1, 1), (3, 1, 2), (3, 3, 1), (3, 6, 1), (5, 1, 1), (5, 1, 2), (5, 3, 1), (5, 6, 1),
    ]  # fmt: skip
    assert first[8] == Skip(24, 32, 2)
    assert space.choices[6].candidates[8].is_identity


def test_fbnet_for_cifar_keeps_more_pixels():
    space = spaces.load("fbnet", resolution=32, num_classes=100, strides="cifar")
    assert space.choice_workloads[0][0].in_shape == (16, 32, 32)
    assert space.choice_workloads[-1][0].out_shapes[0] == (352, 4, 4)


def test_proxylessnas_is_the_published_one():
    """Stages, widths and zero operations of the authors' search configuration."""
    space = spaces.load("proxylessnas")
    assert len(space.choices) == 21
    assert [c.candidates[0].out_channels for c in space.choices[::4]] == [24, 40, 80, 96, 192, 320]
    assert [len(c.candidates) for c in space.choices] == [6, 7, 7, 7] * 5 + [6]
    assert all(c.candidates[-1].is_identity == (len(c.candidates) == 7) for c in space.choices)
    assert space.choice_workloads[-1][0].out_shapes[0] == (320, 7, 7)
    kinds = [(b.kernel_size, b.expansion_ratio) for b in space.choices[0].candidates if isinstance(b, MBConv)]
    assert kinds == [(3, 3), (3, 6), (5, 3), (5, 6), (7, 3), (7, 6)]


def test_mobilenet_v2_is_in_the_space_of_mnasnet():
    """The paper's space is built around MobileNetV2: 3,504,872 parameters (arXiv:1801.04381)."""
    space = spaces.load("mnasnet")
    wanted = [(1, 1), (6, 2), (6, 3), (6, 4), (6, 3), (6, 3), (6, 1)]
    indices = [
        next(
            n
            for n, b in enumerate(choice.candidates)
            if isinstance(b, MBStage)
            and (b.expansion_ratio, b.layers, b.kernel_size, b.se_ratio) == (*want, 3, 0)
        )
        for choice, want in zip(space.choices, wanted, strict=True)
    ]
    assert space.architecture(indices).params == 3_504_872
    assert space.sizes == (24, 36, 36, 36, 36, 36, 24)


def test_squeeze_excite_of_mnasnet_is_a_quarter_of_the_input():
    for choice in spaces.load("mnasnet").choices:
        for block in choice.candidates:
            assert isinstance(block, MBStage)
            if block.se_ratio:
                assert [layer.se_channels * 4 for layer in block.blocks] == [
                    layer.in_channels for layer in block.blocks
                ]


@pytest.mark.parametrize("name", ["mnasnet", "proxylessnas"])
def test_cifar_strides_keep_more_pixels(name):
    space = spaces.load(name, resolution=32, strides="cifar")
    assert space.choice_workloads[-1][0].out_shapes[0] == (320, 4, 4)
    with pytest.raises(SpaceError, match="strides"):
        spaces.load(f"{name}-r32-c10-weird")


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("nope", {}, "must be one of"),
        ("fbnet-r224-c10-weird", {}, "strides"),
        ("macro", {"strides": "cifar"}, "must not be given strides"),
        ("macro", {"resolution": 4}, "at least 8"),
        ("macro", {"resolution": 0}, "at least 8"),
        ("macro", {"num_classes": 0}, "at least 1"),
        ("macro-r32-c10-x-y", {}, "must be one of"),
    ],
)
def test_unknown_names_and_options_are_refused(name, options, message):
    with pytest.raises(SpaceError, match=message):
        spaces.load(name, **options)
