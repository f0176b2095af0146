"""Spaces whose candidates read more than what is right before them."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from hwnas import blocks, spaces
from hwnas.blocks import Conv, FPNSum, MBConv, PooledContext, Skip
from hwnas.errors import SpaceError
from hwnas.latency.workloads import parse_workload
from hwnas.space import Choice, SearchSpace
from hwnas.spaces.canonical import Canonical


def wired() -> SearchSpace:
    """Two sizes of features, and a choice of decoders that read one or both of them."""
    stay = (MBConv(8, 8, expansion_ratio=2), Skip(8, 8))
    down = (MBConv(8, 16, stride=2, expansion_ratio=2), MBConv(8, 16, stride=2, expansion_ratio=3))
    decoders = (FPNSum((8, 16), 8, 3), PooledContext(16, 8, 3, 2))
    choices = (Choice("a", stay), Choice("b", stay), Choice("c", down), Choice("d", (Skip(16, 16),)))
    last = Choice("decoder", decoders, (("b", "d"), ("d",)))
    return SearchSpace("wired", (3, 16, 16), (Conv(3, 8),), (*choices, last), ())


def reading(space: SearchSpace, *reads: tuple[str, ...]) -> SearchSpace:
    """The same with decoders that read something else."""
    *before, last = space.choices
    return replace(space, choices=(*before, replace(last, reads=reads)))


def test_candidates_may_read_several_choices():
    space = wired()
    assert not space.is_row
    assert space.choice_reads[-1] == ((1, 3), (3,))
    assert space.read_elsewhere == {1}
    fpn, pooled = space.choice_workloads[-1]
    assert fpn.in_shapes == ((8, 16, 16), (16, 8, 8))
    assert fpn.key().endswith("@8x16x16+16x8x8")
    assert parse_workload(fpn.key()) == fpn
    assert pooled.in_shapes == ((16, 8, 8),)
    assert space.output_shape == (3, 16, 16)
    assert space.num_classes == 3


def test_what_is_read_keeps_its_place_where_layers_are_left_out():
    space = wired()
    whole, short = space.architecture((0, 0, 0, 0, 0)), space.architecture((1, 1, 1, 0, 0))
    assert whole.reads == ((-1,), (0,), (1,), (2,), (2, 3)), "the identity d is none of the blocks"
    assert short.reads == ((-1,), (0,), (0, 1)), "what reads b reads what b passes on"
    assert space.architecture((0, 0, 0, 0, 1)).reads == ((-1,), (0,), (1,), (2,), (3,))
    for arch in (whole, short):
        network = blocks.network(arch).eval()
        parts = list(network)
        with torch.no_grad():
            image = torch.randn(2, 3, 16, 16)
            fine = nn.Sequential(*parts[: arch.reads[-1][0] + 1])(image)
            coarse = nn.Sequential(*parts[arch.reads[-1][0] + 1 : -1])(fine)
            assert torch.equal(network(image), parts[-1](fine, coarse))


def test_a_row_of_equal_choices_ends_where_it_is_read():
    shared = Canonical(wired())
    assert shared.key((1, 0, 0, 0, 0)) == (0, 1, 0, 0, 0), "only b is read: a and b are one row"
    first = Canonical(reading(wired(), ("a", "d"), ("d",)))
    assert first.key((1, 0, 0, 0, 0)) == (1, 0, 0, 0, 0), "what a gives is read before b changes it"


def test_the_fingerprint_knows_what_is_read():
    space = wired()
    assert reading(space, ("a", "d"), ("d",)).fingerprint != space.fingerprint
    assert spaces.load("macro").fingerprint == "4207708a5482a5c0", "tables and runs know spaces by it"


@pytest.mark.parametrize(
    ("reads", "message"),
    [
        ((("a",),), "must read something"),
        ((("a", "c"), ()), "must read something"),
        ((("a", "decoder"), ("d",)), "must be a choice before it"),
        ((("a", "nowhere"), ("d",)), "must be a choice before it"),
        ((("b", "d"), ("b", "d")), "must take what it reads"),
        ((("d", "b"), ("d",)), "in_channels, not"),
    ],
)
def test_reads_that_cannot_be_are_refused(reads, message):
    with pytest.raises(SpaceError, match=message):
        reading(wired(), *reads)
