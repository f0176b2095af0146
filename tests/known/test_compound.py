"""Compound scaling: as published, and inside the spaces that are searched."""

from __future__ import annotations

from dataclasses import replace
from math import ceil

import pytest

from hwnas import known, spaces
from hwnas.errors import SpaceError
from hwnas.known.compound import EFFICIENTNET, Compound

PUBLISHED = {  # power: multiples of depth and width, and pixels, of the networks that were released
    0.0: (1.0, 1.0, 224),  # B0
    0.5: (1.1, 1.0, 240),  # B1
    1.0: (1.2, 1.1, 260),  # B2
    2.0: (1.4, 1.2, 300),  # B3
}


@pytest.mark.parametrize("power", PUBLISHED)
def test_the_powers_are_the_published_networks(power):
    scale, (depth, width, side) = EFFICIENTNET.to_the(power), PUBLISHED[power]
    assert scale.depth == pytest.approx(depth, rel=0.03)
    assert scale.width == pytest.approx(width, rel=0.05)
    assert scale.pixels(224) == pytest.approx(side, rel=0.02)
    assert scale.pixels(224) % 8 == 0
    assert scale.macs == pytest.approx(1.92**power, rel=0.01)


@pytest.mark.parametrize(("power", "name"), [(0.5, "efficientnet-lite1"), (1, "efficientnet-lite2")])
def test_the_released_lite_networks_are_as_large_as_the_rule_says(power, name):
    """Layers are rounded up and the head is never scaled, so that they are not exactly so large."""
    base = known.load("efficientnet-lite0")
    assert known.load(name).macs / base.macs == pytest.approx(EFFICIENTNET.to_the(power).macs, rel=0.2)


@pytest.mark.parametrize(("power", "layers_left"), [(-1, 16), (-2, 15), (-4, 10)])
def test_a_smaller_network_of_the_rule_is_in_the_space_that_is_searched(power, layers_left):
    """Narrower and coarser by name; of each stage the first layers, rounded up, the others left out."""
    scale = EFFICIENTNET.to_the(power)
    name = known.short_name("efficientnet-lite0", scale.wide(1))
    space = spaces.load(f"from:{name}", resolution=scale.pixels(224))
    network = known.load(name, resolution=scale.pixels(224))
    stages: list[list[int]] = []
    for number, choice in enumerate(space.choices):
        if choice.candidates[0].has_residual:
            stages[-1].append(number)
        else:
            stages.append([number])
    picks = [0] * len(space.choices)
    for layers in stages:
        for number in layers[ceil(len(layers) * scale.depth) :]:
            (picks[number],) = (n for n, b in enumerate(space.choices[number].candidates) if b.is_identity)
    found = space.architecture(picks)
    assert [b for b in found.blocks if not b.is_identity] == [
        block for block, pick in zip(network.blocks, [0, *picks, 0], strict=True) if pick == 0
    ]
    assert picks.count(0) == layers_left
    assert scale.macs * known.load("efficientnet-lite0").macs <= found.macs <= network.macs


def test_what_is_not_scaled_stays():
    nothing = EFFICIENTNET.to_the(0)
    assert (nothing.pixels(90), nothing.wide(0.75)) == (90, 0.75)
    assert replace(nothing, resolution=0.01).pixels(224) == 8


@pytest.mark.parametrize("scales", [(0, 1, 1), (1, -1, 1), (1, 1, float("nan")), (float("inf"), 1, 1)])
def test_scales_that_are_none(scales):
    with pytest.raises(SpaceError, match="scales must be positive and finite"):
        Compound(*scales)


@pytest.mark.parametrize("scales", [(1.2, 1.0, 1.0), (1.2, 1.2, 1.3)])
def test_the_first_power_must_about_double(scales):
    with pytest.raises(SpaceError, match="must double the multiply-adds"):
        Compound(*scales).to_the(1)
