"""Which rounds are still to be measured, and in what order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from hwnas.measure import energy
from hwnas.measure.engine import Given, Job
from hwnas.measure.options import ProfileOptions
from hwnas.measure.plan import shuffled
from hwnas.tables.measurement import MIN_ROUNDS
from hwnas.tables.table import LatencyTable

_FURTHER = 3  # rounds at once for rows whose interval is wide
_WAITING = 3  # part of the most rounds that is added in hope of a fast clock

Pair = tuple[str, int]


def due(table: LatencyTable | None, keys: Iterable[str], options: ProfileOptions) -> list[Pair]:
    """The (key, round) pairs to measure next, over all sessions of a table.

    First the rounds that every key should have; once all have them, further ones for the keys
    whose interval is still too wide, up to their limit; a third more for those of which too few
    rounds saw the fast state of the clock; nothing where all is done. Where energy is asked for, rounds
    without count for nothing.
    """
    have: dict[str, set[int]] = {key: set() for key in keys}
    for item in table.rounds if table else ():
        if item.key in have and not item.failed and (energy.was_asked(item) or not options.energy):
            have[item.key].add(item.number)
    base = [(key, number) for number in range(options.rounds) for key in have if number not in have[key]]
    if base or table is None:
        return base
    further: list[Pair] = []
    for key, numbers in have.items():
        if table.measurements[key].relative_ci > options.target_ci:
            most = options.max_rounds
            if table.measurements[key].is_mixed and options.rounds >= MIN_ROUNDS:
                most += most // _WAITING
            first, room = max(numbers) + 1, most - len(numbers)
            further += [(key, first + offset) for offset in range(min(_FURTHER, room))]
    return further


def batch(
    pairs: Sequence[Pair],
    models: Mapping[str, str],
    paths: Mapping[str, str],
    seed: int,
    given: Mapping[str, Given] | None = None,
) -> list[Job]:
    """Jobs for the next run of the agent: one round, in an order of its own.

    Every round has a run of its own, because memory is then in other places: where it lies is a
    part of the latency that rounds of one process would share.

    Args:
        pairs: What is due.
        models: Digest of each key's model file; keys that share one share its job.
        paths: Where each digest's file is on the device.
        seed: Decides the order.
        given: What models read, by digest, where that is not random values.
    """
    number = min(number for _, number in pairs)
    digests = dict.fromkeys(models[key] for key, n in pairs if n == number)
    jobs = [Job(digest, paths[digest], number, (given or {}).get(digest, Given())) for digest in digests]
    return shuffled(jobs, seed, number)
