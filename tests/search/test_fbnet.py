import dataclasses
import itertools
import json

import numpy as np
import pytest
import torch
from oneshot_helpers import constraint, space, task_of
from task_helpers import begun, searched

from hwnas import search
from hwnas.errors import SchemaMismatch, SpaceError, TrainingError
from hwnas.evaluators.supernet.warm_up import warm_up
from hwnas.search.base import SearchResult
from hwnas.search.oneshot.darts import DARTS
from hwnas.search.oneshot.fbnet import FBNet
from hwnas.search.oneshot.gates import alarms
from hwnas.search.oneshot.gdas import GDAS
from hwnas.search.oneshot.proxylessnas import ProxylessNAS
from hwnas.search.oneshot.snas import SNAS
from hwnas.search.sampling.random import Random

EVERY = [FBNet(), ProxylessNAS(), ProxylessNAS(form="reinforce"), DARTS(), DARTS(order=2), SNAS(), GDAS()]
SHORT = FBNet(warmup_steps=8, steps=14, finalists=5, curvatures=3)


@pytest.fixture(scope="module")
def found() -> SearchResult:
    return searched(SHORT, task_of(0.3), np.random.default_rng(0))


def test_the_best_keeps_the_budget_and_is_the_best_of_the_finalists(found):
    (limit,) = found.extra["limit_ms"]
    assert len(found.trials) == 5
    assert all(t.latencies_ms[0] <= limit for t in found.trials)
    assert found.quality == max(t.quality for t in found.trials)
    assert found.best.indices in {t.indices for t in found.trials}
    assert len({t.indices for t in found.trials}) == 5


def test_expected_argmax_and_decoded_latency_are_all_told(found):
    extra = found.extra
    assert extra["expected_ms"][0] == pytest.approx(found.trace[-1]["expected_ms"][0])
    assert len(extra["argmax"]["indices"]) == 8
    assert extra["decoded"]["latencies_ms"][0] <= extra["limit_ms"][0]
    assert tuple(extra["decoded"]["indices"]) == found.trials[0].indices


def test_the_trace_tells_the_course(found):
    assert [r["step"] for r in found.trace] == list(range(1, 15))
    wanted = {"loss", "gate_loss", "expected_ms", "expected_share", "multiplier", "temperature", "entropy"}
    assert all(wanted | {"skip_share"} <= r.keys() for r in found.trace)
    assert found.trace[-1]["entropy"] < found.trace[0]["entropy"]


def test_expected_latency_is_driven_towards_the_budget(found):
    off = [abs(r["expected_share"] - 1) for r in found.trace]
    assert off[-1] < 0.5 * off[0]


@pytest.mark.slow
@pytest.mark.parametrize("share", [0.3, 0.7])
@pytest.mark.parametrize(
    "strategy",
    EVERY,
    ids=lambda one: f"{one.name}-{getattr(one, 'form', getattr(one, 'order', ''))}",
)
def test_at_the_end_expected_latency_is_within_two_percent_of_the_budget(strategy, share):
    strategy = dataclasses.replace(strategy, warmup_steps=50, steps=200, finalists=1)
    result = searched(strategy, task_of(share), np.random.default_rng(0))
    assert result.trace[-1]["expected_share"] == pytest.approx(1, abs=0.02)


def test_the_gates_settle_at_the_end():
    strategy = FBNet(steps=100, gate_learning_rate=0.2)
    rates = [strategy.gate_rate(step) for step in range(100)]
    assert rates[:76] == [0.2] * 76
    assert all(a > b for a, b in itertools.pairwise(rates[75:]))
    assert 0 < rates[-1] < 0.02


@pytest.mark.parametrize(
    "strategy", EVERY, ids=lambda one: f"{one.name}-{getattr(one, 'form', getattr(one, 'order', ''))}"
)
def test_gates_do_not_move_before_the_weights_are_warm_and_nan_never_reaches_them(strategy):
    state = begun(strategy, task_of(0.5), 0)
    warm_up(state.oneshot, 2)
    assert all((p == 0).all() for p in state.gates.logits)
    with torch.no_grad():
        next(iter(state.oneshot.supernet.head.parameters())).fill_(float("nan"))
    with pytest.raises(TrainingError, match="finite"):
        strategy.gate_step(state, 0)
    assert all((p == 0).all() for p in state.gates.logits)


@pytest.mark.slow
def test_the_same_seed_gives_the_same_result_and_another_seed_another(found):
    again = searched(SHORT, task_of(0.3), np.random.default_rng(0))
    other = searched(SHORT, task_of(0.3), np.random.default_rng(1))
    assert search.to_json(again) == search.to_json(found)
    assert other.trace != found.trace


class Stop:
    def __init__(self, phase, step):
        self.at = (phase, step)

    def __call__(self, record):
        if (record["phase"], record["step"]) == self.at:
            raise KeyboardInterrupt


@pytest.mark.slow  # SPOS goes on in the default tests, by the same functions
@pytest.mark.parametrize("at", [("warm-up", 7), ("search", 7)])
def test_a_resumed_search_equals_an_uninterrupted_one(found, tmp_path, at):
    path = tmp_path / "checkpoint.safetensors"
    kept = {"checkpoint": path, "checkpoint_every": 5}
    with pytest.raises(KeyboardInterrupt):
        searched(SHORT, task_of(0.3), np.random.default_rng(0), tell=Stop(*at), **kept)
    seen = []
    result = searched(SHORT, task_of(0.3), np.random.default_rng(0), tell=seen.append, **kept)
    assert seen[0]["step"] == 6, "it did not begin anew"
    assert seen[0]["phase"] == at[0]
    assert search.to_json(result) == search.to_json(found)


def test_a_checkpoint_of_another_search_is_refused(tmp_path):
    path = tmp_path / "checkpoint.safetensors"
    short = FBNet(warmup_steps=1, steps=1, finalists=1)
    searched(short, task_of(0.5), np.random.default_rng(0), checkpoint=path)
    for strategy, task, seed in (
        (dataclasses.replace(short, steps=2), task_of(0.5), 0),
        (short, task_of(0.6), 0),
        (short, task_of(0.5), 1),
    ):
        with pytest.raises(SchemaMismatch, match="same search"):
            searched(strategy, task, np.random.default_rng(seed), checkpoint=path)


def test_the_live_record_tells_budget_latency_entropy_best_and_time_left():
    seen = []
    searched(
        FBNet(warmup_steps=2, steps=2, finalists=1), task_of(0.5), np.random.default_rng(0), tell=seen.append
    )
    assert [(r["phase"], r["step"]) for r in seen] == [
        ("warm-up", 1),
        ("warm-up", 2),
        ("search", 1),
        ("search", 2),
        ("finalists", 1),
    ]
    assert all(r["eta_s"] >= 0 and r["strategy"] == "fbnet" and r["budget_ms"] > 0 for r in seen)
    assert [seen[1]["eta_s"], seen[3]["eta_s"], seen[4]["eta_s"]] == [0, 0, 0]
    assert {"expected_ms", "argmax_share", "entropy"} <= seen[3].keys()
    assert {"best_accuracy", "best_latency_ms"} <= seen[4].keys()


def test_the_temperature_falls_to_its_floor_and_stays():
    strategy = FBNet(steps=100)
    values = [strategy.temperature_at(step) for step in range(100)]
    assert values[0] == 5.0
    assert all(np.diff(values[:80]) < 0)
    assert values[80:] == [0.5] * 20


def test_a_temperature_floor_that_ends_in_nan_is_refused():
    with pytest.raises(SpaceError, match="temperature_floor"):
        FBNet(temperature_floor=0.01)
    with pytest.raises(SpaceError, match="temperature_floor"):
        FBNet(temperature_floor=6.0)


@pytest.mark.slow
def test_several_budgets_are_all_kept():
    budgets = (constraint(0.6, "one"), constraint(0.4, "two", unit=2e6))
    result = searched(
        FBNet(warmup_steps=2, steps=3, finalists=4), task_of(constraints=budgets), np.random.default_rng(0)
    )
    for trial in result.trials:
        assert all(ms <= b.usable for ms, b in zip(trial.latencies_ms, budgets, strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("loss", ["fbnet", "proxyless-linear", "proxyless-log", "none"])
def test_the_papers_losses_run_and_the_result_still_keeps_the_budget(loss):
    result = searched(
        FBNet(warmup_steps=2, steps=3, finalists=2, loss=loss), task_of(0.4), np.random.default_rng(0)
    )
    assert result.trials[0].latencies_ms[0] <= result.extra["limit_ms"][0]


def test_random_is_scored_by_the_same_supernet():
    task = task_of(0.5)
    searched(FBNet(warmup_steps=1, steps=1, finalists=1), task, np.random.default_rng(0))
    baseline = searched(Random(queries=4), task, np.random.default_rng(0))
    assert baseline.quality == task.evaluate(baseline.best)
    assert all(t.latencies_ms[0] <= task.constraints[0].usable for t in baseline.trials)


def test_collapse_raises_an_alarm():
    calm = {"step": 1, "entropy": 0.9, "skip_share": 0.3}
    skipping = {"step": 2, "entropy": 0.9, "skip_share": 0.95}
    closed = {"step": 2, "entropy": 0.001, "skip_share": 0.3}
    assert alarms([calm] * 4) == []
    assert "skip collapse" in alarms([calm, skipping, calm, calm])[0]
    assert "early collapse" in alarms([calm, closed, closed, closed, closed])[0]


def test_results_survive_json(found):
    data = json.loads(json.dumps(search.to_json(found), allow_nan=False))
    again = search.from_json(space(), data)
    assert again.best == found.best
    assert again.trials == found.trials
    assert search.to_json(again) == search.to_json(found)
    with pytest.raises(SchemaMismatch, match="space_fingerprint"):
        search.from_json(task_of(0.3).evaluate.proxy, data)
    del data["trials"]
    with pytest.raises(SchemaMismatch, match="trials"):
        search.from_json(space(), data)


def test_strategies_are_known_by_name():
    assert search.strategy("fbnet") is FBNet
    with pytest.raises(SpaceError, match=r"must be one of .*fbnet.*random"):
        search.strategy("grid")


@pytest.mark.parametrize("bad", [{"steps": 0}, {"finalists": 0}, {"gate_learning_rate": 0.0}])
def test_settings_without_sense_are_refused(bad):
    with pytest.raises(SpaceError, match=next(iter(bad))):
        FBNet(**bad)
