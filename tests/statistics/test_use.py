"""How much of a budget is used, in the same words everywhere."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hwnas.cli._verifications import show_verifications
from hwnas.release.verification import VariantCheck, Verification
from hwnas.statistics import use
from hwnas.statistics.verdict import BUDGET, PASS, Verdict


def test_the_tightest_budget_binds():
    shares = {"a": 0.45, "b": 0.74, "c": 0.64}
    assert use.tightest(shares) == "b"
    assert use.said(shares) == "74% of the tightest budget (b) is used"
    assert use.said({}) == ""


@pytest.mark.parametrize(("share", "is_little"), [(0.2, True), (0.849, True), (0.85, False), (1.2, False)])
def test_little_use_is_a_warning_with_what_it_means_and_what_to_try(share, is_little):
    text = use.warning({"a": share, "b": share / 2})
    assert bool(text) == is_little
    if is_little:
        assert text.startswith(f"only {share:.0%} of the tightest budget (a) is used: ")
        assert f"a network that takes {1 / share:.1f} times as long would still keep every budget" in text
        assert "search or adapt again" in text
        assert use.is_warning(text)


def test_what_the_search_knows_takes_the_place_of_what_can_be_tried():
    why = "under this noise about 70% can be proven"
    assert use.warning({"a": 0.6}, why) == f"only 60% of the tightest budget (a) is used: {why}"
    assert use.warning({"a": 0.9}, why) == ""
    assert use.warning({}) == ""
    assert not use.is_warning("8 points of estimated accuracy were given up for the budget")


def verified(**shares: float) -> Verification:
    """A network that keeps a budget of 1 ms a variant, and uses so much of each."""
    variants = [
        VariantCheck(
            name, "f", 1, None, None, None, None, ms, (0.99 * ms, ms), ms, 1.0, {}, {BUDGET: Verdict(PASS)}
        )
        for name, ms in shares.items()
    ]
    unbound = VariantCheck("no-budget", "f", 1, None, None, None, None, 2.0, None, None, None, {}, {})
    return Verification("host", (*variants, unbound))


def test_what_was_verified_says_which_share_is_used_and_warns_where_that_is_little(capsys):
    show_verifications([verified(one=0.64, two=0.74)])
    printed = capsys.readouterr()
    assert "64%" in printed.out
    assert "74% of the tightest budget (two) is used" in printed.out
    assert "warning: only 74% of the tightest budget (two) is used: a network that takes 1.4" in printed.err
    show_verifications([verified(one=0.64, two=0.97)])
    assert "warning" not in capsys.readouterr().err
    assert verified(one=0.64, two=0.74).to_json()["used"] == {"one": 0.64, "two": 0.74}


def test_without_a_budget_no_share_is_said(capsys):
    show_verifications([verified()])
    printed = capsys.readouterr()
    assert "tightest" not in printed.out + printed.err


def test_of_several_devices_the_tightest_budget_of_all_binds(capsys):
    there = replace(verified(one=0.2), device="pixel")
    show_verifications([verified(one=0.97), there])
    printed = capsys.readouterr()
    assert "97% of the tightest budget (host/one) is used" in printed.out
    assert "warning" not in printed.err, "the network is bound by another device"
    assert printed.out.index("on host") < printed.out.index("on pixel")
    assert printed.out.rstrip().endswith("on pixel: PASS")
