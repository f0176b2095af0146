"""One scale for a device: every command puts its latencies on the one that is asked for here.

What sessions saw of a device's clock is kept in the user's data folder, one file a target on one
processor with one version of the runtime, so that a session that meets a slow clock alone still knows
the fast one. ``hwnas.tables.scale`` says how a scale follows from clocks.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from hwnas import files
from hwnas.device import Target
from hwnas.errors import HwnasError, SchemaMismatch
from hwnas.tables.clock import Clock, Scale
from hwnas.tables.measurement import MIN_ROUNDS
from hwnas.tables.operations import IDENTITY, ORIGIN, require_same
from hwnas.tables.scale import fastest
from hwnas.tables.table import LatencyTable, Reference

SCHEMA = "hwnas-clock/1"

_KEPT = 100  # sessions of a device that are remembered, the newest ones
_WAIT_S = 10.0  # for another process that writes the same file


@dataclass(frozen=True)
class _Known:
    """What is remembered of a target's clock."""

    clocks: Mapping[str, Clock] = field(default_factory=dict)
    scale: Scale = field(default_factory=Scale)


def of(target: Target, environment: Mapping[str, Any], *sources: LatencyTable | Reference) -> Scale:
    """The scale of a target: its fast state over all sessions that are known.

    Args:
        target: What is measured.
        environment: Runtime, library and processor that it is measured on.
        sources: Tables, and references of tables that are gone; those of another target, processor
            or library count for nothing.
    """
    known = _read(_path(target, environment), target, environment)
    clocks, scale = dict(known.clocks), known.scale
    for number, source in enumerate(sources):
        try:
            require_same(target, environment, source.target, source.environment)
        except SchemaMismatch:
            continue
        if isinstance(source, LatencyTable):
            clocks |= source.clocks
        else:
            clocks[str(number)] = Clock(source.scale.light_ms, source.scale.heavy_ms, MIN_ROUNDS)
        scale = _better(scale, source.scale)
    found = fastest(clocks.values())
    return replace(scale, light_ms=found.light_ms, heavy_ms=found.heavy_ms)


def remember(table: LatencyTable) -> None:
    """Keep what the sessions of a table saw of the clock.

    Where that cannot be written, nothing is lost but that: the table itself is not touched.
    """
    path = _path(table.target, table.environment)
    if not table.clocks or table.environment.get(ORIGIN):
        return
    with suppress(OSError, Timeout):
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_suffix(".lock"), timeout=_WAIT_S):
            known = _read(path, table.target, table.environment)
            clocks = dict(sorted((dict(known.clocks) | dict(table.clocks)).items())[-_KEPT:])
            files.write_json(
                path,
                {
                    "schema": SCHEMA,
                    "target": table.target.to_json(),
                    "environment": {name: table.environment.get(name) for name in IDENTITY},
                    "clocks": {session: asdict(clock) for session, clock in clocks.items()},
                    "scale": _better(known.scale, table.scale).to_json(),
                },
            )


def _better(one: Scale, other: Scale) -> Scale:
    """Of two scales what each knows better of responses, and what was learned of sessions at last."""
    pairs = ((one.light, other.light), (one.heavy, other.heavy))
    light, heavy = (min(pair, key=lambda response: response.std) for pair in pairs)
    between = one.between if other.between == Scale.between else other.between
    return replace(other, light=light, heavy=heavy, between=between)


def _path(target: Target, environment: Mapping[str, Any]) -> Path:
    told = [environment.get(name) for name in IDENTITY if name != "gpu" or environment.get(name)]
    identity = [target.to_json(), told]  # without a GPU as it was before GPUs were told
    digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:12]
    return files.user_data() / "clocks" / target.device / f"{target.slug}-{digest}.json"


def _read(path: Path, target: Target, environment: Mapping[str, Any]) -> _Known:
    """What is remembered; nothing where there is nothing, or what can be read no more."""
    if not path.exists():
        return _Known()
    try:
        data = files.read_json(path, "what is known of a clock")
        require_same(target, environment, Target.from_json(data["target"]), data["environment"])
        if data["schema"] != SCHEMA:
            return _Known()
        clocks = {str(session): Clock(**clock) for session, clock in data["clocks"].items()}
        return _Known(clocks, Scale.from_json(data["scale"]))
    except (HwnasError, KeyError, TypeError, ValueError, AttributeError):
        return _Known()  # it is learned again: a damaged file must not stop a measurement
