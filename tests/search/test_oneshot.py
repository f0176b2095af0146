import dataclasses

import numpy as np
import pytest
import torch
from oneshot_helpers import CONFIG, digits, space, task_of
from torch import nn

from hwnas import data, search, spaces, testing
from hwnas.errors import SchemaMismatch, SpaceError, TrainingError
from hwnas.evaluators.base import shared_weights
from hwnas.evaluators.supernet.config import OneShotConfig
from hwnas.evaluators.supernet.oneshot import OneShot
from hwnas.evaluators.supernet.warm_up import rate, warm_up

PATH = (1, 0, 2, 0, 1, 2, 0, 1)
OTHER = (0, 1, 0, 1, 2, 0, 1, 2)
IDENTITIES = (0,) * 8


@pytest.fixture
def oneshot():
    return OneShot(space(), digits(), CONFIG)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["fbnet", "proxylessnas", "spos"])
def test_contract_of_strategies_that_train_a_supernet(name):
    quick = {"warmup_steps": 2, "steps": 2, "finalists": 2} if name != "spos" else {"training_steps": 4}
    strategy = search.made(name, quick | ({"queries": 4} if name == "spos" else {}))
    testing.check_strategy(strategy, space(), lambda: OneShot(space(), digits(), CONFIG))


def weights(oneshot):
    return {name: value.clone() for name, value in oneshot.supernet.state_dict().items()}


def same(one, two):
    return all(torch.equal(one[name], two[name]) for name in one)


@pytest.mark.slow
def test_weights_learn_what_they_are_trained_on(oneshot):
    before = oneshot.score(PATH)
    for _ in range(70):
        oneshot.weight_step(PATH, 1.0)
    after = oneshot.score(PATH)
    assert oneshot.steps == 70
    assert after.loss < before.loss - 0.3
    assert after.value > 0.35


@pytest.fixture(scope="module")
def trained():
    """Losses of some paths before a training on random paths, and the supernet after it."""
    small = spaces.load("macro", resolution=16)
    oneshot = OneShot(small, data.load("digits", resolution=16), OneShotConfig(width=0.5))
    before = {path: oneshot.score(path).loss for path in (PATH, OTHER, IDENTITIES, (2,) * 8)}
    warm_up(oneshot, 300)
    return before, oneshot


@pytest.mark.slow
def test_training_on_random_paths_makes_all_paths_better(trained):
    before, oneshot = trained
    assert all(oneshot.score(path).loss < loss for path, loss in before.items())
    assert min(oneshot.score(path).value for path in before if path != IDENTITIES) > 0.8


@pytest.mark.slow
@pytest.mark.xfail(
    strict=True, reason="a path drawn once in 6,561 steps is underrated: .27, and .90 trained alone"
)
def test_even_the_rarest_path_is_worth_something(trained):
    assert trained[1].score(IDENTITIES).value > 0.4


def test_weight_decay_and_momentum_spare_what_was_not_sampled(oneshot):
    """With a gradient of None neither touches a weight, even after it has had momentum."""
    for _ in range(3):
        oneshot.weight_step(OTHER, 1.0)
    before = weights(oneshot)
    for _ in range(3):
        oneshot.weight_step(PATH, 1.0)
    after = weights(oneshot)
    for number, (sampled, spared) in enumerate(zip(PATH, OTHER, strict=True)):
        for name in before:
            if f"choices.{number}.candidates.{spared}." in name:
                assert torch.equal(before[name], after[name]), name
        moved = [n for n in before if f"choices.{number}.candidates.{sampled}." in n and "weight" in n]
        assert all(not torch.equal(before[n], after[n]) for n in moved)


def test_paths_are_uniform_and_a_function_of_seed_and_step(oneshot):
    paths = np.array([oneshot.paths.uniform(step) for step in range(600)])
    shares = np.array([(paths == candidate).mean(axis=0) for candidate in range(3)])
    assert np.abs(shares - 1 / 3).max() < 0.07
    assert oneshot.paths.uniform(5) == OneShot(space(), digits(), CONFIG).paths.uniform(5)


def test_a_score_does_not_depend_on_what_was_scored_before(oneshot):
    warm_up(oneshot, 10)
    first = oneshot.score(PATH)
    fresh = OneShot(space(), digits(), CONFIG)
    warm_up(fresh, 10)
    fresh.score(OTHER)
    assert fresh.score(PATH) == first


def test_scores_are_forgotten_when_weights_move(oneshot):
    before = oneshot.score(PATH)
    oneshot.weight_step(PATH, 1.0)
    assert oneshot.score(PATH) != before


def test_the_test_split_plays_no_part():
    spoilt = dataclasses.replace(
        digits(), test=data.Split(np.zeros((0, 3, 8, 8), np.uint8), np.zeros(0, int))
    )
    found = OneShot(space(), spoilt, CONFIG)
    warm_up(found, 3)
    assert found.score(PATH).loss > 0


def test_loss_breaks_ties_by_less_than_one_image(oneshot):
    score = oneshot.score(PATH)
    value = oneshot(space().architecture(PATH))
    assert 0 <= score.value - value < 1 / len(digits().val)


def test_the_same_seed_gives_the_same_weights_and_another_seed_others():
    runs = []
    for seed in (0, 0, 1):
        found = OneShot(space(), digits(), dataclasses.replace(CONFIG, seed=seed))
        warm_up(found, 3)
        runs.append(weights(found))
    assert same(runs[0], runs[1])
    assert not same(runs[0], runs[2])


def test_saved_weights_score_the_same_and_keep_their_settings(oneshot, tmp_path):
    warm_up(oneshot, 5)
    oneshot.save(tmp_path / "supernet.safetensors")
    loaded = OneShot.load(tmp_path / "supernet.safetensors", space(), digits())
    assert loaded.config == oneshot.config
    assert loaded.steps == 5
    assert loaded.score(PATH) == oneshot.score(PATH)
    oneshot.weight_step(PATH, 1.0)
    loaded.weight_step(PATH, 1.0)
    assert same(weights(oneshot), weights(loaded))  # momenta came along


def test_weights_of_another_space_or_data_are_refused(oneshot, tmp_path):
    path = tmp_path / "supernet.safetensors"
    oneshot.save(path)
    with pytest.raises(SchemaMismatch, match="same space"):
        OneShot.load(path, spaces.load("macro", resolution=16), digits())
    with pytest.raises(SchemaMismatch, match="same data"):
        OneShot.load(path, space(), data.load("digits", resolution=8, seed=1))
    path.write_bytes(b"nothing")
    with pytest.raises(TrainingError, match="readable safetensors"):
        OneShot.load(path, space(), digits())


def test_nan_stops_training(oneshot):
    with torch.no_grad():
        next(m for m in oneshot.supernet.modules() if isinstance(m, nn.Linear)).bias.fill_(float("nan"))
    with pytest.raises(TrainingError, match="finite"):
        oneshot.weight_step(PATH, 1.0)


def test_classes_must_fit():
    with pytest.raises(SpaceError, match="as many classes"):
        OneShot(spaces.load("macro", resolution=8, num_classes=7), digits(), CONFIG)


def test_the_rate_rises_then_falls():
    rates = [rate(step, 200) for step in range(200)]
    assert rates[0] < rates[5] < rates[10] == 1
    assert rates[-1] < 0.001


@pytest.mark.parametrize(
    "bad",
    [
        {"batch_size": 0},
        {"learning_rate": -1.0},
        {"recalibration_images": 0},
        {"crop": 0.6},
        {"release": 1.5},
    ],
)
def test_settings_without_sense_are_refused(bad):
    with pytest.raises(TrainingError, match=next(iter(bad))):
        OneShotConfig(**bad)


def test_a_one_shot_strategy_needs_a_supernet():
    task = task_of()
    assert shared_weights(task.evaluate) is task.evaluate
    with pytest.raises(SpaceError, match="must have an evaluator with a supernet"):
        shared_weights(lambda _: 0.5)
