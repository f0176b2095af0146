"""How alike networks see images: dissimilarities, their files, and an evaluator of them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from oneshot_helpers import SPACE, digits
from scipy.stats import spearmanr
from torch import nn

from hwnas import spaces
from hwnas.data.batches import Batches
from hwnas.errors import DataError, SpaceError
from hwnas.evaluators.standalone import FromScratch
from hwnas.evaluators.zero_cost.config import ZeroCostConfig
from hwnas.evaluators.zero_cost.similarity import Alike, dissimilarities, features, matrix_in, similarity
from hwnas.evaluators.zero_cost.untrained import Untrained
from hwnas.train import TrainConfig

SMALL = spaces.load(SPACE)
RNG = np.random.default_rng(0)
VECTORS = RNG.normal(size=(6, 9))


@pytest.fixture(scope="module")
def images():
    return next(iter(Batches(digits()).some("val", 12, 0)))[0]


@pytest.fixture(scope="module")
def networks():
    return Untrained(SMALL, digits(), ZeroCostConfig(images=8, references=2))


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


def test_a_network_is_most_like_itself(networks, images):
    own = networks.subnetwork([2] * 8)
    evaluate = Alike(networks, images, dissimilarities(features(own, images)))
    scores = [evaluate(SMALL.architecture(indices)) for indices in ([2] * 8, [0] * 8, [1] * 8)]
    assert scores[0] == pytest.approx(1)
    assert all(0 <= score < 1 for score in scores[1:])


def test_one_that_was_trained_is_more_like_a_trained_teacher_than_random_ones(networks, images):
    config = TrainConfig(epochs=2, batch_size=128)
    trained = FromScratch(SMALL, "digits", config=config, threads=1, images=digits())
    teacher = trained.subnetwork([1] * 8)
    reference = dissimilarities(features(teacher, images))
    arch = SMALL.architecture([1, 0] * 4)
    by_training, by_none = Alike(trained, images, reference), Alike(networks, images, reference)
    assert by_training(arch) > by_none(arch)
    assert by_training.at(1 / 2).networks.config.epochs == 1
    assert "trained from scratch for 1 epochs" in by_training.at(1 / 2).traits.fidelity


def test_networks_that_cannot_be_trained_for_less_are_refused(networks, images):
    with pytest.raises(SpaceError, match="train them for less"):
        Alike(networks, images, np.zeros((12, 12))).at(0.5)


def test_scores_are_taken_over_where_images_and_reference_are_the_same(networks, images):
    first, again = (Alike(networks, images, dissimilarities(VECTORS[[0, 1, 2] * 4])) for _ in range(2))
    other = Alike(networks, images, np.zeros((12, 12)))
    assert first.identity() == again.identity() != other.identity()


def test_a_matrix_of_other_images_is_refused(networks, images):
    with pytest.raises(DataError, match="of the images that are looked at"):
        Alike(networks, images, np.zeros((11, 11)))


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
