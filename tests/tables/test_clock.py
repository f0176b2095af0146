"""Simulated machines: clocks with two states, with one, with drift and bursts, and what is made of them.

Truth is known here: every latency is what the fast state takes. The slow state costs compute 1.5
times and memory 1.65 times as much; keys and anchors are of both in different shares.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pytest

from hwnas.device import Target
from hwnas.statistics.verdict import STABLE, UNUSABLE
from hwnas.tables import conditions
from hwnas.tables.clock import SAME, Response, Scale, read
from hwnas.tables.measurement import Measurement, Round
from hwnas.tables.operations import merge
from hwnas.tables.table import LatencyTable

TARGET = Target("host", "litert", "int8")
LIGHT_MS, HEAVY_MS = 0.5, 1.5
KEYS: Mapping[str, tuple[float, float]] = {
    # latency in ms, share of memory
    "tiny": (0.05, 0.0),
    "block": (0.4, 0.3),
    "small": (2.0, 0.6),
    "network": (6.0, 0.9),
}


@dataclass(frozen=True)
class Machine:
    """How a simulated machine behaves.

    Attributes:
        slow: Share of the time that its clock is slow.
        dwell: Jobs that a state lasts, in the mean.
        noise: Standard deviation of log(sample).
        drift: By how much it is slower at the end of a session than at its beginning.
        burst: Chance that a job or an anchor beside it is met by a burst of load, half as slow again.
        speed: Of the whole session.
        shades: By how much its logarithm wanders, in all shades, between fast and slowest; in the
            fast state for a tenth of the time. Then ``slow`` counts for nothing.
    """

    slow: float = 0.0
    dwell: float = 12.0
    noise: float = 0.01
    drift: float = 0.0
    burst: float = 0.0
    speed: float = 1.0
    shades: float = 0.0

    def session(self, seed: int, rounds: int, keys: Sequence[str] = tuple(KEYS)) -> LatencyTable:
        """One session, as the profiler would write it."""
        rng = np.random.default_rng(seed)
        table = LatencyTable(TARGET, {})
        total, slow = rounds * len(keys), bool(rng.random() < self.slow)
        shade = self._shade(rng)
        for number in range(rounds):
            for place in rng.permutation(len(keys)):
                key, before = keys[place], slow
                if rng.random() < 1 / self.dwell:
                    slow, shade = bool(rng.random() < self.slow), self._shade(rng)
                at = self.speed * (1 + self.drift * len(table.rounds) / total) * shade

                def took(ms: float, memory: float, is_slow: bool, count: int, at: float = at) -> list[float]:
                    worse = 1.5 ** (1 - memory) * 1.65**memory if is_slow else 1.0
                    worse *= 1.5 if rng.random() < self.burst else 1.0
                    return list(ms * at * worse * rng.lognormal(0, self.noise, count))

                beside = [
                    tuple(took(ms, memory, before, 4) + took(ms, memory, slow, 4))
                    for ms, memory in ((LIGHT_MS, 0.1), (HEAVY_MS, 0.5))
                ]
                samples = tuple(took(*KEYS[key], before if rng.random() < 0.5 else slow, 7))
                table.add(Round(key, "finalist", f"s{seed}", number, samples, beside[0], heavy_ms=beside[1]))
        return table

    def _shade(self, rng: np.random.Generator) -> float:
        """How many times as long everything takes for a while."""
        if not self.shades or rng.random() < 0.1:
            return 1.0
        return math.exp(rng.uniform(0, self.shades))


def error(measured: Measurement) -> float:
    """Relative, of an estimate on the scale of the device."""
    return measured.latency_ms / KEYS[measured.key][0] - 1


def held(measured: Measurement) -> bool:
    """Whether the interval holds the truth."""
    assert measured.interval_ms is not None
    low, high = measured.interval_ms
    return low <= KEYS[measured.key][0] <= high


MACHINES = {
    "quiet": Machine(),
    "two states": Machine(slow=0.5),
    "mostly slow": Machine(slow=0.75),
    "noisy": Machine(noise=0.05),
    "drift": Machine(drift=0.08),
    "bursts": Machine(burst=0.15),
    "two states, drift and bursts": Machine(slow=0.5, drift=0.05, burst=0.05),
}


@pytest.mark.parametrize("name", MACHINES)
def test_estimates_are_right_and_intervals_hold_the_truth(name: str) -> None:
    scale = Scale(LIGHT_MS, HEAVY_MS)
    sessions = [MACHINES[name].session(seed, rounds=20) for seed in range(25)]
    found = [m.scaled(scale) for table in sessions for m in table.measurements.values()]
    if "drift" not in name:  # a drifting machine has no one truth: half of the drift is its middle
        assert np.median([abs(error(m)) for m in found]) <= 0.01
    errors = [error(m) for m in found]
    assert abs(np.median(errors)) <= 0.01 + MACHINES[name].drift
    assert np.mean([held(m) for m in found]) >= 0.9
    words = [quality.word for table in sessions for quality in conditions.qualities(table).values()]
    assert words.count(UNUSABLE) == 0
    if MACHINES[name].burst == 0 and MACHINES[name].noise < 0.05:
        assert words.count(STABLE) >= 24


def test_what_the_clock_did_is_a_note_and_no_reason() -> None:
    table = Machine(slow=0.6).session(1, rounds=30)
    (quality,) = conditions.qualities(table).values()
    (clock,) = table.clocks.values()
    assert clock.slow_share == pytest.approx(0.6, abs=0.2)
    assert clock.slow_factor == pytest.approx(1.5, abs=0.05)
    assert quality.word == STABLE
    assert quality.reasons == ()
    assert quality.notes[-1].startswith("the clock was slow ")
    assert quality.notes[-1].endswith("% of the time: the anchors took 1.5 times as long")
    network = table.measurements["network"]
    assert network.slow_ms == pytest.approx(6.0 * 1.64, rel=0.03)
    said = conditions.notes(quality, network)[-1]
    factor = network.slow_ms / network.latency_ms  # of this model, which is not that of the anchors
    assert f"{factor:.2g}" == "1.6"
    assert said == f"{quality.notes[-1]}; this model took {network.slow_ms:.3g} ms then, 1.6 times as long"


@pytest.mark.parametrize(
    "machine", [Machine(), Machine(noise=0.03), Machine(drift=0.1), Machine(speed=1.6)], ids=str
)
def test_one_state_is_called_one_state(machine: Machine) -> None:
    for seed in range(10):
        (clock,) = machine.session(seed, rounds=12).clocks.values()
        assert (clock.slow_share, clock.slow_factor) == (0.0, 1.0)


def test_a_clock_of_all_shades_has_the_fastest_as_its_scale() -> None:
    """No valley is between its states, and its bulk is far from the fast one: that is no scale."""
    machine = Machine(shades=math.log(1.9), dwell=3.0)
    for seed in range(10):
        (clock,) = machine.session(seed, rounds=40).clocks.values()
        assert clock.light_ms == pytest.approx(LIGHT_MS, rel=SAME)
        assert clock.slow_share > 0.2
        assert 1.2 < clock.slow_factor < 1.9


def test_a_glimpse_of_the_fast_state_counts_more_than_sessions_without_it() -> None:
    """Else a scale jumps, once that state is met for longer."""
    rounds = Machine().session(1, rounds=1).rounds
    glimpse = LatencyTable(TARGET, {}, rounds)
    slow = merge(*[Machine(slow=1.0).session(seed, rounds=12) for seed in (2, 3)])
    assert merge(slow, glimpse).scale.light_ms == pytest.approx(LIGHT_MS, rel=0.03)
    longer = merge(slow, glimpse, Machine(speed=1.1).session(4, rounds=12))
    assert longer.scale.light_ms == pytest.approx(1.1 * LIGHT_MS, rel=0.03), (
        "seen for long, it is known better"
    )


def test_rounds_are_sorted_by_their_anchors_and_never_by_their_own_samples() -> None:
    rounds = Machine(slow=0.5).session(3, rounds=20).rounds
    spoilt = [
        Round(r.key, r.kind, r.session, r.number, (9.9,), r.anchor_ms, heavy_ms=r.heavy_ms) for r in rounds
    ]
    assert read(rounds) == read(spoilt)
    assert any(read(rounds).slow)
    assert any(read(rounds).quiet)


def test_a_slow_session_is_said_to_be_slow_and_does_not_shift_the_scale() -> None:
    fast = Machine().session(1, rounds=12)
    slow = [Machine(slow=1.0).session(seed, rounds=12) for seed in range(2, 6)]
    both = merge(fast, *slow)
    assert both.scale.light_ms == pytest.approx(fast.scale.light_ms)
    assert both.scale.heavy_ms == pytest.approx(fast.scale.heavy_ms)
    notes = [quality.notes for quality in conditions.qualities(both).values()]
    assert notes[0] == ()
    assert all(
        found == ("the clock was slow all the time: the anchors took 1.5 times as long",)
        for found in notes[1:]
    )
    for measured in slow[0].measurements.values():
        there = measured.scaled(fast.scale)
        assert abs(error(there)) < 0.12
        assert held(there)
        assert there.relative_interval is not None
        assert there.relative_interval > 0.08, "it cannot know better"


def test_sessions_that_saw_both_states_teach_how_networks_respond() -> None:
    """Where rounds in the fast state are few, the slow ones then say much more."""
    seen = merge(*[Machine(slow=0.5).session(seed, rounds=20) for seed in range(8)])
    slow = Machine(slow=1.0).session(99, rounds=20).measurements["network"]
    blind = slow.scaled(Scale(seen.scale.light_ms, seen.scale.heavy_ms))
    taught = slow.scaled(Scale(seen.scale.light_ms, seen.scale.heavy_ms, heavy=Response(0.08, 0.03)))
    assert abs(error(taught)) < abs(error(blind))
    assert taught.relative_ci < blind.relative_ci / 3
    assert -0.2 < seen.scale.heavy.mean < 0.2
    assert seen.scale.heavy.std <= 0.2


@pytest.mark.parametrize("spread", [0.0, 0.04])
def test_the_error_between_sessions_is_learned_from_repeats(spread: float) -> None:
    """Sessions of a machine on which each, as a whole, is off by some percent that no anchor shows."""
    rng = np.random.default_rng(0)
    rows = []
    for seed in range(12):
        off = {key: rng.lognormal(0, spread) for key in KEYS}
        for item in Machine().session(seed, rounds=12).rounds:
            samples = tuple(ms * off[item.key] for ms in item.samples_ms)
            rows.append(
                Round(
                    item.key,
                    item.kind,
                    item.session,
                    item.number,
                    samples,
                    item.anchor_ms,
                    heavy_ms=item.heavy_ms,
                )
            )
    table = LatencyTable(TARGET, {}, rows)
    assert table.scale.between == pytest.approx(max(spread, 0.005), rel=0.3)
    alone = [m.of([session]) for m in table.measurements.values() for session in table.clocks]
    assert np.mean([held(m) for m in alone if m is not None]) >= 0.9


def test_a_scale_travels_as_json_also_that_of_an_earlier_version() -> None:
    scale = Scale(0.5, 1.5, Response(0.1, 0.2), Response(-0.1, 0.05), 0.01)
    assert Scale.from_json(scale.to_json()) == scale
    assert Scale.from_json({"light_ms": 0.5, "heavy_ms": None}) == Scale(0.5)
    for wrong in ({"light_ms": 0.0, "heavy_ms": None}, {"light_ms": 1.0, "heavy_ms": math.inf}):
        with pytest.raises(ValueError, match="must be positive"):
            Scale.from_json(wrong)


def loaded(rng: np.random.Generator, by_itself: float, together: float, keys: int = 20) -> LatencyTable:
    """A session in which models, and the anchors, are off in each round: each by itself, and all alike."""
    rows = []
    for number in range(18):
        clock, light = rng.lognormal(0, together), rng.lognormal(0, 2.5 * by_itself)
        for key in range(keys):
            ms = (1 + 0.1 * key) * clock * rng.lognormal(0, by_itself)
            rows.append(
                Round(
                    f"key{key}",
                    "block",
                    "s",
                    number,
                    tuple(ms * rng.lognormal(0, 0.002, 7)),
                    tuple(LIGHT_MS * clock * light * rng.lognormal(0, 0.002, 6)),
                )
            )
    return LatencyTable(TARGET, {}, rows)


def test_anchors_that_nothing_follows_are_not_divided_by() -> None:
    """On an H200 models and anchors are each 3 % faster or slower by themselves, whenever they are loaded.

    Now and then too many rounds have an anchor that seems disturbed for the others to tell.
    """
    rng, followed_by, right, narrower = np.random.default_rng(0), [], [], []
    for _ in range(20):
        table = loaded(rng, by_itself=0.02, together=0.0)
        followed_by.append(table.scale.follow)
        for number in range(20):
            measured = table.measurements[f"key{number}"]
            low, high = measured.ci_ms
            right.append(low <= 1 + 0.1 * number <= high)
            followed = measured.scaled(Scale(*(table.scale.light_ms, table.scale.heavy_ms)))
            narrower.append(measured.relative_ci / followed.relative_ci)
    assert np.mean(followed_by) <= 0.15
    assert np.mean(right) >= 0.95
    assert np.median(narrower) < 0.6


@pytest.mark.parametrize(
    ("by_itself", "together", "keys"), [(0.002, 0.04, 20), (0.0, 0.0, 20), (0.02, 0.0, 6)]
)
def test_anchors_are_divided_by_where_they_show_the_clock_or_nobody_can_tell(
    by_itself: float, together: float, keys: int
) -> None:
    table = loaded(np.random.default_rng(1), by_itself, together, keys)
    assert table.scale.follow == 1


def test_what_anchors_are_worth_goes_with_the_scale() -> None:
    """As to the sessions of finalists, whose few networks cannot tell."""
    table = loaded(np.random.default_rng(2), by_itself=0.02, together=0.0)
    few = loaded(np.random.default_rng(3), by_itself=0.02, together=0.0, keys=3)
    scale = Scale.from_json(table.reference.scale.to_json())
    assert (scale.follow, few.scale.follow) == (0, 1)
    for measured in few.measurements.values():
        raw = np.median([item.level_ms for item in measured.scaled(scale).used])
        assert measured.scaled(scale).latency_ms == pytest.approx(raw)
    with pytest.raises(ValueError, match="must be positive"):
        Scale.from_json({**scale.to_json(), "follow": 2.0})
