"""The shipped spaces: contract for each, and known answers."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pytest

from hwnas import known, spaces, testing
from hwnas.blocks import MBConv, MBStage, Skip
from hwnas.errors import SpaceError
from hwnas.space import SearchSpace
from hwnas.spaces.canonical import Canonical

OPTIONS = ("resolution", "num_classes", "strides")


@pytest.mark.parametrize("name", spaces.SPACES)
def test_contract(name):
    testing.check_space(name)


@pytest.mark.parametrize("name", ["fbnet", "mnasnet", "mobilenetv3", "ofa", "proxylessnas"])
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


@pytest.mark.parametrize("options", [(224, 1000, "imagenet"), (32, 10, "cifar")])
def test_the_published_network_is_in_the_space_of_mobilenetv3(options):
    """Block for block; 219 M multiply-adds and 5.4 M parameters (arXiv:1905.02244, table 3)."""
    network = known.load("mobilenetv3-large", **dict(zip(OPTIONS, options, strict=True)))
    space = spaces.load("mobilenetv3", **dict(zip(OPTIONS, options, strict=True)))
    body = network.blocks[len(space.stem) : -len(space.head)]
    picks = [choice.candidates.index(block) for choice, block in zip(space.choices, body, strict=True)]
    found = space.architecture(picks)
    assert found.blocks == network.blocks
    assert space.input_shape == network.space.input_shape
    if options[0] == 224:
        assert found.macs == pytest.approx(219e6, rel=0.015)
        assert found.params == pytest.approx(5.4e6, rel=0.02)


def test_mobilenetv3_varies_what_its_paper_searches():
    space = spaces.load("mobilenetv3")
    for choice in space.choices:
        found = [block for block in choice.candidates if isinstance(block, MBConv)]
        wanted = {3, 4, 6, 2.3, 2.5} if found[0].in_channels == found[0].out_channels == 80 else {3, 4, 6}
        assert {block.kernel_size for block in found} == {3, 5, 7}
        assert {block.expansion_ratio for block in found} == wanted
        assert len(found) == 3 * len(wanted) * 2
        squeezed = [block for block in found if block.se_channels]
        assert 2 * len(squeezed) == len(found)
        assert all(b.se_channels % 8 == 0 for b in squeezed)
        assert all(4 * b.se_channels == pytest.approx(b.hidden_channels, abs=24) for b in squeezed)
        assert {b.activation for b in found} == {"relu" if int(choice.name[5]) < 3 else "hswish"}
        (none,) = choice.candidates[len(found) :] or (None,)
        assert (none is None) == choice.name.endswith(".1")
        assert none is None or none.is_identity


def test_ofa_has_as_many_networks_as_in_its_paper():
    """((3 * 3)**2 + (3 * 3)**3 + (3 * 3)**4)**5, about 2 * 10**19 (arXiv:1908.09791, section 3.2)."""
    space = spaces.load("ofa")
    assert Canonical(space).num_networks == (9**2 + 9**3 + 9**4) ** 5 == pytest.approx(2e19, rel=0.1)
    assert [choice.candidates[0].out_channels for choice in space.choices[::4]] == [24, 40, 80, 112, 160]
    assert [len(choice.candidates) for choice in space.choices] == [9, 9, 10, 10] * 5
    assert space.choice_workloads[-1][0].out_shapes[0] == (160, 7, 7)
    first = [choice.candidates[0] for choice in space.choices[::4] for _ in range(4)]
    for choice, template in zip(space.choices, first, strict=True):
        blocks = [block for block in choice.candidates if isinstance(block, MBConv)]
        assert {(block.kernel_size, block.expansion_ratio) for block in blocks} == {
            (kernel, ratio) for kernel in (3, 5, 7) for ratio in (3, 4, 6)
        }
        assert {block.activation for block in blocks} == {template.activation}
        assert len({block.se_channels > 0 for block in blocks}) == 1


def test_a_stage_of_ofa_uses_its_first_layers():
    space = spaces.load("ofa")
    canonical = Canonical(space)
    picks = [0] * len(space.choices)
    picks[2:4] = [9, 5]  # the third layer of the first stage is left out, its fourth is not
    same = [0] * len(space.choices)
    same[2:4] = [5, 9]
    assert canonical.key(tuple(picks)) == canonical.key(tuple(same)) == tuple(same)
    assert [b for b in space.architecture(picks).blocks if not b.is_identity] == [
        b for b in space.architecture(same).blocks if not b.is_identity
    ]


@pytest.mark.parametrize("name", ["macro-r16-c5", "proxylessnas-r32-c10-cifar"])
def test_networks_are_counted_as_they_are_enumerated(name):
    space = spaces.load(name)
    choices = space.choices[:5]
    few = SearchSpace("few", space.input_shape, space.stem, choices, ())
    canonical = Canonical(few)
    every = itertools.product(*(range(size) for size in few.sizes))
    assert canonical.num_networks == len(set(map(tuple, canonical(np.array(list(every))).tolist())))


@pytest.mark.parametrize("name", ["mobilenetv3", "ofa", "mnasnet", "proxylessnas"])
def test_cifar_strides_keep_more_pixels(name):
    space = spaces.load(name, resolution=32, strides="cifar")
    assert space.choice_workloads[-1][0].out_shapes[0][1:] == (4, 4)
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


def test_randwire_is_the_papers_small_regime_with_80_instead_of_78_channels():
    """583 M multiply-adds there, which grow by about the square of the channels."""
    space = spaces.load("randwire")
    whole = space.architecture((0, 0, 0))
    assert whole.macs == pytest.approx(583e6 * (80 / 78) ** 2, rel=0.02)
    wirings = {block.wiring for block in space.choices[0].candidates}
    assert len(wirings) == 24
