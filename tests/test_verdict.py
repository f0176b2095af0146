"""What may be said of a promise: proven, refuted, or neither."""

from __future__ import annotations

import re

import pytest

from hwnas import conditions
from hwnas.verdict import FAIL, NOT_PROVEN, PASS, Verdict, on_budget, worst


class Quality:
    def __init__(self, word, *reasons):
        self.word, self.reasons = word, reasons


STABLE, UNUSABLE = Quality("stable"), Quality(conditions.UNUSABLE, "others used 80% of the CPUs")


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
