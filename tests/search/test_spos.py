import numpy as np
import pytest
from oneshot_helpers import task_of
from task_helpers import searched

from hwnas import search
from hwnas.errors import SchemaMismatch, SpaceError
from hwnas.evaluators.supernet.warm_up import warm_up
from hwnas.search.oneshot.rsws import RSWS
from hwnas.search.oneshot.spos import SPOS


def test_it_trains_then_lets_the_sampler_ask_the_supernet():
    task = task_of(0.5)
    seen = []
    result = searched(SPOS(training_steps=4, queries=5), task, np.random.default_rng(0), tell=seen.append)
    assert task.evaluate.steps == 4
    assert result.strategy == "spos"
    assert len(result.trials) == 5
    assert result.quality == task.evaluate(result.best)
    assert task.feasible(np.array([result.best.indices]))[0]
    assert [r["phase"] for r in seen[:4]] == ["warm-up"] * 4
    assert result.config["sampler"] == "evolution"


def test_any_sampling_strategy_serves_and_no_other():
    assert searched(
        SPOS(sampler="random", training_steps=1, queries=2), task_of(0.5), np.random.default_rng(0)
    ).trials
    with pytest.raises(SpaceError, match="must be a sampling strategy"):
        SPOS(sampler="fbnet")
    with pytest.raises(SpaceError, match="training_steps"):
        SPOS(training_steps=0)


def test_a_resumed_search_equals_an_uninterrupted_one(tmp_path, monkeypatch):
    monkeypatch.setattr("hwnas.evaluators.supernet.warm_up.CHECKPOINT_EVERY", 3)

    def stop(record):
        if record.get("step") == 5 or record.get("query") == 7:
            raise KeyboardInterrupt

    short = SPOS(training_steps=8, queries=4)
    whole = searched(short, task_of(0.5), np.random.default_rng(0))
    kept = {"checkpoint": tmp_path / "c.safetensors", "history": tmp_path / "h.jsonl"}
    with pytest.raises(KeyboardInterrupt):
        searched(short, task_of(0.5), np.random.default_rng(0), tell=stop, **kept)
    seen = []
    resumed = searched(short, task_of(0.5), np.random.default_rng(0), tell=seen.append, **kept)
    assert seen[0]["step"] == 4
    assert search.to_json(resumed) == search.to_json(whole)


def test_a_warm_up_of_another_supernet_is_not_continued(tmp_path):
    one, other = task_of(0.5).evaluate, task_of(0.5).evaluate
    warm_up(one, 2, checkpoint=tmp_path / "c.safetensors")
    object.__setattr__(other, "config", type(other.config)(seed=9, width=0.25, batch_size=32))
    with pytest.raises(SchemaMismatch, match="same config"):
        warm_up(other, 2, checkpoint=tmp_path / "c.safetensors")


def test_chance_has_its_own_name():
    task = task_of(0.5)
    found = searched(RSWS(training_steps=3, queries=4), task, np.random.default_rng(0))
    same = searched(
        SPOS(sampler="random", training_steps=3, queries=4), task_of(0.5), np.random.default_rng(0)
    )
    assert (found.strategy, found.config["sampler"]) == ("rsws", "random")
    assert found.trials == same.trials
    with pytest.raises(SpaceError, match=r"must draw at random, but got the sampler 'evolution': take spos"):
        RSWS(sampler="evolution")
