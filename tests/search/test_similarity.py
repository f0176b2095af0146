"""How alike networks see images: dissimilarities, their files, and an evaluator of them."""

from __future__ import annotations

import dataclasses
import shutil

import numpy as np
import pytest
import torch
from oneshot_helpers import SPACE, digits
from scipy.stats import spearmanr
from torch import nn

from hwnas import files, spaces
from hwnas.errors import DataError, SpaceError
from hwnas.evaluators.standalone import FromScratch
from hwnas.evaluators.zero_cost.config import Likeness, ZeroCostConfig
from hwnas.evaluators.zero_cost.similarity import (
    dissimilarities,
    features,
    likeness,
    matrix_in,
    similarity,
)
from hwnas.evaluators.zero_cost.untrained import Untrained
from hwnas.runs.folder import RunFolder
from hwnas.train import TrainConfig
from hwnas.train.checkpoint import save_weights

SMALL = spaces.load(SPACE)
FEW = dataclasses.replace(digits(), train=digits().sample("train", 320), val=digits().sample("val", 40))
RNG = np.random.default_rng(0)
VECTORS = RNG.normal(size=(6, 9))


@pytest.fixture(scope="module")
def images():
    return torch.from_numpy(FEW.normalize(FEW.val.images[:12]))


@pytest.fixture(scope="module")
def networks():
    return Untrained(SMALL, FEW, ZeroCostConfig(images=8, references=2))


def test_dissimilarity_is_one_minus_correlation():
    found = dissimilarities(VECTORS)
    assert found == pytest.approx(1 - np.corrcoef(VECTORS), abs=1e-12)
    assert np.diagonal(found).tolist() == [0.0] * 6


def test_what_is_the_same_everywhere_correlates_with_nothing():
    vectors = VECTORS.copy()
    vectors[2] = 3.0
    found = dissimilarities(vectors)
    assert np.delete(found[2], 2).tolist() == [1.0] * 5
    assert np.isfinite(found).all()


def test_similarity_is_spearmans():
    other = VECTORS + RNG.normal(size=VECTORS.shape)
    one, two = dissimilarities(VECTORS), dissimilarities(other)
    above = np.triu_indices(6, 1)
    assert similarity(one, two) == pytest.approx(spearmanr(one[above], two[above]).statistic)
    assert similarity(one, one) == pytest.approx(1)
    assert similarity(one, 7 * one**3) == pytest.approx(1), "only ranks count"
    assert similarity(one, np.zeros((6, 6))) == 0


def test_features_are_what_the_last_layer_reads():
    network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(16, 2))
    images = torch.randn(3, 1, 4, 4)
    found = features(network, images)
    with torch.no_grad():
        assert found == pytest.approx(network.eval()[:4](images).numpy(), abs=1e-6)
    assert not any(module._forward_pre_hooks for module in network.modules())


def written(path, network, images):
    """How unlike each other a network finds images, as a file."""
    np.save(path, dissimilarities(features(network, images)))
    return Likeness(str(path), len(images))


def from_scratch(**settings):
    config = TrainConfig(epochs=2, batch_size=32)
    return FromScratch(SMALL, "digits", config=config, threads=1, images=FEW, **settings)


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    """A trained network, as a run and as what it makes of images."""
    run = tmp_path_factory.mktemp("teacher")
    trained, arch = from_scratch().subnetwork([1] * 8), SMALL.architecture([1] * 8)
    files.write_json(RunFolder(run).arch, arch.to_json())
    save_weights(trained, RunFolder(run).weights, {"data": FEW.fingerprint})
    return run, trained


def test_a_network_is_most_like_itself(networks, images, tmp_path):
    to = written(tmp_path / "own.npy", networks.subnetwork([2] * 8), images)
    scores = [likeness(networks.subnetwork(indices), FEW, to) for indices in ([2] * 8, [0] * 8, [1] * 8)]
    assert scores[0] == pytest.approx(1)
    assert all(0 <= score < 1 for score in scores[1:])


def test_a_run_and_a_file_of_its_dissimilarities_are_one_reference(networks, images, teacher, tmp_path):
    run, trained = teacher
    network = networks.subnetwork([2] * 8)
    of_file = likeness(network, FEW, written(tmp_path / "m.npy", trained, images))
    assert likeness(network, FEW, Likeness(str(run), 12)) == pytest.approx(of_file)


def test_one_that_was_trained_is_more_like_a_trained_teacher_than_random_ones(networks, teacher):
    to, arch = Likeness(str(teacher[0]), 12), SMALL.architecture([1, 0] * 4)
    alike = from_scratch(alike=to)
    assert alike(arch) > likeness(networks.subnetwork(arch.indices), FEW, to)
    assert alike.merits.name == "likeness"
    assert alike.merits.key == "quality"
    assert "alike in 12 images" in alike.traits.fidelity


@pytest.mark.slow
def test_where_trainings_are_cut_short_likeness_decides_and_accuracy_in_the_end(teacher, tmp_path):
    arch, to = SMALL.architecture([1, 0] * 4), Likeness(str(teacher[0]), 12)
    early = from_scratch(alike_early=to, kept=tmp_path)
    assert early(arch) == from_scratch(kept=tmp_path)(arch), "the same training, kept by either"
    assert early.merits.key == "quality", "some of its scores are no accuracies"
    shorter = early.at(1 / 2)
    assert shorter.config.epochs == 1
    assert shorter(arch) == likeness(shorter.subnetwork(arch.indices), FEW, to)
    assert early.at(1) is early


def test_random_weights_are_compared_as_other_measures_are(teacher):
    config = ZeroCostConfig(measure="similarity", images=12, references=3, alike=str(teacher[0]))
    untrained = Untrained(SMALL, FEW, config)
    wanted = likeness(untrained.subnetwork([1] * 8), FEW, Likeness(str(teacher[0]), 12))
    assert untrained.value([1] * 8) == pytest.approx(wanted)
    assert 0 < untrained(SMALL.architecture([1] * 8)) < 1
    assert Untrained.of_record(SMALL, untrained.describe(), FEW).config == config


def test_scores_are_taken_over_where_images_and_reference_are_the_same(teacher, tmp_path):
    def identity(**settings):
        return from_scratch(**settings).identity()

    to, moved = Likeness(str(teacher[0]), 12), tmp_path / "moved"
    shutil.copytree(teacher[0], moved)
    assert identity(alike=to) == identity(alike=Likeness(str(moved), 12))
    different = [
        identity(),
        identity(alike=to),
        identity(alike_early=to),
        identity(alike=Likeness(to.reference, 9)),
    ]
    assert len({str(each) for each in different}) == 4


def test_what_is_recorded_makes_the_same_scorer(teacher, tmp_path):
    to = Likeness(str(teacher[0]), 12)
    for settings in ({}, {"alike": to}, {"alike_early": to}):
        one = from_scratch(**settings)
        source = {"source": "digits", "seed": 0}
        again = FromScratch.of_record(SMALL, one.describe(), source, tmp_path, FEW)
        assert (again.alike, again.alike_early) == (one.alike, one.alike_early)


def test_a_matrix_of_other_images_is_refused(networks, images, tmp_path):
    to = written(tmp_path / "m.npy", networks.subnetwork([2] * 8), images)
    with pytest.raises(DataError, match=r"of the validation images.*got 11 images.*\(12, 12\)"):
        likeness(networks.subnetwork([1] * 8), FEW, Likeness(to.reference, 11))


def test_who_is_not_there_is_refused(networks, tmp_path):
    with pytest.raises(DataError, match="run folder of a trained network"):
        likeness(networks.subnetwork([1] * 8), FEW, Likeness(str(tmp_path / "none")))


@pytest.mark.parametrize("settings", [{"measure": "similarity"}, {"measure": "naswot", "alike": "run"}])
def test_similarity_and_whom_to_go_together(settings):
    with pytest.raises(SpaceError, match="somebody to be alike"):
        ZeroCostConfig(**settings)


def test_a_matrix_is_read_from_a_file(tmp_path):
    np.save(tmp_path / "m.npy", dissimilarities(VECTORS))
    assert matrix_in(tmp_path / "m.npy") == pytest.approx(dissimilarities(VECTORS))


@pytest.mark.parametrize(
    "content",
    [
        np.zeros((3, 4)),
        np.ones((3, 3)),
        np.triu(np.ones((3, 3)), 1),
        np.full((3, 3), np.nan),
        np.array([["a"]]),
        np.array([{}], dtype=object),
        None,
    ],
)
def test_a_file_that_holds_no_matrix_is_refused(tmp_path, content):
    path = tmp_path / "m.npy"
    if content is not None:
        np.save(path, content)
    with pytest.raises(DataError, match="square, symmetric array of finite numbers"):
        matrix_in(path)
