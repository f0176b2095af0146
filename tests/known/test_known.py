"""The known networks: published sizes, names, strides, and that devices can run them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from hwnas import blocks, known, spaces
from hwnas.errors import SpaceError
from hwnas.export import lower, random_calibration, random_module
from hwnas.space import Architecture

PUBLISHED = {
    # name: parameters, their tolerance, M MACs, their tolerance. An exact parameter count is
    # torchvision's (the "num_params" of its weights) or timm's; papers round, so that theirs
    # have half a unit of their last digit, MACs too. Papers count squeeze-excite, pooling,
    # activations and batch norm each in its own way: 1 % where the count is known to be ours.
    "mobilenetv2": (3_504_872, 0, 300, 0.01),  # torchvision; arXiv:1801.04381 table 4
    "mobilenetv2-1.4": (6.06e6, 0.01, 582, 0.01),  # this and below: tensorflow/models slim
    "mobilenetv2-1.3": (5.34e6, 0.01, 509, 0.01),
    "mobilenetv2-0.75": (2.61e6, 0.015, 209, 0.01),
    "mobilenetv2-0.5": (1.95e6, 0.015, 97, 0.01),
    "mobilenetv2-0.35": (1.66e6, 0.015, 59, 0.01),
    "mobilenetv3-large": (5_483_032, 0, 217, 0.01),  # torchvision; slim (the paper: 219)
    "mobilenetv3-large-0.75": (4.0e6, 0.0125, 155, 0.01),  # arXiv:1905.02244 table 3, and slim
    "mobilenetv3-small": (2_542_856, 0, 56, 0.01),  # torchvision; arXiv:1905.02244 table 3
    "mobilenetv3-small-0.75": (2.0e6, 0.025, 44, 0.015),  # arXiv:1905.02244 table 3
    "shufflenetv2-0.5": (1_366_792, 0, 41, 0.02),  # torchvision; arXiv:1807.11164 table 5 (one digit less)
    "shufflenetv2-1.0": (2_278_604, 0, 146, 0.01),
    "shufflenetv2-1.5": (3_503_624, 0, 299, 0.015),
    "shufflenetv2-2.0": (7_393_996, 0, 591, 0.015),
    "mnasnet-a1": (3_887_038, 0, 312, 0.005),  # timm's semnasnet_100; arXiv:1807.11626 table 1
    "mnasnet-b1": (4_383_312, 0, 314, 0.005),  # torchvision, as are the next three
    "mnasnet-b1-0.5": (2_218_512, 0, 104, 0.005),
    "mnasnet-b1-0.75": (3_170_208, 0, 215, 0.005),
    "mnasnet-b1-1.3": (6_282_256, 0, 526, 0.005),
    "fbnet-c": (5_572_200, 0, 375, 0.03),  # timm's fbnetc_100; arXiv:1812.03443 table 3 (5.5 M)
    "mobilenetv1": (4.2e6, 0.01, 569, 0.002),  # arXiv:1704.04861 table 6
    "mobilenetv1-0.75": (2.6e6, 0.02, 325, 0.003),
    "mobilenetv1-0.5": (1.3e6, 0.04, 149, 0.004),
    "mobilenetv1-0.25": (0.5e6, 0.1, 41, 0.02),
    # tensorflow/tpu's table of them; its "MAdds" are 3 to 6 % more than ours of all five, while
    # PyTorch counts exactly ours in timm's networks (test_pretrained.py).
    "efficientnet-lite0": (4_652_008, 0, 407, 0.06),  # parameters: keras_hub
    "efficientnet-lite1": (5.4e6, 0.01, 631, 0.06),
    "efficientnet-lite2": (6.1e6, 0.01, 899, 0.06),
    "efficientnet-lite3": (8.2e6, 0.01, 1440, 0.06),
    "efficientnet-lite4": (13.0e6, 0.01, 2640, 0.06),
    "mobilenetv4-conv-small": (3.8e6, 0.015, 200, 0.25),  # arXiv:2404.10518 (in G), and timm
    "mobilenetv4-conv-medium": (9.7e6, 0.005, 842, 0.05),  # timm: 1.1 G at 256 pixels
}

AS_BEFORE = {  # fingerprints of names that runs and tables had before there was a padding
    "fbnet-c-r32-c10-cifar": "84b50392dc40f806",
    "fbnet-c-r224-c10-imagenet": "2c9855faaba896a4",
    "mnasnet-a1-r32-c10-cifar": "760c10c80cbb9267",
    "mnasnet-a1-r224-c10-imagenet": "cc073cf6fea7aa1e",
    "mobilenetv2-r32-c10-cifar": "682afb5556732e32",
    "mobilenetv2-r224-c10-imagenet": "5defa00da59f66e2",
    "mobilenetv2-0.5-r32-c10-cifar": "c225f610356d0553",
    "mobilenetv2-0.5-r224-c10-imagenet": "7dbb1598a45b43ed",
    "mobilenetv3-large-0.75-r32-c10-cifar": "3de0965cea0673a4",
    "mobilenetv3-large-0.75-r224-c10-imagenet": "103f773208f61f06",
    "mobilenetv3-small-r32-c10-cifar": "d0d7000d56cfdd29",
    "mobilenetv3-small-r224-c10-imagenet": "6cf80560e76f9322",
    "shufflenetv2-0.5-r32-c10-cifar": "e08435d67c41ead5",
    "shufflenetv2-0.5-r224-c10-imagenet": "7db0fb1a84fef914",
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_sizes_are_the_published_ones(name):
    params, params_tolerance, macs, macs_tolerance = PUBLISHED[name]
    network = known.load(name)
    assert network.params == pytest.approx(params, rel=params_tolerance, abs=0)
    assert network.macs / 1e6 == pytest.approx(macs, rel=macs_tolerance)
    side = known.FAMILIES[name.removesuffix(f"-{name.split('-')[-1]}") if "." in name else name].resolution
    assert network.space.input_shape == (3, side, side)
    assert network.space.num_classes == 1000


@pytest.mark.parametrize("name", AS_BEFORE)
def test_names_mean_what_they_meant(name):
    assert known.load(name).space.fingerprint == AS_BEFORE[name]
    assert known.load(name).space.name == name


@pytest.mark.parametrize("family", known.FAMILIES)
def test_padding_is_in_the_name_where_it_is_not_the_usual(family):
    """TensorFlow's own as TensorFlow pads; nothing but the padding of strided kernels differs."""
    usual, *others = known.FAMILIES[family].paddings
    network = known.load(family)
    assert usual == ("same" if "lite" in family else "half")
    assert not network.space.name.endswith(("half", "same"))
    assert known.load(f"{family}-{usual}") == network
    for padding in others:
        other = known.load(f"{family}-{padding}")
        assert other.space.name == f"{network.space.name}-{padding}"
        assert (
            known.load(other.space.name) == spaces.load(other.space.name).architecture(other.indices) == other
        )
        assert known.load(family, padding=padding) == other
        pairs = zip(other.blocks, network.blocks, strict=True)
        changed = [(one, two) for one, two in pairs if one != two]
        assert len(changed) == 5
        assert all(replace(one, padding=usual) == two and one.stride == 2 for one, two in changed)
    if not others:
        with pytest.raises(SpaceError, match="padding"):
            known.load(f"{family}-same")


def test_every_family_has_a_published_size():
    names = [known.short_name(family) for family in known.FAMILIES]
    assert {name.removesuffix("-1.0") for name in PUBLISHED} >= set(names)


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_full_name_makes_the_same_network_again(name):
    network = known.load(name, resolution=32, num_classes=7)
    assert known.load(network.space.name) == network
    assert spaces.load(network.space.name) == network.space
    assert spaces.architecture_from_json(network.to_json()) == network
    assert network.space.num_architectures == 1
    assert all(blocks.parse(block.key()) == block for block in network.blocks)


@pytest.mark.parametrize("family", known.FAMILIES)
def test_strides_suit_the_resolution(family):
    """ImageNet's divide by 32; CIFAR's leave out two halvings and nothing else."""
    small, large = known.load(family, resolution=32), known.load(family, resolution=96)
    assert small.space.name.endswith("-cifar")
    assert large.space.name.endswith("-imagenet")
    assert small.workloads[-1].in_shape[1:] == (4, 4)
    assert large.workloads[-1].in_shape[1:] == (3, 3)
    assert small.params == large.params
    asked = known.load(family, resolution=32, strides="imagenet")
    assert asked.workloads[-1].in_shape[1:] == (1, 1)
    assert asked.blocks == large.blocks
    changed = [
        (one.key(), two.key()) for one, two in zip(small.blocks, large.blocks, strict=True) if one != two
    ]
    assert 1 <= len(changed) <= 2, changed  # ShuffleNetV2 has both halvings in its stem


def test_widths_grow_by_multiples_of_eight():
    channels = {
        width: [b.out_channels for b in known.load(f"mobilenetv2-{width}").blocks[:-1]]
        for width in (0.1, 0.3, 0.5, 0.9, 1.1, 2.0)
    }
    for found in channels.values():
        assert all(c % 8 == 0 for c in found)
    ordered = np.array(list(channels.values()))
    assert (np.diff(ordered, axis=0) >= 0).all()
    assert (ordered[-1] > ordered[0]).all()


@pytest.mark.parametrize("family", [name for name, family in known.FAMILIES.items() if not family.widths])
def test_every_width_is_of_the_same_form(family):
    """Narrower in all channels between blocks, with the kernels and the strides of width 1."""
    whole, half = known.load(family, resolution=96), known.load(f"{family}-0.5", resolution=96)
    assert half.space.name == f"{family}-0.5-r96-c1000-imagenet"
    assert half.macs < 0.5 * whole.macs
    for one, two in zip(half.blocks, whole.blocks, strict=True):
        assert type(one) is type(two)
        assert one.in_channels <= two.in_channels
        for same in ("kernel_size", "stride", "activation", "padding", "start_kernel", "middle_kernel"):
            assert getattr(one, same, None) == getattr(two, same, None)
        if hasattr(one, "out_channels"):
            assert one.out_channels % 8 == 0
            assert one.out_channels <= two.out_channels


def test_what_a_name_says():
    said = known.named("mobilenetv2-0.5-r96-c7-imagenet-same")
    assert (said.family, said.width, said.resolution, said.classes) == ("mobilenetv2", 0.5, 96, 7)
    assert (said.strides, said.padding) == ("imagenet", "same")
    assert said.at(0.75) == "mobilenetv2-0.75-r96-c7-imagenet-same"
    assert said.at(1) == "mobilenetv2-r96-c7-imagenet-same"
    short = known.named("efficientnet-lite0")
    assert (short.width, short.resolution, short.strides) == (1.0, None, None)
    assert short.at(0.75) == "efficientnet-lite0-0.75"
    with pytest.raises(SpaceError, match="a baseline must be one of"):
        known.named("timm:mobilenetv2_100")


def test_the_first_block_of_mobilenetv3_has_no_expansion():
    for name in ("mobilenetv3-large", "mobilenetv3-small"):
        _, first, *others = known.load(name).blocks
        assert not first.has_expansion
        assert all(block.has_expansion for block in others[:-1])


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("mobilenetv4", {}, "must be one of"),
        ("efficientnet-lite5", {}, "must be one of"),
        ("mobilenetv2-valid", {}, "must be one of"),
        ("mobilenetv2", {"padding": "valid"}, "padding"),
        ("mobilenetv2-", {}, "must be one of"),
        ("mobilenetv2-r32-c10-weird", {}, "must be one of"),
        ("mobilenetv2-0", {}, r"in \(0, 4\]"),
        ("mobilenetv2-9", {}, r"in \(0, 4\]"),
        ("shufflenetv2-0.75", {}, "width of shufflenetv2"),
        ("fbnet-c-5", {}, r"in \(0, 4\]"),
        ("mobilenetv2", {"strides": "weird"}, "strides"),
        ("mobilenetv2", {"resolution": 4}, "at least 8"),
        ("mobilenetv2", {"resolution": 0}, "at least 8"),
    ],
)
def test_unknown_networks_are_refused(name, options, message):
    with pytest.raises(SpaceError, match=message):
        known.load(name, **options)


@pytest.mark.parametrize("family", known.FAMILIES)
def test_a_network_runs_and_counts_as_specified(family):
    network = known.load(family, resolution=32, num_classes=5)
    module = blocks.network(network).eval()
    with torch.no_grad():
        assert module(torch.randn(2, 3, 32, 32)).shape == (2, 5)
    assert sum(p.numel() for p in module.parameters()) == network.params


def exported(network: Architecture, runtime: str) -> None:
    """Lower in both precisions; ``lower`` itself demands parity, one partition and no float."""
    module = random_module(network.blocks, seed=0)
    images = random_calibration(network.space.input_shape, 4, seed=0)
    for precision in ("fp32", "int8"):
        report = lower(module, network.space.input_shape, runtime, precision, calibration=images).parity
        assert report is not None
        assert report.float_operators == ()


@pytest.mark.slow
@pytest.mark.parametrize("runtime", ["litert", "onnxruntime"])
@pytest.mark.parametrize("name", ["shufflenetv2-0.5", "mobilenetv3-small", "mobilenetv4-conv-small-0.5-same"])
def test_the_networks_with_blocks_of_their_own_are_lowered(name, runtime):
    exported(known.load(name, resolution=16, num_classes=10), runtime)


@pytest.mark.slow
@pytest.mark.parametrize("runtime", ["litert", "onnxruntime"])
@pytest.mark.parametrize("resolution", [32, 96])
@pytest.mark.parametrize("name", PUBLISHED)
def test_every_network_is_lowered(name, resolution, runtime):
    exported(known.load(name, resolution=resolution, num_classes=10), runtime)
