"""Paths of a supernet's training: uniform, or leaving an anchor gradually."""

import dataclasses

import numpy as np
import pytest
import torch
from oneshot_helpers import CONFIG, digits, space

from hwnas import data, spaces
from hwnas.evaluators.supernet.config import OneShotConfig
from hwnas.evaluators.supernet.oneshot import OneShot
from hwnas.evaluators.supernet.paths import DEEP, RELEASE, STAY, Paths, release_for
from hwnas.evaluators.supernet.warm_up import warm_up

DEEP_SPACES = ["fbnet", "mobilenetv3", "ofa", "proxylessnas"]


def deep():
    return spaces.load("fbnet-r32-c10")


def test_paths_of_a_shallow_space_are_uniform_from_the_first_step():
    paths = OneShot(space(), digits(), CONFIG).paths
    assert not paths.anchored
    assert [paths.at(step, 20) for step in range(20)] == [paths.uniform(step) for step in range(20)]


@pytest.mark.parametrize("name", DEEP_SPACES)
def test_paths_of_a_deep_space_begin_at_its_most_costly_network(name):
    found = spaces.load(name, num_classes=10)
    assert len(found.choices) > DEEP
    paths = Paths(found, 0, release_for(found))
    assert found.architecture(paths.at(0, 100)).macs == found.macs_range()[1]


def test_choices_leave_the_anchor_along_a_line_and_all_have_left_in_the_end():
    paths = Paths(deep(), 3, 0.8)
    left = [paths.left(step, 1000) for step in (0, 50, 425, 800, 1000)]
    assert left == pytest.approx([0, 0, 0.5, 1, 1])
    halfway = np.array([paths.at(s, 2 * s) for s in range(400, 500)])
    stayed = (halfway == paths.anchor).mean()
    assert stayed == pytest.approx(0.4 + 0.6 / 9, abs=0.03)  # 60 % have left, a ninth of them to the anchor
    assert all(paths.at(step, 1000) == paths.uniform(step) for step in range(800, 820))


def test_paths_are_a_function_of_seed_and_step():
    one, other = Paths(deep(), 3, RELEASE), Paths(deep(), 4, RELEASE)
    assert one.at(500, 1000) == Paths(deep(), 3, RELEASE).at(500, 1000)
    assert one.at(500, 1000) != other.at(500, 1000)


def test_a_release_within_the_stay_means_no_anchor():
    assert Paths(deep(), 0, STAY).at(0, 10) == Paths(deep(), 0, STAY).uniform(0)


@pytest.mark.parametrize("release", [0.0, RELEASE])
def test_residual_branches_are_shut_only_where_paths_are_anchored(release):
    config = dataclasses.replace(CONFIG, resolution=32, release=release)
    found = OneShot(deep(), data.load("digits", resolution=32), config)
    x = torch.randn(2, 8, 8, 8, generator=torch.Generator().manual_seed(0))
    number = next(n for n, c in enumerate(found.proxy.choices) if c.candidates[0].has_residual)
    candidate = found.supernet.choices[number].candidates[0].train()
    channels = found.proxy.choices[number].candidates[0].in_channels
    same = torch.equal(candidate(x[:, :channels]), x[:, :channels])
    assert same == bool(release)


@pytest.mark.slow
def test_a_training_that_was_cut_off_ends_where_an_uninterrupted_one_does(tmp_path):
    config = dataclasses.replace(CONFIG, release=0.9)
    whole = OneShot(space(), digits(), config)
    warm_up(whole, 20)

    class Cut(Exception):
        pass

    def cut(record):
        if record["step"] == 12:
            raise Cut

    path = tmp_path / "supernet.safetensors"
    first = OneShot(space(), digits(), config)
    with pytest.raises(Cut):
        warm_up(first, 20, on_step=cut)
    first.save(path)
    again = OneShot(space(), digits(), config)
    warm_up(again, 20, checkpoint=path)
    ours, theirs = whole.supernet.state_dict(), again.supernet.state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


@pytest.mark.slow
def test_a_deep_supernet_learns_with_an_anchor_what_it_does_not_learn_without():
    found = spaces.load("fbnet-r96", num_classes=10)
    images = data.load("digits", resolution=96)
    means = {}
    for release in (0.0, RELEASE):
        config = OneShotConfig(width=0.25, resolution=32, validation_images=300, release=release)
        oneshot = OneShot(found, images, config)
        warm_up(oneshot, 1000)
        rng = np.random.default_rng(5)
        means[release] = np.mean([oneshot.score(found.sample(rng).indices).value for _ in range(8)])
    assert means[0.0] < 0.2
    assert means[RELEASE] > 0.3
