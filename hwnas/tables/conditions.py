"""What the machine was like while it was measured, and whether the numbers can be believed."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from hwnas.statistics.intervals import MAD_NORMAL
from hwnas.statistics.verdict import NOISY, STABLE, UNUSABLE
from hwnas.tables.clock import SAME, Clock, Scale, read
from hwnas.tables.measurement import MIN_ROUNDS, Measurement, Round
from hwnas.tables.table import LatencyTable

TARGET_CI = 0.01  # half the 95 % interval over the latency, where a session does not say another

_FEWEST_IN_A_THIRD = 3
_FEWEST = 3  # rounds whose scatter can be told

# What is seen: where it is noisy, where it is unusable, and how it is said. Unusable is where the
# ratios to the anchors cannot be believed. What moves the anchors alone, or is only a cause, is not that.
_LIMITS = {
    "scatter": (0.05, 0.25, "rounds of one model scatter by {:.0%} around their centre"),
    "disagreement": (0.05, 0.25, "the two anchors disagree by {:.0%} from round to round"),
    "repeats": (0.05, 0.25, "models differ by {:.0%} from what other sessions found"),
    "throttled": (0.05, 0.50, "{:.0%} of the rounds look throttled"),
    "others": (0.10, math.inf, "other processes used {:.0%} of the CPUs"),
    "steal": (0.01, math.inf, "the hypervisor kept {:.1%} of the CPU time for others"),
    "preempted": (0.10, math.inf, "{:.0%} of the samples were preempted by another process"),
    "throttling": (0.05, math.inf, "the clock fell by {:.0%}"),
    "drift": (0.05, math.inf, "the anchor was slower by {:.0%} in the last third than in the first: heat"),
}


def span(began: Mapping[str, Any], ended: Mapping[str, Any]) -> dict[str, Any]:
    """What went on between two of an agent's conditions (see ``profilers/README.md``).

    Returns:
        Wall time, shares of all CPUs that other processes and the hypervisor took, and what
        the device said of itself at the end. What it could not tell is left out.
    """
    facts = {
        name: ended[name]
        for name in ("load_1min", "affinity", "governor", "freq_khz", "max_khz", "thermal_mc", "gpu")
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
class SessionQuality:
    """Whether a session can be believed: what remains after the anchors have spoken.

    Attributes:
        word: "stable", "noisy" or "unusable".
        reasons: What speaks against it, with numbers, the worst first; empty where stable.
        facts: The numbers, also of what is in order.
        notes: What a user should know, though it does no harm.
    """

    word: str
    reasons: tuple[str, ...]
    facts: Mapping[str, float]
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        said = f"{self.word}: {'; '.join(self.reasons)}" if self.reasons else self.word
        return f"{said} ({'; '.join(self.notes)})" if self.notes else said


def quality(
    rounds: Iterable[Round],
    noted: Iterable[Mapping[str, Any]],
    scale: Scale | None = None,
    repeats: float | None = None,
) -> SessionQuality:
    """Judge a session by its rounds and by what was noted in it.

    Args:
        rounds: Of the session, in the order they were measured.
        noted: The facts of its notes: what went on in each run of the agent, see ``span``, and how often the
            link was lost.
        scale: The fast state of the device's clock, where more than this session is known.
        repeats: By how much its models differ from what other sessions found; None where there
            are none.
    """
    good = [item for item in rounds if not item.failed]
    reading = read(good)
    facts = _facts(good, list(noted))
    if reading.clock is not None:
        facts |= _slow(reading.clock, scale)
    by_key: dict[str, list[tuple[Round, bool]]] = {}
    for item, quiet in zip(good, reading.quiet, strict=True):
        by_key.setdefault(item.key, []).append((item, quiet))
    facts |= _remains(list(by_key.values()), any(reading.slow))
    if repeats is not None:
        facts["repeats"] = repeats
    found = []
    for name, (noisy, unusable, words) in _LIMITS.items():
        value = facts.get(name, 0.0)
        if value > noisy:
            found.append((value > unusable, value / noisy, words.format(value)))
    found.sort(reverse=True)
    word = UNUSABLE if any(bad for bad, _, _ in found) else NOISY if found else STABLE
    return SessionQuality(word, tuple(words for _, _, words in found), facts, _notes(facts))


def qualities(table: LatencyTable) -> dict[str, SessionQuality]:
    """The quality of each session of a table."""
    rounds: dict[str, list[Round]] = {}
    for item in table.rounds:
        rounds.setdefault(item.session, []).append(item)
    return {
        session: quality(
            items,
            [note.facts for note in table.notes if note.session == session],
            table.scale,
            _differs(table, session),
        )
        for session, items in rounds.items()
    }


def notes(found: SessionQuality, measured: Measurement) -> tuple[str, ...]:
    """The notes of a session, with what a model took while the clock was slow, where that was seen."""
    if not _is_slow(found.facts) or measured.slow_ms is None:
        return found.notes
    *others, clock = found.notes
    factor = measured.slow_ms / measured.latency_ms
    return (*others, f"{clock}; this model took {measured.slow_ms:.3g} ms then, {factor:.2g} times as long")


def _differs(table: LatencyTable, session: str) -> float | None:
    """Median difference, over models, of a session from all others; None where there is no repeat."""
    found = []
    for measured in table.measurements.values():
        others = measured.of({item.session for item in measured.rounds} - {session})
        own = measured.of({session})
        if own and others and min(len(own.rounds), len(others.rounds)) >= _FEWEST:
            found.append(abs(math.log(own.latency_ms / others.latency_ms)))
    return median(found) if found else None


def _slow(clock: Clock, scale: Scale | None) -> dict[str, float]:
    """Share of the time that the clock was slow, and by how much."""
    if scale is not None and clock.light_ms > scale.light_ms * (1 + SAME):
        return {"slow": 1.0, "slow_factor": clock.light_ms / scale.light_ms}
    return {"slow": clock.slow_share, "slow_factor": clock.slow_factor}


def _notes(facts: Mapping[str, float]) -> tuple[str, ...]:
    lost = _lost(facts)
    if not _is_slow(facts):
        return lost
    when = "all the time" if facts["slow"] == 1 else f"{facts['slow']:.0%} of the time"
    few = facts.get("few", 0.0)
    return (
        *lost,
        *(
            (f"few rounds of {few:.0%} of the models saw the fast clock: their intervals are wider",)
            * (few > 0)
        ),
        f"the clock was slow {when}: the anchors took {facts['slow_factor']:.2g} times as long",
    )


def _is_slow(facts: Mapping[str, float]) -> bool:
    return facts.get("slow", 0.0) >= 0.01


def _lost(facts: Mapping[str, float]) -> tuple[str, ...]:
    """What became of the link: samples are taken without it, so that it only costs time."""
    count = round(facts.get("losses", 0))
    times = "once" if count == 1 else f"{count} times"
    return (f"the link was lost {times}, for {facts['lost_s']:.1f} s",) if count else ()


def _remains(keys: Sequence[Sequence[tuple[Round, bool]]], has_states: bool) -> dict[str, float]:
    """What the anchors do not explain: scatter of the ratios, and their own disagreement."""
    scatter, disagreement = [], []
    few = 0
    for rows in keys:
        quiet = [item for item, flag in rows if flag]
        few += has_states and len(quiet) < min(MIN_ROUNDS, len(rows))
        chosen = quiet if len(quiet) >= _FEWEST else [item for item, _ in rows]
        if len(chosen) < _FEWEST:
            continue
        scatter.append(min(_scatter([math.log(i.ratio(share)) for i in chosen]) for share in (0.0, 1.0)))
        heavy = [math.log(i.ratio() / i.ratio(1.0)) for i in chosen if i.heavy_level_ms is not None]
        if len(heavy) >= _FEWEST:
            disagreement.append(_scatter(heavy))
    found = {"scatter": median(scatter)} if scatter else {}
    found |= {"disagreement": median(disagreement)} if disagreement else {}
    return found | ({"few": few / len(keys)} if few else {})


def _scatter(values: Sequence[float]) -> float:
    """Robust standard deviation around the median."""
    centre = median(values)
    return MAD_NORMAL * median(abs(value - centre) for value in values)


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
    reasons += quality(measured.rounds, ()).reasons
    if len(reasons) == 1:
        reasons.append("no cause was seen" if count > 5 else "the rounds are few")
    return "; ".join(reasons)


def _facts(rounds: Sequence[Round], noted: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    facts: dict[str, float] = {}
    for name in ("losses", "lost_s"):  # an earlier version did not count them
        told = [s[name] for s in noted if name in s]
        if told:
            facts[name] = sum(told)
    for name, field in (("others", "others_share"), ("steal", "steal_share")):
        shares = [(s["wall_s"], s[field]) for s in noted if field in s and s.get("wall_s")]
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
