"""PASS, FAIL or NOT PROVEN: what may be said of a promise, and nothing between or beyond.

PASS means proven: the whole 95 % interval keeps the promise. FAIL means refuted: the whole
interval breaks it. All else is NOT PROVEN, which is no softer PASS: it says what was found, what
was seen to cause it, and what to do.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from hwnas.statistics.differences import Difference
from hwnas.statistics.intervals import SIGNIFICANT, chance_of_at_least
from hwnas.statistics.metric import ACCURACY, Metric

if TYPE_CHECKING:
    from hwnas.statistics.answers import Answers

PASS, FAIL, NOT_PROVEN = "PASS", "FAIL", "NOT PROVEN"
WORDS = (PASS, NOT_PROVEN, FAIL)
"""From the best to the worst."""

STABLE, NOISY, UNUSABLE = "stable", "noisy", "unusable"
"""What a session of measurements is called, from the best to the worst."""

BUDGET = "budget"
"""What the check of a latency against its budget is called beside other checks."""

ENERGY = "energy"
"""Likewise of an energy against its limit."""

MEASURE_MORE = (
    "measure more rounds, stop what else runs there (`hwnas doctor` says what harms), "
    "or take --accept-noise if you know better"
)
"""What to do where a latency is too uncertain."""

_MEASURED = {"ms": "latency", "mJ": "energy"}

_USEFUL = 0.25  # of the way from guessing to perfect: what stays below that has learned nothing
_ENOUGH = 5  # images of other classes, after which one answer for all is no coincidence


class Quality(Protocol):
    """Whether a session can be believed, and why not; see ``hwnas.tables.conditions``."""

    @property
    def word(self) -> str:
        """The session as a whole; "unusable" where its numbers cannot be believed."""

    @property
    def reasons(self) -> Sequence[str]:
        """What speaks against it."""


@dataclass(frozen=True)
class Verdict:
    """What may be said of a promise.

    Attributes:
        word: One of ``WORDS``.
        reasons: Why it is not PASS, each a sentence with its numbers; empty for PASS.
    """

    word: str
    reasons: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.word not in WORDS or bool(self.reasons) != (self.word != PASS):
            raise ValueError(
                f"a verdict must be one of {WORDS} with reasons where it is not {PASS}, but got {self}"
            )

    def __str__(self) -> str:
        return f"{self.word}: {'; '.join(self.reasons)}" if self.reasons else self.word

    @property
    def is_pass(self) -> bool:
        """Whether it is proven."""
        return self.word == PASS

    @property
    def is_fail(self) -> bool:
        """Whether it is refuted."""
        return self.word == FAIL

    def to_json(self) -> dict[str, Any]:
        """A JSON object."""
        return {"verdict": self.word, "reasons": list(self.reasons)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Verdict:
        """Rebuild what ``to_json`` wrote."""
        return cls(str(data["verdict"]), tuple(data["reasons"]))


def worst(verdicts: Iterable[Verdict | None]) -> Verdict | None:
    """All verdicts as one: the worst word, and every reason, those for the worst word first.

    Where there is none (None), nothing was promised or looked at: that counts for nothing. None
    where that is so of all.
    """
    found = [item for item in verdicts if item is not None]
    if not found:
        return None
    found.sort(key=lambda item: WORDS.index(item.word), reverse=True)
    reasons = dict.fromkeys(reason for item in found for reason in item.reasons)
    return Verdict(found[0].word, tuple(reasons))


def on_budget(
    measured: float | None,
    interval: tuple[float, float] | None,
    budget: float | None,
    quality: Quality | None = None,
    *,
    unit: str = "ms",
) -> Verdict | None:
    """Whether a measured latency, or energy, keeps a budget.

    Args:
        measured: What was measured; None where nothing was.
        interval: 95 % interval with the error between sessions in it
            (``Measurement.interval_ms``); None where the rounds are too few to carry one.
        budget: The most that is allowed; None where no budget was asked for.
        quality: Of the session; None where it is not known, as in old manifests.
        unit: Of all of them: "ms" of a latency, "mJ" of an energy.

    Returns:
        PASS where the whole interval is within the budget and the session can be believed;
        FAIL where the whole interval is over it; else NOT PROVEN. None without a budget: nothing
        was promised, so nothing is kept or broken.
    """
    if budget is None:
        return None
    what = _MEASURED[unit]
    if measured is None:
        return Verdict(NOT_PROVEN, (f"the budget of {budget:.3g} {unit} was not measured: verify it there",))
    if interval is None:
        return Verdict(
            NOT_PROVEN,
            (
                f"a verdict needs an interval, but the rounds behind {measured:.3g} {unit} are too few to "
                "carry one: measure more rounds",
            ),
        )
    low, high = interval
    if low > budget:
        at_least, most = _distinct(low, budget)
        said = f"{what} must be at most {most} {unit}, but is at least {at_least} {unit} (95 %)"
        return Verdict(FAIL, (said,))
    is_unusable = quality is not None and quality.word == UNUSABLE
    if high <= budget and not is_unusable:
        return Verdict(PASS)
    seen = "; ".join(quality.reasons) if quality and quality.reasons else "no cause was seen"
    if high <= budget:
        why = f"the session that kept the budget of {budget:.3g} {unit} cannot be believed"
    else:
        up_to, most = _distinct(high, budget)
        noise = (high - low) / 2 / measured
        why = f"the budget is {most} {unit}, but {what} may be up to {up_to} {unit} (95 %: ±{noise:.1%})"
    return Verdict(NOT_PROVEN, (f"{why}; seen: {seen}; {MEASURE_MORE}",))


def on_learning(answers: Answers) -> Verdict:
    """Whether a network knows more of the images than guessing does.

    Two ways lead to PASS, so that unevenly frequent classes count too: more right answers than the
    best constant answer has (exact binomial test), or a balanced accuracy that answers without any
    knowledge of the labels do not reach (permutation test). They share the error probability.

    Args:
        answers: To labelled images that it was not trained on.

    Returns:
        FAIL where all answers are the same, or the whole interval of the balanced accuracy is below
        a quarter of the way from guessing to perfect; NOT PROVEN where the images cannot tell.
    """
    level = SIGNIFICANT / 2
    if chance_of_at_least(answers.right, answers.images, answers.blind) < level:
        return Verdict(PASS)
    if answers.chance_of_balance < level:
        return Verdict(PASS)
    low, high = answers.interval
    facts = f"{answers.right} of {answers.images} test images are right ({answers.accuracy:.1%}; 95 %: "
    facts += f"{low:.1%} to {high:.1%}), and the best constant answer has {answers.blind:.1%}"
    if answers.is_uneven:
        facts += f"; balanced accuracy {answers.balanced:.1%}, by guessing {1 / len(answers.seen):.1%}"
    guessing = 1 / len(answers.seen)
    others = answers.images - int(answers.seen.max())
    is_blind = answers.is_constant and others >= _ENOUGH
    if is_blind or answers.balanced_interval[1] < guessing + _USEFUL * (1 - guessing):
        how = "all answers are the same: " if is_blind else ""
        remedy = "look at the labels, train longer, or with another learning rate"
        return Verdict(FAIL, (f"it learned nothing: {how}{facts}: {remedy}",))
    what = f"{answers.images} images cannot tell whether it learned anything"
    return Verdict(NOT_PROVEN, (f"{what}: {facts}: test on more images",))


def on_baseline(
    difference: Difference, name: str, baseline: str, metric: Metric = ACCURACY
) -> Verdict | None:
    """FAIL where a search found a network that is clearly worse than its baseline's.

    Clearly: the whole interval is below what two trainings of one network differ by easily.

    Args:
        difference: By how much the found network is better than the baseline's.
        name: What found the one.
        baseline: What found the other.
        metric: That it is of.

    Returns:
        None otherwise: to be better than a baseline was not promised.
    """
    if difference.interval[1] >= -difference.noise:
        return None
    low, high = (metric.gap(abs(end)) for end in difference.interval)
    unit = f"{metric.unit.strip()} of test {metric.name}".strip()
    return Verdict(
        FAIL,
        (
            f"{name} found a network that is clearly WORSE than that of {baseline}: by "
            f"{metric.gap(-difference.mean)} {unit} (95 %: {high} to {low}, the same "
            f"{difference.images:,} images): ship the other one, or search longer",
        ),
    )


def _distinct(first: float, second: float) -> tuple[str, str]:
    """Two numbers with as many decimals as it takes to see which one is larger."""
    decimals = max(0, 2 - math.floor(math.log10(second)))
    while f"{first:.{decimals}f}" == f"{second:.{decimals}f}" and decimals < 17:
        decimals += 1
    return f"{first:.{decimals}f}", f"{second:.{decimals}f}"
