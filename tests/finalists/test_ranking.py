"""Sub-networks of a supernet, in fp32 and quantised, through the real runtimes."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from finalists_helpers import space

from hwnas import data
from hwnas.errors import SpaceError
from hwnas.evaluators.supernet.config import OneShotConfig
from hwnas.evaluators.supernet.oneshot import OneShot
from hwnas.evaluators.supernet.warm_up import rate
from hwnas.finalists.ranking import Ranking
from hwnas.finalists.record import trials_of
from hwnas.runs.trial import Trial

PATHS = [(1, 1, 1, 0, 1, 2, 0, 0), (2, 0, 1, 1, 0, 1, 1, 0)]


@pytest.fixture(scope="module")
def trained():
    config = OneShotConfig(width=0.25, resolution=8, batch_size=64, recalibration_images=128)
    oneshot = OneShot(space(), data.load("digits", resolution=8), config)
    for step in range(120):
        oneshot.weight_step(PATHS[step % 2], rate(step, 120))
    return oneshot


def test_only_whole_trainings_say_what_a_network_is_worth():
    """Of one that was scored again, the mean."""
    one, other = (0,) * 8, (1,) * 8
    trials = [
        Trial(one, 0.5, (1.0,), share=1 / 3),
        Trial(one, 0.8, (1.0,)),
        Trial(other, 0.6, (1.0,), share=1 / 3),
        Trial(one, 0.9, (1.0,)),
    ]
    assert trials_of(space(), SimpleNamespace(trials=trials)) == {one: pytest.approx(0.85)}


def test_a_subnetwork_computes_what_the_supernet_does(trained):
    images = torch.cat([batch for batch, _ in trained.some("val", 64)])
    for path in PATHS:
        network = trained.subnetwork(path)
        with torch.no_grad():
            trained.supernet.eval()
            torch.testing.assert_close(network(images), trained.supernet(images, path), rtol=1e-4, atol=1e-4)
        assert not any(module.training for module in network.modules())


@pytest.mark.parametrize("runtime", ["litert", "onnxruntime"])
def test_int8_accuracy_is_measured_and_near_that_of_fp32(trained, runtime):
    ranking = Ranking(trained, "int8", runtime)
    for path in PATHS:
        estimates = ranking.estimates(path)
        assert estimates["fp32"] > 0.3, "120 steps on digits must teach something"
        assert estimates["int8"] == pytest.approx(estimates["fp32"], abs=0.08)
        assert ranking.final(path) == estimates["int8"]
    assert ranking.best(PATHS, 1) == [max(PATHS, key=ranking.int8)]


def test_known_accuracies_are_not_estimated_again(trained):
    ranking = Ranking(trained, "fp32", known={PATHS[0]: 0.123})
    assert ranking.estimates(PATHS[0]) == {"fp32": 0.123}
    assert ranking.final(PATHS[0]) == 0.123
    with pytest.raises(SpaceError, match="ranked by one of"):
        Ranking(trained, "fp16")


@pytest.mark.parametrize("best", [0.5, 0.9, 1.0])
def test_worse_is_clear_where_chance_would_say_so_in_one_of_twenty(trained, best):
    """Against the distribution itself: two draws of equally good networks on so many images."""
    images = trained.merits.images
    draws = np.random.default_rng(0).binomial(images, best, (2, 20000)) / images
    pairs, times = np.unique(draws, axis=1, return_counts=True)
    ranking = Ranking(trained, "fp32", known={(n,): value for n, value in enumerate(pairs.ravel())})
    count = len(times)
    called = np.average([ranking.clearly_worse((n,), (count + n,)) for n in range(count)], weights=times)
    assert called <= 0.065
    if best == 0.5:
        assert called >= 0.035
    close, far = Ranking(trained, "fp32", known={(0,): 0.9, (1,): 0.88}), 0.8
    assert not close.clearly_worse((1,), (0,))
    assert Ranking(trained, "fp32", known={(0,): 0.9, (1,): far}).clearly_worse((1,), (0,))
