"""What may be said of a promise: proven, refuted, or neither."""

from __future__ import annotations

import re

import numpy as np
import pytest

from hwnas.statistics.answers import Answers
from hwnas.statistics.differences import Difference
from hwnas.statistics.verdict import (
    FAIL,
    NOT_PROVEN,
    PASS,
    UNUSABLE,
    Verdict,
    on_baseline,
    on_budget,
    on_learning,
    worst,
)


class Quality:
    def __init__(self, word, *reasons):
        self.word, self.reasons = word, reasons


STABLE, UNUSABLE = Quality("stable"), Quality(UNUSABLE, "others used 80% of the CPUs")


def test_pass_needs_the_whole_interval_within_the_budget():
    assert on_budget(0.40, (0.38, 0.45), 0.45, STABLE) == Verdict(PASS)
    assert on_budget(0.40, (0.38, 0.45), 0.45).word == PASS  # an old manifest does not know the session


def test_an_uncertain_measurement_does_not_pass_more_easily_than_a_precise_one():
    found = on_budget(0.351, (0.333, 0.633), 0.453, STABLE)
    assert found.word == NOT_PROVEN
    assert "0.633" in found.reasons[0]
    assert "±42.7%" in found.reasons[0]
    assert "no cause was seen" in found.reasons[0]
    assert "--accept-noise" in found.reasons[0]


def test_over_the_budget_with_the_whole_interval_is_a_failure_in_any_session():
    for quality in (STABLE, UNUSABLE, None):
        found = on_budget(0.60, (0.55, 0.70), 0.50, quality)
        assert found.word == FAIL
        assert "at most 0.500 ms" in found.reasons[0]
        assert "at least 0.550 ms" in found.reasons[0]


def test_a_session_that_cannot_be_believed_proves_nothing():
    found = on_budget(0.40, (0.39, 0.41), 0.50, UNUSABLE)
    assert found.word == NOT_PROVEN
    assert "others used 80% of the CPUs" in found.reasons[0]


def test_an_energy_is_judged_alike_in_its_own_words():
    assert on_budget(3.0, (2.9, 3.1), 3.5, STABLE, unit="mJ") == Verdict(PASS)
    failed = on_budget(4.0, (3.8, 4.2), 3.5, STABLE, unit="mJ")
    assert failed.reasons == ("energy must be at most 3.50 mJ, but is at least 3.80 mJ (95 %)",)
    (said,) = on_budget(3.4, (3.3, 3.6), 3.5, UNUSABLE, unit="mJ").reasons
    assert said.startswith(
        "the budget is 3.50 mJ, but energy may be up to 3.60 mJ (95 %: ±4.4%); seen: others"
    )
    assert on_budget(3.0, (2.9, 3.1), 3.5, UNUSABLE, unit="mJ").word == NOT_PROVEN


def test_too_few_rounds_carry_no_interval_and_no_verdict():
    assert on_budget(0.477, None, 0.50, STABLE).word == NOT_PROVEN
    assert on_budget(4.77, None, 0.50, STABLE).word == NOT_PROVEN
    assert on_budget(None, None, 0.50).word == NOT_PROVEN


def test_without_a_budget_there_is_no_verdict():
    assert on_budget(0.4, (0.39, 0.41), None, STABLE) is None
    assert on_budget(None, None, None) is None


@pytest.mark.parametrize(
    ("low", "high", "budget"),
    [(0.50001, 0.6, 0.5), (0.4, 0.50001, 0.5), (1e-4, 2.00000001e-4, 2e-4), (123.4, 1e4, 124.0)],
)
def test_printed_numbers_say_the_same_as_the_verdict(low, high, budget):
    found = on_budget((low + high) / 2, (low, high), budget, STABLE)
    printed = [float(text) for text in re.findall(r"([\d.]+) ms", found.reasons[0])]
    assert len(printed) == 2
    assert printed[0] < printed[1]


def test_the_worst_counts_and_every_reason_is_kept():
    noisy, broken = Verdict(NOT_PROVEN, ("noise",)), Verdict(FAIL, ("slow",))
    assert worst([Verdict(PASS), None]) == Verdict(PASS)
    assert worst([Verdict(PASS), noisy, broken, None]) == Verdict(FAIL, ("slow", "noise"))
    assert worst([noisy, Verdict(PASS)]) == noisy
    assert worst([None, None]) is None
    assert worst([]) is None


def test_a_verdict_is_one_of_three_words_and_gives_reasons():
    for word, reasons in (("GOOD", ()), (PASS, ("why",)), (FAIL, ()), (NOT_PROVEN, ())):
        with pytest.raises(ValueError, match="a verdict must be"):
            Verdict(word, reasons)


def test_a_verdict_survives_json():
    for found in (Verdict(PASS), Verdict(NOT_PROVEN, ("noise", "few")), Verdict(FAIL, ("slow",))):
        assert Verdict.from_json(found.to_json()) == found


def answers(labels, answered, classes):
    return Answers.of(np.array(labels), np.array(answered), classes)


def five(right_of_40, rng):
    """200 images of five classes, 40 each, of which so many of each are right and the rest drawn."""
    labels = np.repeat(np.arange(5), 40)
    wrong = (labels + rng.integers(1, 5, 200)) % 5
    return answers(labels, np.where(np.arange(200) % 40 < right_of_40, labels, wrong), 5)


def test_a_network_that_guesses_learned_nothing():
    rng = np.random.default_rng(0)
    found = on_learning(five(8, rng))  # 20 % on five classes
    assert found.word == FAIL
    assert "it learned nothing" in found.reasons[0]
    assert "40 of 200" in found.reasons[0]
    assert on_learning(five(14, rng)).is_pass


def test_always_the_commonest_answer_on_uneven_noise_learned_nothing():
    labels = np.repeat([0, 1], [95, 5])
    found = on_learning(answers(labels, np.zeros(100, int), 2))
    assert found.word == FAIL
    assert "all answers are the same" in found.reasons[0]
    assert "balanced accuracy 50.0%" in found.reasons[0]


def test_a_perfect_network_is_not_blind_on_few_images_or_uneven_classes():
    for counts in ([97, 3], [5, 5], [1, 1, 1, 1, 1]):
        labels = np.repeat(np.arange(len(counts)), counts)
        assert on_learning(answers(labels, labels, len(counts))).is_pass


@pytest.mark.parametrize("counts", [[1, 1], [2, 1], [30]])
def test_where_the_images_cannot_tell_that_is_said(counts):
    labels = np.repeat(np.arange(len(counts)), counts)
    for answered in (labels, np.zeros_like(labels)):
        found = on_learning(answers(labels, answered, 2))
        assert found.word == NOT_PROVEN
        assert f"{sum(counts)} images cannot tell" in found.reasons[0]


def test_useless_networks_seldom_pass_and_useful_ones_never_fail():
    """Balanced and uneven sets; 60 % of the way from guessing to perfect is useful."""
    rng, passed, failed, rounds = np.random.default_rng(3), 0, 0, 80
    for number in range(rounds):
        counts = [40, 40, 40] if number % 2 else [80, 20, 20]
        labels = np.repeat(np.arange(3), counts)
        passed += on_learning(answers(labels, rng.permutation(labels), 3)).is_pass
        right = rng.random(120) < 0.6
        useful = np.where(right, labels, rng.permutation(labels))
        failed += not on_learning(answers(labels, useful, 3)).is_pass
    assert passed / rounds <= 0.1
    assert failed == 0


def difference(mine, theirs, images=400):
    return Difference.of([np.arange(images) < mine], [np.arange(images) < theirs])


def test_clearly_worse_than_random_search_is_a_failure_and_said_loudly():
    found = on_baseline(difference(144, 397), "fbnet", "random")
    assert found.word == FAIL
    assert "clearly WORSE" in found.reasons[0]
    assert "63.2 points" in found.reasons[0]


def test_what_two_trainings_may_differ_by_is_not_clearly_worse():
    for mine, theirs in ((390, 397), (397, 390), (397, 397), (380, 392)):
        assert on_baseline(difference(mine, theirs), "fbnet", "random") is None
