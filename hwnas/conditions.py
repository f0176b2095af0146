"""What the machine was like while it was measured, and whether the numbers can be believed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from hwnas.measurement import Measurement, Round
from hwnas.table import LatencyTable

STABLE, NOISY, UNUSABLE = "stable", "noisy", "unusable"
TARGET_CI = 0.01  # half the 95 % interval over the latency, where a session does not say another

_FEWEST_IN_A_THIRD = 3

# What is seen: where it is noisy, where it is unusable, and how it is said.
_LIMITS = {
    "others": (0.10, 0.50, "other processes used {:.0%} of the CPUs"),
    "steal": (0.01, 0.10, "the hypervisor kept {:.1%} of the CPU time for others"),
    "preempted": (0.10, 0.50, "{:.0%} of the samples were preempted by another process"),
    "anchor": (0.05, 0.25, "the anchor's latency varied by {:.0%} (interquartile range over median)"),
    "throttling": (0.05, 0.25, "the clock fell by {:.0%}"),
    "throttled": (0.05, 0.25, "{:.0%} of the rounds look throttled"),
    "drift": (0.05, 0.25, "the anchor was slower by {:.0%} in the last third than in the first: heat"),
}


def span(began: Mapping[str, Any], ended: Mapping[str, Any]) -> dict[str, Any]:
    """What went on between two of an agent's conditions (see ``profilers/README.md``).

    Returns:
        Wall time, shares of all CPUs that other processes and the hypervisor took, and what
        the device said of itself at the end. What it could not tell is left out.
    """
    facts = {
        name: ended[name]
        for name in ("load_1min", "affinity", "governor", "freq_khz", "max_khz", "thermal_mc")
        if _told(ended.get(name))
    }
    phones = {"phone_before": began.get("phone"), "phone": ended.get("phone")}
    facts |= {name: said for name, said in phones.items() if said}
    wall_ns, busy, steal = (_change(began, ended, n) for n in ("monotonic_ns", "busy_ticks", "steal_ticks"))
    idle, own_ns, tick_ns = (
        _change(began, ended, "idle_ticks"),
        _change(began, ended, "own_cpu_ns"),
        ended.get("tick_ns"),
    )
    if wall_ns is not None:
        facts["wall_s"] = round(wall_ns / 1e9, 3)
    if busy is not None and idle is not None and steal is not None and tick_ns:
        total_ns = max(1, busy + idle + steal) * tick_ns
        facts["steal_share"] = round(steal * tick_ns / total_ns, 4)
        if own_ns is not None:
            facts["others_share"] = round(max(0.0, busy * tick_ns - own_ns) / total_ns, 4)
    return facts


@dataclass(frozen=True)
class Verdict:
    """Whether a session can be believed.

    Attributes:
        word: "stable", "noisy" or "unusable".
        reasons: What speaks against it, with numbers, the worst first; empty where stable.
        facts: The numbers, also of what is in order.
    """

    word: str
    reasons: tuple[str, ...]
    facts: Mapping[str, float]

    def __str__(self) -> str:
        return f"{self.word}: {'; '.join(self.reasons)}" if self.reasons else self.word


def verdict(rounds: Iterable[Round], spans: Iterable[Mapping[str, Any]]) -> Verdict:
    """Judge a session by its rounds and by the spans that were noted in it."""
    facts = _facts([item for item in rounds if not item.failed], list(spans))
    found = []
    for name, value in facts.items():
        noisy, unusable, words = _LIMITS[name]
        if value > noisy:
            found.append((value / noisy, value > unusable, words.format(value)))
    found.sort(reverse=True)
    word = UNUSABLE if any(bad for _, bad, _ in found) else NOISY if found else STABLE
    return Verdict(word, tuple(words for _, _, words in found), facts)


def verdicts(table: LatencyTable) -> dict[str, Verdict]:
    """The verdict on each session of a table."""
    rounds: dict[str, list[Round]] = {}
    for item in table.rounds:
        rounds.setdefault(item.session, []).append(item)
    return {
        session: verdict(items, [n.facts for n in table.notes if (n.session, n.moment) == (session, "span")])
        for session, items in rounds.items()
    }


def unstable(table: LatencyTable, target_ci: float | None = None) -> dict[str, str]:
    """The keys whose interval is still wider than what was asked for, and why that may be.

    Args:
        table: What was measured.
        target_ci: Half the interval over the latency; what the last session asked for where it
            is not given.
    """
    if target_ci is None:
        asked = [note.facts.get("target_ci") for note in table.notes if note.moment == "begin"]
        target_ci = next((float(value) for value in reversed(asked) if value), TARGET_CI)
    return {
        key: _why(measured, target_ci)
        for key, measured in table.measurements.items()
        if measured.relative_ci > target_ci
    }


def _why(measured: Measurement, target_ci: float) -> str:
    count = len(measured.rounds)
    reasons = [f"±{measured.relative_ci:.1%} after {count} rounds, ±{target_ci:.1%} was asked for"]
    reasons += verdict(measured.rounds, ()).reasons
    if len(reasons) == 1:
        reasons.append("no cause was seen" if count > 5 else "the rounds are few")
    return "; ".join(reasons)


def _facts(rounds: Sequence[Round], spans: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    facts: dict[str, float] = {}
    for name, field in (("others", "others_share"), ("steal", "steal_share")):
        shares = [(s["wall_s"], s[field]) for s in spans if field in s and s.get("wall_s")]
        if shares:
            facts[name] = sum(wall * share for wall, share in shares) / sum(wall for wall, _ in shares)
    samples = sum(len(item.samples_ms) for item in rounds)
    if samples:
        facts["preempted"] = sum(sum(i.conditions.get("preempted", ())) for i in rounds) / samples
    anchors = sorted(median(item.clean_anchor_ms) for item in rounds if item.anchor_ms)
    if len(anchors) > 3:
        quarter = len(anchors) // 4
        facts["anchor"] = (anchors[-1 - quarter] - anchors[quarter]) / median(anchors)
    clocks = [max(k for k in khz if k) for item in rounds if any(khz := item.conditions.get("freq_khz", ()))]
    if clocks:
        facts["throttling"] = 1 - min(clocks) / max(clocks)
    return facts | _heat(rounds)


def _heat(rounds: Sequence[Round]) -> dict[str, float]:
    """What speaks of heat, for devices whose transport looks for it (``throttling`` in the conditions).

    A session may be slow in its last third although no single job was: a phone heats up in minutes.
    """
    watched = [i for i in rounds if i.conditions.get("throttling")]
    anchors = [median(item.clean_anchor_ms) for item in watched if item.anchor_ms]
    facts: dict[str, float] = {}
    seen = [i.conditions["throttling"] for i in watched]
    told = [s for s in seen if s.get("clock") is not None or s.get("of_max") is not None]
    if told:  # without a clock, a slow job may as well have had company: that is counted elsewhere
        facts["throttled"] = sum(bool(s.get("suspected")) for s in told) / len(told)
    third = len(anchors) // 3
    if third >= _FEWEST_IN_A_THIRD:
        facts["drift"] = max(0.0, median(anchors[-third:]) / median(anchors[:third]) - 1)
    return facts


def _change(began: Mapping[str, Any], ended: Mapping[str, Any], name: str) -> int | None:
    first, last = began.get(name), ended.get(name)
    return last - first if isinstance(first, int) and isinstance(last, int) else None


def _told(value: Any) -> bool:
    """Whether a device could tell anything of this."""
    values = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else [value]
    return any(item is not None for item in values)
