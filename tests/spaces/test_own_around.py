"""The space of all that is cheaper than a network of one's own."""

from __future__ import annotations

import json

import pytest

from hwnas import blocks, files, spaces
from hwnas.blocks import Conv, FusedMBConv, MBConv, PooledHead, ResidualBlock, Skip, Sum
from hwnas.errors import SpaceError
from hwnas.latency.workloads import parse_workload
from hwnas.space import STEM, Choice
from hwnas.spaces import own
from hwnas.spaces.adapted import candidates
from hwnas.spaces.canonical import Canonical

BASIC = ResidualBlock(24, 24, 5)
BOTTLENECK = ResidualBlock(24, 24, hidden_channels=24)
GROUPED = ResidualBlock(24, 32, 3, 2, 32, 8)
FUSED = FusedMBConv(24, 24, expansion_ratio=2)


def network():
    """A row of blocks of one's own."""
    body = (Conv(3, 24, stride=2), MBConv(24, 24, expansion_ratio=2), BASIC, BOTTLENECK, FUSED, GROUPED)
    choices = [Choice(f"block{n}", (block,)) for n, block in enumerate(body, start=1)]
    return own.space((3, 32, 32), (), choices, (PooledHead(32, 0, 5),))


@pytest.mark.parametrize("block", [BASIC, BOTTLENECK, FUSED])
def test_what_may_take_a_place_is_narrower_of_smaller_kernels_or_nothing(block):
    found = list(candidates(block))
    shape = (24, 16, 16)
    assert found[0] == block
    assert found[-1] == Skip(24, 24)
    assert len(found) > 4
    assert all(each.out_shape(shape) == block.out_shape(shape) for each in found)
    assert max(found, key=lambda each: each.macs(shape)) == block


def test_groups_stay_whole():
    found = list(dict.fromkeys(candidates(GROUPED)))
    assert [(each.hidden_channels, each.groups) for each in found] == [(32, 8), (24, 6), (16, 4), (8, 2)]
    assert not any(isinstance(each, Skip) for each in found), "its shape changes"


@pytest.mark.parametrize("block", [BASIC, BOTTLENECK, GROUPED, FUSED, ResidualBlock(24, 24, 3, 1, 16, 16)])
def test_every_candidate_can_begin_with_weights_of_the_block(block):
    learned = block.build()
    for each in candidates(block):
        if not isinstance(each, Skip):
            assert each.inherit(each.build(), block, learned), each.key()


def test_it_is_made_from_a_network_and_told_whole(tmp_path, monkeypatch):
    made = network()
    space = spaces.load(f"from:{made.name}")
    assert space.name == f"from:{made.name}"
    assert space.origin == (0,) * 6
    assert space.sizes[0] == 1
    chosen = space.architecture([0, 1, 2, 3, 1, 2])
    data = json.loads(json.dumps(chosen.to_json()))
    files.write_json(tmp_path / "found" / "arch.json", data)
    files.write_json(tmp_path / "mine" / "arch.json", made.architecture(made.reference).to_json())
    monkeypatch.setattr(own, "_KNOWN", {})  # as in another process
    assert spaces.architecture_from_json(data) == chosen
    assert spaces.load(space.name) == space
    assert spaces.load(made.name) == made, "the network that it is around is known with it"
    monkeypatch.setattr(own, "_KNOWN", {})
    assert spaces.load(str(tmp_path / "found")) == space
    assert spaces.of_run(tmp_path / "found", space.name).typed_name == str(tmp_path / "found")
    monkeypatch.setattr(own, "_KNOWN", {})
    around = spaces.load(f"from:{tmp_path / 'mine'}")
    assert around == space
    assert around.typed_name == f"from:{tmp_path / 'mine'}", "which commands take in another process"
    finer = spaces.load(space.name, resolution=48, num_classes=7)
    assert (finer.input_shape[1], finer.num_classes, finer.sizes) == (48, 7, space.sizes)


@pytest.mark.parametrize("origin", [[0, 0], [0, 0, 0, 0, 0, 99], "zero", [0, 0, 0, 0, 0, True]])
def test_an_origin_that_is_none_is_refused(origin):
    space = spaces.load(f"from:{network().name}")
    with pytest.raises(SpaceError, match="origin of a space must be one of its networks"):
        own.told({**space.to_json(), "origin": origin})


def test_a_network_of_nothing_that_could_be_cheaper_is_refused():
    made = own.space((3, 32, 32), (), [Choice("block1", (Conv(3, 8),))], (PooledHead(8, 0, 5),))
    with pytest.raises(SpaceError, match="must have residual blocks or inverted bottlenecks"):
        spaces.load(f"from:{made.name}")


def test_branches_stay_branches():
    """Two equal branches of the stem: what is left out of one is not left out of the other."""
    branch = MBConv(8, 8, expansion_ratio=2)
    choices = [
        Choice("a", (branch,), ((STEM,),)),
        Choice("b", (branch,), ((STEM,),)),
        Choice("c", (Sum((8, 8)),), (("a", "b"),)),
    ]
    made = own.space((3, 16, 16), (Conv(3, 8),), choices, (PooledHead(8, 0, 5),))
    space = spaces.load(f"from:{made.name}")
    assert space.choices[1].reads == ((STEM,),) * len(space.choices[1].candidates)
    skip = len(space.choices[0].candidates) - 1
    assert Canonical(space).key((skip, 1, 0)) == (skip, 1, 0)
    blocks.network(space.architecture((skip, 1, 0)))


def test_channels_between_two_convolutions_stand_in_the_key():
    narrow = ResidualBlock(8, 16, inner_channels=4)
    assert blocks.parse(narrow.key()) == narrow
    assert narrow.key().endswith("_m4")
    assert ResidualBlock(8, 16, inner_channels=16) == ResidualBlock(8, 16)
    assert parse_workload(f"{narrow.key()}@8x6x6").block == narrow
    with pytest.raises(SpaceError, match="inner_channels must be positive"):
        ResidualBlock(8, 16, hidden_channels=4, inner_channels=4)


@pytest.mark.parametrize("name", ["", "nowhere", "."])
def test_what_is_no_network_is_refused_with_all_that_may_be_given(name):
    with pytest.raises(SpaceError, match="as from:efficientnet-lite0, or the folder of a run"):
        spaces.load(f"from:{name}")
