"""Scores of networks that nobody trained: measures of random weights, and a place among random networks."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from oneshot_helpers import SPACE, constraint, digits
from task_helpers import Task, searched
from torch import nn

from hwnas import spaces
from hwnas.errors import SpaceError
from hwnas.evaluators.base import TrainedNetworks
from hwnas.evaluators.zero_cost.config import CALLED, SIMILARITY, ZeroCostConfig
from hwnas.evaluators.zero_cost.measures import MEASURES, RIDGE, ImageBatch, gradient_norm, naswot, synflow
from hwnas.evaluators.zero_cost.untrained import Untrained
from hwnas.finalists.ranking import Ranking
from hwnas.search.sampling.evolution import Evolution

SMALL = spaces.load(SPACE)


def untrained(**settings):
    return Untrained(SMALL, digits(), ZeroCostConfig(**{"images": 16, "references": 8, **settings}))


def batch_of(images):
    targets = torch.arange(len(images)) % 2
    return ImageBatch(images, targets, nn.functional.cross_entropy)


def test_naswot_counts_units_that_agree():
    """Three images and four units, by hand: log |K| of how many are both on or both off."""
    images = torch.tensor([[1.0, 1, -1, -1], [1, -1, -1, -1], [-1, -1, 1, 1]])
    agreeing = np.array([[4.0, 3, 0], [3, 4, 1], [0, 1, 4]])
    found = naswot(nn.Sequential(nn.Identity(), nn.ReLU()), batch_of(images))
    assert found == pytest.approx(np.linalg.slogdet(agreeing + RIDGE * np.eye(3)).logabsdet)
    assert found == pytest.approx(naswot(nn.Sequential(nn.Hardswish(), nn.Sigmoid()), batch_of(images)))


def test_naswot_of_images_that_look_alike_is_low_and_finite():
    found = naswot(nn.Sequential(nn.ReLU()), batch_of(torch.ones(3, 5)))
    assert np.isfinite(found)
    assert found < naswot(nn.Sequential(nn.ReLU()), batch_of(torch.eye(3, 5) - 0.5))


def test_synflow_is_the_flow_through_positive_weights_times_the_number_of_layers():
    """Without biases every layer's weights times slopes sum to what flows out."""
    one, two = nn.Linear(3, 4, bias=False), nn.Linear(4, 2, bias=False)
    first, second = (layer.weight.detach().abs().double() for layer in (one, two))
    flow = float((second @ first @ torch.ones(3).double()).sum())
    network = nn.Sequential(one, nn.ReLU(), two)
    assert synflow(network, batch_of(torch.zeros(5, 3))) == pytest.approx(np.log(2 * flow))


def test_the_gradient_norm_is_that_of_all_weights():
    network = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    batch = batch_of(torch.randn(6, 3, generator=torch.Generator().manual_seed(0)))
    found = gradient_norm(network, batch)
    batch.loss(network(batch.images), batch.targets).backward()
    norm = torch.cat([p.grad.flatten() for p in network.parameters()]).norm()
    assert found == pytest.approx(float(torch.log(norm)), abs=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("measure", MEASURES)
def test_a_score_is_a_place_among_random_networks_and_follows_from_the_seed(measure):
    evaluate, again, other = (
        untrained(measure=measure),
        untrained(measure=measure),
        untrained(measure=measure, seed=1),
    )
    assert set(MEASURES) == set(CALLED) - {SIMILARITY}
    assert isinstance(evaluate, TrainedNetworks)
    rng = np.random.default_rng(0)
    archs = [SMALL.sample(rng) for _ in range(6)]
    scores = evaluate.all(archs)
    values = [evaluate.value(arch.indices) for arch in archs]
    assert all(0 <= score <= 1 for score in scores)
    assert np.argsort(scores).tolist() == np.argsort(values).tolist()
    assert again.all(archs) == scores
    assert other.all(archs) != scores
    torch.manual_seed(5)
    state = torch.get_rng_state()
    untrained(measure=measure)(archs[0])
    assert torch.equal(torch.get_rng_state(), state), "global randomness is left alone"


@pytest.mark.parametrize("measure", ["naswot", "synflow"])  # shallow networks may have large gradients
def test_a_network_that_skips_everything_is_below_one_that_skips_nothing(measure):
    evaluate = untrained(measure=measure)
    largest = [len(choice.candidates) - 1 for choice in SMALL.choices]
    assert evaluate(SMALL.architecture(largest)) > 0.5 > evaluate(SMALL.architecture([0] * 8))


def test_architectures_of_one_network_are_looked_at_once(monkeypatch):
    asked = []

    def measure(_network, _batch):
        asked.append(1)
        return float(len(asked))

    monkeypatch.setitem(MEASURES, "naswot", measure)
    evaluate = untrained()
    for indices in ([0, 2, *[1] * 6], [2, 0, *[1] * 6]):  # a skipped block, before or after another one
        evaluate.value(indices)
    before = len(asked)
    evaluate.value([2, 0, *[1] * 6])
    assert len(asked) == before <= 2


def test_a_measure_that_is_no_number_is_worth_nothing(monkeypatch):
    monkeypatch.setitem(MEASURES, "naswot", lambda *_: float("nan"))
    assert untrained()(SMALL.architecture([1] * 8)) == 0.0


@pytest.mark.slow
def test_a_search_by_it_gets_better_as_it_asks():
    task = Task(SMALL, (constraint(0.4),), untrained())
    found = searched(Evolution(queries=40), task, np.random.default_rng(0))
    founders, last = (
        [trial.quality for trial in found.trials[part]] for part in (slice(10), slice(-10, None))
    )
    assert np.mean(last) > np.mean(founders)
    assert found.quality == max(trial.quality for trial in found.trials)


def test_what_it_says_of_itself():
    evaluate = untrained()
    assert evaluate.merits.name == "NASWOT percentile"
    assert evaluate.merits.key == "quality"
    assert evaluate.merits.interval(0.5) is None
    assert evaluate.merits.is_clearly_worse(0.5, 0.5001)
    assert not evaluate.merits.is_clearly_worse(0.5, 0.5)
    assert evaluate.merits.blindness([0.1], digits().val.labels) is None
    assert evaluate.traits.images is None
    assert evaluate.traits.is_repeatable
    assert "not trained: NASWOT" in evaluate.traits.fidelity
    record = json.loads(json.dumps(evaluate.describe()))
    again = Untrained.of_record(SMALL, record, digits())
    arch = SMALL.architecture([1] * 8)
    assert (again.identity(), again(arch)) == (evaluate.identity(), evaluate(arch))


def test_finalists_cannot_be_ranked_in_int8():
    with pytest.raises(SpaceError, match='ranked by "fp32" where networks are not trained'):
        Ranking(untrained(), "int8")


@pytest.mark.parametrize("settings", [{"measure": "luck"}, {"images": 1}, {"references": 1}])
def test_settings_that_make_no_sense_are_refused(settings):
    with pytest.raises(SpaceError, match=r"a measure must be|must be at least 2"):
        ZeroCostConfig(**settings)


def test_a_space_of_other_classes_is_refused():
    with pytest.raises(SpaceError, match="as many classes"):
        Untrained(spaces.load("macro-r8-c7"), digits(), ZeroCostConfig())
