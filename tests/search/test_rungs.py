"""Networks that climb: what is trained for longer, what that costs, and what is returned."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
from sampling_helpers import known_accuracy, task_in
from task_helpers import Scores, Task, searched

from hwnas.errors import SchemaMismatch, SpaceError
from hwnas.evaluators.base import Traits
from hwnas.evaluators.standalone import FromScratch
from hwnas.search.request import SearchRequest
from hwnas.search.sampling.asha import ASHA
from hwnas.search.sampling.hyperband import Hyperband
from hwnas.train import TrainConfig

BOTH = pytest.mark.parametrize("kind", [ASHA, Hyperband], ids=lambda kind: kind.name)


@dataclass(frozen=True)
class Curves:
    """Networks learn: what is known of them is scaled by the root of their share of a training."""

    space: object
    share: float = 1.0
    asked: list = None

    def at(self, share):
        return replace(self, share=share)

    def __call__(self, arch):
        self.asked.append((arch.indices, self.share))
        return known_accuracy(self.space)(arch) * self.share**0.5

    @property
    def traits(self):
        return Traits("a share of what is known")

    def identity(self):
        return None


def task():
    known = task_in("macro")
    return Task(known.space, known.constraints, Curves(known.space, asked=[]))


def shares_of(trials):
    return np.round([trial.share for trial in trials], 6)


@BOTH
def test_the_queries_are_whole_trainings_and_what_is_best_had_one(kind):
    one = task()
    found = searched(kind(queries=12), one, np.random.default_rng(0))
    assert sum(trial.share for trial in found.trials) <= 12 + 1e-6
    assert sum(trial.share for trial in found.trials) > 11
    assert set(shares_of(found.trials)) == {round(1 / 9, 6), round(1 / 3, 6), 1.0}
    whole = {trial.indices: trial.quality for trial in found.trials if trial.share == 1}
    assert found.best.indices in whole
    assert found.quality == max(whole.values())
    assert {trial.indices for trial in found.pareto()} <= set(whole)
    assert one.feasible(np.array([trial.indices for trial in found.trials])).all()
    assert sum(found.extra["rungs"]) == len(found.trials)


@BOTH
def test_only_the_best_of_a_rung_climb_and_none_twice(kind):
    found = searched(kind(queries=20), task(), np.random.default_rng(1))
    by_share = {}
    for trial in found.trials:
        rung = by_share.setdefault(round(trial.share, 6), {})
        assert trial.indices not in rung
        rung[trial.indices] = trial.quality
    low, middle, top = (by_share[share] for share in sorted(by_share))
    climbed = [score for indices, score in low.items() if indices in middle]
    stayed = [score for indices, score in low.items() if indices not in middle]
    assert np.mean(climbed) > np.mean(stayed)
    assert len(low) > len(middle) > 0
    if kind is ASHA:
        assert set(middle) <= set(low)
        assert set(top) <= set(middle)
        assert len(middle) < len(low) / 2  # more than a third, as the first third changes


def test_the_brackets_are_those_of_the_paper():
    """Table 1 there: R = 81 and eta = 3 are five rungs."""
    sizes = [Hyperband(rungs=5, queries=20).sizes(bracket) for bracket in range(5)]
    assert [bracket[0] for bracket in sizes] == [(0, 81), (1, 34), (2, 15), (3, 8), (4, 5)]
    assert [count for _, count in sizes[0]] == [81, 27, 9, 3, 1]
    assert [count for _, count in sizes[1]] == [34, 11, 3, 1]


@BOTH
@pytest.mark.parametrize("parallel", [1, 4])
def test_a_search_that_was_cut_off_trains_what_is_missing(kind, parallel, tmp_path):
    strategy, path = kind(queries=8, parallel=parallel), tmp_path / "history.jsonl"
    whole = searched(strategy, task(), np.random.default_rng(2), history=path)
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[:9]) + lines[9][:15])
    with pytest.raises(SchemaMismatch, match="settings"):
        searched(kind(queries=9, parallel=parallel), task(), np.random.default_rng(2), history=path)
    again = task()
    resumed = searched(strategy, again, np.random.default_rng(2), history=path)
    assert (resumed.trials, resumed.best, resumed.trace) == (whole.trials, whole.best, whole.trace)
    assert len(again.evaluate.asked) == len(whole.trials) - 8
    assert path.read_text().count('"share":') == sum(trial.share < 1 for trial in whole.trials)


@BOTH
@pytest.mark.parametrize("parallel", [1, 3, 5])
@pytest.mark.parametrize("queries", [3, 4, 5, 7])
def test_the_last_climb_meets_no_other(kind, queries, parallel):
    """Whatever is asked for at the same time, a network is trained once on each rung."""
    found = searched(kind(queries=queries, parallel=parallel), task(), np.random.default_rng(5))
    stood = [(trial.indices, trial.share) for trial in found.trials]
    assert len(set(stood)) == len(stood)
    assert found.best.indices in {trial.indices for trial in found.trials if trial.share == 1}


@BOTH
def test_few_queries_still_bring_one_to_the_top(kind):
    found = searched(kind(queries=3), task(), np.random.default_rng(3))
    assert [trial for trial in found.trials if trial.share == 1]
    assert sum(trial.share for trial in found.trials) <= 3 + 1e-6
    with pytest.raises(SpaceError, match="queries must be at least the 3 whole trainings"):
        kind(queries=2)
    with pytest.raises(SpaceError, match="reduction must be at least 2"):
        kind(reduction=1)
    with pytest.raises(SpaceError, match="rungs must be at least 1"):
        kind(rungs=0)


def test_who_cannot_train_for_less_is_refused():
    class Whole(Scores):
        at = None

    one = task_in("macro")
    with pytest.raises(SpaceError, match="train each network from scratch, or take another strategy"):
        ASHA(queries=4).search(one, object(), np.random.default_rng(0), None)
    with pytest.raises(SpaceError, match="must be able to train networks for less"):
        SearchRequest("macro", (), (), strategy="asha")


def test_a_share_of_a_training_is_so_many_epochs(tmp_path):
    space = task_in("macro").space
    whole = FromScratch(space, "digits", config=TrainConfig(epochs=9), kept=tmp_path)
    assert whole.at(1) is whole
    third = whole.at(1 / 3)
    assert (third.config.epochs, third.kept) == (3, tmp_path / "epochs-3")
    with pytest.raises(SpaceError, match=r"0\.111 of 2 is less: train for at least 9 epochs"):
        replace(whole, config=TrainConfig(epochs=2)).at(1 / 9)
