"""What is measured follows from the spaces and the seed alone."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from hwnas import spaces
from hwnas.blocks import Conv, Head, Skip
from hwnas.errors import DeviceError, SpaceError
from hwnas.measure import ProfileOptions, plan
from hwnas.space import Choice, SearchSpace

WANTED = {"calibration": 20, "heldout": 12}


@pytest.mark.parametrize("name", ["macro", "fbnet-r64-c10-cifar"])
def test_calibration_and_heldout_networks_are_disjoint_and_distinct(name: str) -> None:
    chosen = plan.networks(spaces.load(name), WANTED, seed=3)
    assert {kind: len(found) for kind, found in chosen.items()} == WANTED
    graphs = [a.blocks for found in chosen.values() for a in found]
    assert len(set(graphs)) == 32, "two networks of the same blocks would leak"


def test_asking_for_more_extends_the_same_lists() -> None:
    space = spaces.load("macro")
    few = plan.networks(space, {"calibration": 5, "heldout": 2}, seed=1)
    for more in ({"calibration": 50, "heldout": 2}, {"calibration": 5, "heldout": 40}, WANTED):
        many = plan.networks(space, more, seed=1)
        for kind, found in few.items():
            assert many[kind][: len(found)] == found


def test_another_seed_gives_other_networks() -> None:
    space = spaces.load("fbnet")
    assert plan.networks(space, WANTED, 0) == plan.networks(space, WANTED, 0)
    assert plan.networks(space, WANTED, 0) != plan.networks(space, WANTED, 1)


def test_networks_spread_wider_than_uniform_ones() -> None:
    space = spaces.load("fbnet")
    chosen = plan.networks(space, {"calibration": 60}, 0)["calibration"]
    rng = np.random.default_rng(0)
    uniform = [space.sample(rng).macs for _ in range(60)]
    assert np.std([a.macs for a in chosen]) > 1.3 * np.std(uniform)


def test_a_space_with_too_few_networks_says_so() -> None:
    stay = (Skip(8, 8), Conv(8, 8, kernel_size=3))
    space = SearchSpace(
        "tiny",
        (3, 8, 8),
        (Conv(3, 8, kernel_size=3),),
        (Choice("a", stay), Choice("b", stay)),
        (Head(8, 8, 2),),
    )
    assert len({space.architecture(i).blocks for i in product(range(2), repeat=2)}) == 3
    with pytest.raises(SpaceError, match="seems to hold 3"):
        plan.networks(space, {"calibration": 4}, 0)


def test_items_hold_every_workload_once() -> None:
    macro, larger = spaces.load("macro"), spaces.load("macro", num_classes=100)
    options = ProfileOptions(calibration_networks=4, heldout_networks=3)
    items = plan.items([macro, larger], options)
    keys = [item.key for item in items]
    assert len(set(keys)) == len(keys)
    blocks = {item.key for item in items if item.kind == "block"}
    assert blocks == {w.key() for space in (macro, larger) for w in space.workloads()}
    assert sum(item.kind == "calibration" for item in items) == 8
    assert sum(item.kind == "heldout" for item in items) == 6


def test_every_round_has_an_order_of_its_own_that_the_seed_decides() -> None:
    jobs = list(range(50))
    orders = [plan.shuffled(jobs, 7, number) for number in range(5)]
    assert all(sorted(order) == jobs for order in orders)
    assert len({tuple(order) for order in orders}) == 5
    assert orders == [plan.shuffled(jobs, 7, number) for number in range(5)]
    assert orders != [plan.shuffled(jobs, 8, number) for number in range(5)]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("rounds", 0),
        ("samples", 0),
        ("target_ci", 0.0),
        ("heldout_networks", -1),
        ("cpus", ()),
        ("warmup_max_ms", 1.0),
    ],
)
def test_senseless_options_are_refused(field: str, value: object) -> None:
    with pytest.raises(DeviceError, match=field):
        ProfileOptions(**{field: value})
