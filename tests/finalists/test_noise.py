"""What a promise reaches under noise, against an oracle, in worlds whose truth is known."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, replace

import numpy as np
import pytest
from finalists_helpers import constraint, loop_of, networks, true_accuracies
from noisy_world import KINDS, Case, KnownJudge, NoisyWorld

from hwnas.budget import Budget
from hwnas.errors import InfeasibleBudget
from hwnas.finalists.candidates import FinalistsOptions
from hwnas.finalists.reading import Reading
from hwnas.finalists.record import targets_of, warnings_of
from hwnas.statistics.verdict import FAIL, NOT_PROVEN, PASS

MOST = FinalistsOptions()
BOUND = (MOST.finalists + MOST.rounds * MOST.batch + 2) * MOST.most_sessions
"""Sessions of single networks: what every loop keeps to, however noisy the world."""


@dataclass(frozen=True)
class Outcome:
    """What came of one world."""

    word: str
    share: float
    oracle: float
    spent: int

    @property
    def is_good(self) -> bool:
        """Whether at least 85 % of what the oracle proves is used, and proven."""
        return self.oracle == 0 or (self.word == PASS and self.share >= 0.85 * self.oracle)

    @property
    def is_false(self) -> bool:
        """Whether a budget is said to be kept that is not."""
        return self.word == PASS and self.share > 1


def outcome(seed: int) -> Outcome:
    case = Case(seed)
    oracle = case.oracle(MOST.most_sessions)
    try:
        settled = case.loop().run()
    except InfeasibleBudget:
        return Outcome(FAIL, 0.0, oracle, case.world.spent)
    share = case.world.true_ms[settled.best] / case.constraint.budget_ms
    return Outcome(settled.verdict.word, share, oracle, case.world.spent)


def check(outcomes: list[Outcome], good: float) -> None:
    count = len(outcomes)
    words = Counter(found.word for found in outcomes)
    assert sum(found.is_good for found in outcomes) >= good * count, words
    assert sum(found.is_false for found in outcomes) <= 0.05 * count, words
    assert max(found.spent for found in outcomes) <= BOUND
    assert sum(found.spent for found in outcomes) <= 25 * count, "a loop is far below its bound on average"


@pytest.mark.slow
def test_what_can_be_proven_under_noise_is_used():
    """At least 85 % of what an oracle proves, in 9 of 10 of 40 worlds; the slow test asks for more of 200.

    Noise of a round is 1 to 60 %, evenly on a logarithmic scale, of the four kinds of ``KINDS``;
    the budget is at 30 to 80 % of the range, and the latency model is wrong by up to 20 %. The
    oracle knows all true latencies. It measures one network in as many sessions as the loop may
    (``most_sessions``), and its interval reaches upwards as far as such intervals do on average in
    that world, a slow session aside. What it proves is the share of the budget of the slowest
    network whose latency, so extended, is within the budget. False is a PASS of a network whose
    true latency is over the budget.
    """
    check([outcome(seed) for seed in range(40)], good=0.9)


@pytest.mark.slow
def test_what_can_be_proven_under_noise_is_used_in_200_worlds():
    """The same in at least 95 % of 200 worlds."""
    check([outcome(seed) for seed in range(200)], good=0.95)


def steps_of(loop):
    return [step.purpose for step in loop.steps]


def test_a_finalist_that_straddles_is_measured_more_before_anything_smaller_is_tried():
    """Fast enough by 8 %, which one session of this noise cannot tell and four can."""
    world = NoisyWorld(3, 0.07, KINDS[0])
    pool = [i for i in networks() if 0.5 < world.true_ms[i] / max(world.true_ms.values()) < 0.52][:3]
    slowest = max(world.true_ms[i] for i in pool)
    asked = constraint(0.5)
    asked = replace(asked, budget=Budget(asked.target, 1.08 * slowest))
    loop = loop_of(world, [asked], pool=pool)
    settled = loop.run()
    assert steps_of(loop)[:2] == ["finalists", "further sessions"]
    first, further = loop.steps[:2]
    straddling = [e["indices"] for e in first.entries if e["verdict"] == NOT_PROVEN]
    assert straddling
    assert all(entry["indices"] in straddling for entry in further.entries)
    assert "last resort" not in steps_of(loop)
    assert settled.verdict.word == PASS
    assert settled.best in pool or world.true_ms[settled.best] >= 0.9 * asked.budget_ms


class Blurred:
    """Measures every network right, with an interval that never gets narrower."""

    def __init__(self, world: NoisyWorld, half: float) -> None:
        self.world, self.half, self.calls = world, half, 0

    def __call__(self, batch, sessions):
        self.calls += len(batch)
        ms = self.world.true_ms
        return {
            i: (
                Reading(
                    ms[i],
                    ms[i] * (1 - self.half),
                    ms[i] * (1 + self.half),
                    sessions,
                    True,
                    "noisy",
                    ("other processes used 80% of the CPUs",),
                ),
            )
            for i in batch
        }


def test_where_noise_lets_nothing_be_proven_the_best_candidate_is_kept_as_such():
    """Not even the fastest network is proven, although many are fast enough: that is not infeasible."""
    world = NoisyWorld(5, 0.01, KINDS[0])
    measure, asked = Blurred(world, 20.0), constraint(0.5)
    loop = loop_of(world, [asked], measure=measure)
    settled = loop.run()
    assert settled.verdict.word == NOT_PROVEN
    text = " ".join(settled.verdict.reasons)
    assert "is proven to keep the budgets under this noise" in text
    assert "other processes used 80% of the CPUs" in text
    assert "±2000.0%" in text
    assert world.true_ms[settled.best] <= asked.budget_ms
    assert settled.best not in set(loop.proposals.fastest())
    assert measure.calls <= BOUND
    (target,) = targets_of(loop, settled.best)
    assert target.verdict.word == NOT_PROVEN
    assert target.sentence.endswith("of the budget, NOT PROVEN")


def test_the_fastest_network_does_not_win_although_it_alone_is_proven_at_first():
    """An interval of 40 %: what is near the budget fails, and growth from the fastest ends at 70 %."""
    world, asked = NoisyWorld(6, 0.01, KINDS[0]), constraint(0.5)
    near = [i for i in networks() if 0.93 < world.true_ms[i] / asked.budget_ms < 1][:12]
    loop = loop_of(world, [asked], pool=near, measure=Blurred(world, 0.4))
    settled = loop.run()
    assert settled.verdict.word == PASS
    assert 0.85 / 1.4 <= world.true_ms[settled.best] / asked.budget_ms <= 1 / 1.4
    (warning, *_) = warnings_of(loop, settled.best)
    assert re.search(
        r"only \d\d% of the tightest budget \(host/litert-fp32\) is used: under this noise", warning
    )


@pytest.mark.parametrize(("weights", "score"), [("none", "accuracy"), ("balanced", "balanced accuracy")])
def test_accuracy_that_was_given_up_is_said(weights, score):
    world, asked = NoisyWorld(7, 0.01, KINDS[0]), constraint(0.12, believed=0.25)
    loop = loop_of(world, [asked])
    loop = replace(loop, ranking=KnownJudge(true_accuracies(), weights))
    best = loop.run().best
    text = " ".join(warnings_of(loop, best))
    points = 100 * (max(loop.ranking.final(i) for i in loop.posteriors.readings) - loop.ranking.final(best))
    assert f"{points:.0f} points of estimated {score} were given up for the budget" in text
    assert "raise the budget to have them" in text


def unmeasured(std: float, uses: tuple[float, ...], best: float = 0.5) -> str:
    """The reason of a search that measures nothing, of networks at shares of the budget; one is the best."""
    asked = replace(constraint(0.6, std=std), measurable=False)
    use = asked.model.cost.of(np.array(networks())) / asked.budget_ms
    pool = [networks()[int(np.argmin(np.abs(use - share)))] for share in uses]
    accuracies = {i: 0.9 if share == best else 0.5 for i, share in zip(pool, uses, strict=True)}
    loop = loop_of(
        NoisyWorld(1, 0.01, KINDS[0]), [asked], pool=pool, measure=lambda b, _: dict.fromkeys(b, (None,))
    )
    loop = replace(loop, ranking=KnownJudge(accuracies))
    (warning,) = warnings_of(loop, loop.run().best)
    return warning


def test_an_unmeasured_search_that_uses_little_says_the_true_reason():
    assert "of the 2 scored that uses more of it and is predicted to keep it, none is estimated better" in (
        unmeasured(0.01, (0.5, 0.7, 0.9))
    )
    assert "none that was scored uses more of it and is predicted to keep it" in unmeasured(0.01, (0.3, 0.5))
    assert re.search(
        r"may be wrong by about 7\d% can be used; have the finalists measured", unmeasured(0.3, (0.5, 0.6))
    )


def test_few_rounds_carry_no_verdict():
    reading = Reading(1.0, 0.99, 1.01, 1, carried=False)
    assert reading.on(2.0).word == NOT_PROVEN
    assert reading.interval_ms is None


def test_readings_of_earlier_versions_are_read():
    old = {"ms": 1.0, "low_ms": 0.9, "high_ms": 1.1, "sessions": 2}
    assert Reading.from_json(old).on(1.2).word == PASS
    assert Reading.from_json(old).on(0.8).word == FAIL
