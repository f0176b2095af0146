"""Known networks with decoders in the place of their classifiers."""

from __future__ import annotations

import pytest
import torch
from state_dicts import state_dict

from hwnas import blocks, known, spaces
from hwnas.blocks import LRASPP, DenseHead, FPNSum, PooledContext, Pyramid, pyramid
from hwnas.errors import SpaceError
from hwnas.known import decoders, pretrained
from hwnas.known.decoders import SEGMENTATION


@pytest.mark.parametrize("decoder", [*SEGMENTATION, "pooled256"])
@pytest.mark.parametrize("family", ["efficientnet-lite0", "mobilenetv3-small", "shufflenetv2"])
def test_a_decoder_answers_a_quarter_of_the_pixels(family, decoder):
    network = known.load(f"{family}+{decoder}", resolution=64, num_classes=3)
    assert network.space.output_shape == (3, 16, 16)
    plain = known.load(family, resolution=64, strides="imagenet")
    assert network.blocks[:-1] == plain.blocks[:-1]
    assert spaces.load(network.space.name).architecture(network.indices).blocks == network.blocks
    with torch.no_grad():
        assert blocks.network(network).eval()(torch.randn(1, 3, 64, 64)).shape == (1, 3, 16, 16)


def test_what_decoders_read():
    def last(name: str):
        return known.load(name, resolution=64, num_classes=5).blocks[-1]

    assert last("efficientnet-lite0+fpnsum32") == FPNSum((24, 40, 112, 320), 32, 5)
    assert last("efficientnet-lite0+lraspp64") == LRASPP((40, 320), 64, 5, 4, 2)
    assert last("efficientnet-lite0+lraspp64t4") == LRASPP((24, 320), 64, 5, 8)
    assert last("efficientnet-lite0+pooled128") == PooledContext(320, 128, 5, 8)
    assert last("efficientnet-lite0+lraspp64-r64-c5-os16") == LRASPP((40, 320), 64, 5, 2, 2)
    assert last("efficientnet-lite0-0.5+fpnsum32-r64-c5-os8") == FPNSum((16, 160), 32, 5)


def test_strides_end_where_features_are_coarse_enough():
    def sides(strides: str):
        space = known.load("mobilenetv2+pooled64", resolution=64, num_classes=2, strides=strides).space
        return sorted({64 // w[0].out_shapes[0][1] for w in space.choice_workloads[:-1]})

    assert sides("imagenet") == [2, 4, 8, 16, 32]
    assert sides("os16") == [2, 4, 8, 16]
    assert sides("os8") == [2, 4, 8]


def test_all_decoders_that_fit_are_candidates():
    space = spaces.load("from:efficientnet-lite0+lraspp128", resolution=64, num_classes=2)
    assert space.name == "from:efficientnet-lite0+lraspp128-r64-c2-imagenet"
    *_, last = space.choices
    assert last.candidates[0] == LRASPP((40, 320), 128, 2, 4, 2), "the network's own comes first"
    assert len(last.candidates) == len(SEGMENTATION)
    assert spaces.load(space.name).fingerprint == space.fingerprint
    plain = spaces.load("from:efficientnet-lite0", resolution=64)
    assert [c.candidates for c in space.choices[:-1]] == [c.candidates for c in plain.choices]
    coarse = spaces.load("from:efficientnet-lite0+fpnsum64-r64-c2-os8").choices[-1].candidates
    assert sum(isinstance(block, LRASPP) for block in coarse) == 2, "fine features are those an 8th as fine"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("efficientnet-lite0+unet64", "a decoder must be named like"),
        ("efficientnet-lite0+fpnsum", "a decoder must be named like"),
        ("efficientnet-lite0+fpnsum64t4", "a decoder must be named like"),
        ("efficientnet-lite0+lraspp64-r64-c2-os8", "must have the features"),
    ],
)
def test_decoders_that_cannot_be_are_refused(name, message):
    with pytest.raises(SpaceError, match=message):
        known.load(name, resolution=64)


def test_pixels_must_halve_evenly():
    with pytest.raises(SpaceError, match="give a multiple of 32"):
        known.load("efficientnet-lite0+fpnsum64", resolution=100)


def test_names_of_networks_with_decoders():
    said = known.named("mobilenetv2-0.5+lraspp128-r96-c4-os16")
    assert (said.family, said.width, said.decoder, said.strides) == ("mobilenetv2", 0.5, "lraspp128", "os16")
    assert said.at(0.75) == "mobilenetv2-0.75+lraspp128-r96-c4-os16"
    assert said.plain == "mobilenetv2-0.5-r96-c4"
    assert decoders.of("lraspp128t4") == decoders.PixelDecoder("lraspp", 128, 4)
    assert decoders.of("pan96d1b8") == decoders.ObjectDecoder("pan", 96, 1, 8)


def test_weights_of_others_leave_the_decoder_as_it_was(tmp_path):
    where = "timm:mobilenetv2_050.lamb_in1k"
    torch.save(state_dict(where), tmp_path / "weights.pth")
    plain = pretrained.weights_of("mobilenetv2-0.5", tmp_path / "weights.pth", resolution=64)
    found = pretrained.weights_of("mobilenetv2-0.5+fpnsum64", tmp_path / "weights.pth", resolution=64)
    arch = found.architecture
    network = blocks.network(arch)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    left, last = pretrained.into(network, arch, found), f"{len(arch.blocks) - 1}."
    decoder = [name for name in before if name.startswith(last) and not name.endswith("tracked")]
    assert list(left) == decoder
    after = network.state_dict()
    assert all(torch.equal(after[name], before[name]) for name in left)
    coarse = pretrained.weights_of("mobilenetv2-0.5+fpnsum64-os16", tmp_path / "weights.pth", resolution=64)
    assert coarse.architecture.space.name == "mobilenetv2-0.5+fpnsum64-r64-c1000-os16"
    assert coarse.tensors.keys() == found.tensors.keys(), "strides have no weights"
    rest = [name for name in plain.tensors if not name.startswith(last)]
    assert rest
    assert all(torch.equal(after[name], plain.tensors[name]) for name in rest)


@pytest.mark.parametrize(("name", "levels"), [("fpn64", 3), ("pan32d1", 3), ("bifpn32b8", 3), ("plain32", 3)])
def test_a_decoder_of_objects_has_a_neck_and_a_head(name, levels):
    network = known.load(f"efficientnet-lite0+{name}", resolution=64, num_classes=5)
    neck, head = network.blocks[-2:]
    assert isinstance(neck, Pyramid)
    assert isinstance(head, DenseHead)
    assert neck.in_channels == (40, 112, 320)
    sides = [8, 4, 2]
    boxes = 4 * decoders.of(name).bins
    wanted = tuple((count, side, side) for side in sides for count in (5, boxes))
    assert network.space.output_shape == wanted
    assert network.space.num_classes == 5
    with torch.no_grad():
        answers = blocks.network(network).eval()(torch.randn(1, 3, 64, 64))
    assert tuple(tuple(answer.shape[1:]) for answer in answers) == wanted
    assert spaces.load(network.space.name).fingerprint == network.space.fingerprint


def test_necks_and_heads_are_candidates():
    space = spaces.load("from:efficientnet-lite0+pan64", resolution=64, num_classes=5)
    neck, head = space.choices[-2:]
    assert (neck.name, head.name) == ("neck", "head")
    assert neck.candidates[0] == Pyramid((40, 112, 320), 64, pyramid.path_aggregation(3), 3)
    assert {block.program for block in neck.candidates} == {
        "none",
        *(make(3) for make in (pyramid.top_down, pyramid.path_aggregation, pyramid.bidirectional)),
        *(make(3) for make in (pyramid.bottom_up, pyramid.direct)),
    }
    assert {(b.depth, b.hidden_channels, b.kernel_size) for b in head.candidates} == {
        (depth, width, kernel) for depth in (1, 2) for width in (64, 96) for kernel in (3, 5)
    }


def test_a_head_as_of_ssdlite_reads_the_features_themselves():
    network = known.load("mobilenetv2+ssdlite128", resolution=64, num_classes=5)
    head = network.blocks[-1]
    assert head == DenseHead((32, 96, 320), 128, 5, depth=1, kernel_size=3)
    assert [choice.name for choice in network.space.choices][-1] == "head"
    assert network.reads[-1] == tuple(sorted(network.reads[-1])), "the finest first"
    assert len(network.reads[-1]) == 3
    space = spaces.load("from:efficientnet-lite0+ssdlite128", resolution=64, num_classes=5)
    assert [choice.name for choice in space.choices][-2:] == ["block16", "head"]
    assert space.choices[-1].candidates[0] == DenseHead((40, 112, 320), 128, 5, depth=1, kernel_size=3)
