"""What blocks do, against what they count themselves."""

from __future__ import annotations

import numpy as np
import pytest

from hwnas import spaces
from hwnas.blocks import Conv, FusedMBConv, Head, MBConv, Skip
from hwnas.errors import SpaceError
from hwnas.latency.bayes.entries import Entries
from hwnas.latency.features import FEATURES, features
from hwnas.latency.workloads import parse_workload
from hwnas.space import Workload

BLOCKS = [
    Conv(3, 16, 3, 2),
    Conv(3, 16, 1),
    Head(32, 64, 10),
    Skip(16, 16),
    Skip(16, 24, 2),
    MBConv(16, 24, 3, 2, 6.0),
    MBConv(16, 16, 5, 1, 3.0, groups=2),
    MBConv(16, 16, 7, 1, 1.0, se_ratio=0.25),
    MBConv(16, 32, 3, 1, 1.0, has_expansion=False),
    FusedMBConv(16, 24, 3, 2, 4.0),
]


def workload(block: object) -> Workload:
    channels = block.in_channels  # type: ignore[attr-defined]
    return Workload(block, (channels, 14, 14))  # type: ignore[arg-type]


def named(block: object) -> dict[str, float]:
    return dict(zip(FEATURES, features(workload(block)), strict=True))


@pytest.mark.parametrize("block", BLOCKS, ids=lambda b: b.key())
def test_macs_are_those_of_the_block(block: object) -> None:
    found = named(block)
    assert sum(v for name, v in found.items() if name.startswith("macs_")) == workload(block).macs


@pytest.mark.parametrize("block", BLOCKS, ids=lambda b: b.key())
def test_operations_follow_one_another(block: object) -> None:
    chain = workload(block).ops
    out = workload(block).block.out_shape(workload(block).in_shape)
    if not chain:
        assert workload(block).block.is_identity
        return
    assert chain[-1].written == np.prod(out)
    assert all(op.read > 0 and op.written > 0 for op in chain)


def test_a_known_block() -> None:
    found = named(MBConv(16, 24, 3, 2, 6.0))  # 16x14x14 -> 96x14x14 -> 96x7x7 -> 24x7x7
    assert found["macs_pointwise"] == 16 * 96 * 196 + 96 * 24 * 49
    assert found["macs_depthwise_3"] == 9 * 96 * 49
    assert found["read"] == 16 * 196 + 96 * 196 + 96 * 49
    assert found["written"] == 96 * 196 + 96 * 49 + 24 * 49
    assert found["weights"] == 16 * 96 + 9 * 96 + 96 * 24
    assert found["ops"] == 3
    assert found["shuffled"] == found["macs_grouped"] == 0


def test_groups_shuffle_and_residuals_add() -> None:
    grouped, plain = named(MBConv(16, 16, 3, 1, 3.0, groups=2)), named(MBConv(16, 16, 3, 1, 3.0))
    assert grouped["shuffled"] == 48 * 196
    assert grouped["macs_grouped"] == plain["macs_pointwise"] / 2
    assert grouped["ops"] == plain["ops"] + 1 == 5  # expand, shuffle, depthwise, project, add


def test_entries_describe_a_space() -> None:
    space = spaces.load("fbnet", resolution=32, num_classes=100, strides="cifar")
    entries = Entries.of_space(space)
    rng = np.random.default_rng(0)
    for _ in range(5):
        arch = space.sample(rng)
        row = entries.layout.matrix(np.array([arch.indices]))
        assert row @ entries.macs == pytest.approx(arch.macs)
    identities = [w.block.is_identity for _, _, w in space.candidates()]
    assert (~entries.costly[:-1]).tolist() == identities
    owned = entries.groups(entries.workloads)
    assert owned.shape[1] == len({w for _, _, w in space.candidates() if not w.block.is_identity})
    np.testing.assert_array_equal(owned.sum(axis=1)[:-1], ~np.array(identities))


@pytest.mark.parametrize("block", BLOCKS, ids=lambda b: b.key())
def test_a_workload_is_parsed_from_its_key(block: object) -> None:
    assert parse_workload(workload(block).key()) == workload(block)


@pytest.mark.parametrize(
    "key",
    ["", "skip_i16_o16_s1_arelu", "skip_i16_o16_s1_arelu@16x7", "skip_i16_o16_s1_arelu@8x7x7", "x@1x1x1"],
)
def test_odd_keys_are_refused(key: str) -> None:
    with pytest.raises(SpaceError):
        parse_workload(key)
