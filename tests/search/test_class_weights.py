"""Unbalanced classes in searches: weighed in the loss, scored by balanced accuracy, and said to be so."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
import torch

from hwnas import data, spaces
from hwnas.budget import Budget
from hwnas.errors import TrainingError
from hwnas.evaluators.standalone import FromScratch
from hwnas.evaluators.supernet.config import OneShotConfig
from hwnas.evaluators.supernet.oneshot import OneShot
from hwnas.evaluators.supernet.warm_up import warm_up
from hwnas.search.request import SearchRequest
from hwnas.search.searching import _blind
from hwnas.statistics.answers import Answers, balanced_images
from hwnas.train import TrainConfig

SPACE = spaces.load("macro-r8-c3")
CONFIG = OneShotConfig(width=0.25, batch_size=32, recalibration_images=64, class_weights="balanced")


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """Three digits, 90 : 5 : 5."""
    whole = data.load("digits", resolution=8).train
    rows = np.concatenate(
        [np.flatnonzero(whole.labels == digit)[:count] for digit, count in enumerate((100, 12, 12))]
    )
    images = np.repeat(whole.images[rows], 2, axis=0)
    images[1::2] = np.roll(images[1::2], 1, axis=-1)  # no copies, so that none is in two splits
    labels = np.repeat(whole.labels[rows], 2)
    path = tmp_path_factory.mktemp("uneven") / "uneven.npz"
    common = np.repeat(images[labels == 0], 2, axis=0)
    common[1::2] = np.roll(common[1::2], 1, axis=-2)
    rare = labels > 0
    pictures = np.concatenate([common, images[rare]]).transpose(0, 2, 3, 1)
    np.savez(path, images=pictures, labels=np.concatenate([np.zeros(len(common), np.int64), labels[rare]]))
    return path


@pytest.fixture(scope="module")
def uneven(source):
    found = data.load(source, resolution=8)
    counts = np.bincount(found.train.labels)
    assert counts[0] > 6 * counts[1:].sum()
    return found


def test_the_supernet_is_scored_by_what_its_subnetwork_answers_in_each_class(uneven):
    oneshot = OneShot(SPACE, uneven, CONFIG)
    warm_up(oneshot, 3)
    for seed in range(3):
        arch = SPACE.sample(np.random.default_rng(seed))
        images, labels = next(iter(oneshot.some("val", len(uneven.val))))
        with torch.no_grad():
            answered = oneshot.subnetwork(arch.indices)(images).argmax(1)
        found = Answers.of(labels.numpy(), answered.numpy(), 3)
        score = oneshot.score(arch.indices)
        assert score.balanced == pytest.approx(found.balanced)
        assert score.value == pytest.approx(found.accuracy)
        assert found.balanced - 1 / len(uneven.val) / 3 <= oneshot(arch) <= found.balanced


def test_always_the_commonest_class_is_a_third_and_no_better_than_guessing(uneven):
    """What counts images calls it 90 %, and the best there is."""
    arch = SPACE.sample(np.random.default_rng(0))
    scores = {}
    for weights in ("none", "balanced"):
        oneshot = OneShot(SPACE, uneven, dataclasses.replace(CONFIG, class_weights=weights))
        classifier = [m for m in oneshot.supernet.head.modules() if isinstance(m, torch.nn.Linear)][-1]
        with torch.no_grad():
            classifier.weight.zero_()
            classifier.bias.copy_(torch.tensor([5.0, 0.0, 0.0]))
        scores[weights] = oneshot(arch)
    assert scores["none"] > 0.85
    assert scores["balanced"] == pytest.approx(1 / 3, abs=0.01)
    result = type("Result", (), {"trials": [type("T", (), {"quality": 1 / 3})], "extra": {}})
    (alarm,) = _blind(result, uneven, oneshot)["alarms"]
    assert "balanced accuracy of architectures is 33.3% on average" in alarm


def test_each_class_counts_the_same_in_the_loss(uneven):
    gates = SPACE.sample(np.random.default_rng(1)).indices
    weighed, plain = (
        OneShot(SPACE, uneven, dataclasses.replace(CONFIG, class_weights=kind))
        for kind in ("balanced", "none")
    )
    counts = np.bincount(uneven.train.labels)
    assert weighed.criterion.weights.tolist() == pytest.approx((counts.sum() / 3 / counts).tolist())
    assert plain.criterion.weights is None
    losses = [float(each.loss("val", gates, 0)) for each in (weighed, plain)]
    assert losses[0] != pytest.approx(losses[1])


@pytest.mark.slow
def test_trainings_from_scratch_are_scored_alike(uneven, source):
    arch = SPACE.sample(np.random.default_rng(2))
    config = TrainConfig(epochs=1, batch_size=32, class_weights="balanced")
    balanced = FromScratch(SPACE, str(source), config=config)
    network = balanced.subnetwork(arch.indices)
    with torch.no_grad():
        images = torch.from_numpy(uneven.normalize(uneven.val.images))
        answered = network(images).argmax(1).numpy()
    assert balanced(arch) == pytest.approx(Answers.of(uneven.val.labels, answered, 3).balanced)
    assert balanced.class_weights == "balanced"
    counts = np.bincount(uneven.val.labels)
    assert balanced.merits.images == 3 * counts.min() == balanced_images(uneven.val.labels)
    assert FromScratch(SPACE, str(source)).merits.images == len(uneven.val)


def test_supernets_and_searches_of_earlier_versions_are_those_without_weights(uneven, tmp_path):
    plain = dataclasses.replace(CONFIG, class_weights="none")
    assert "class_weights" not in plain.recorded()
    assert CONFIG.recorded()["class_weights"] == "balanced"
    request = SearchRequest("macro-r8-c3", (), (Budget.read("60%"),), strategy="random", oneshot=plain)
    assert "class_weights" not in json.dumps(request.identity()["oneshot"])
    path = tmp_path / "supernet.safetensors"
    OneShot(SPACE, uneven, plain).save(path)
    assert OneShot.load(path, SPACE, uneven).config.class_weights == "none"
    OneShot(SPACE, uneven, CONFIG).save(path)
    assert OneShot.load(path, SPACE, uneven).class_weights == "balanced"


def test_an_unknown_word_is_refused():
    with pytest.raises(TrainingError, match="class_weights must be one of"):
        OneShotConfig(class_weights="some")
