"""The benchmark: one session for each runtime and number of threads of each device."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

from hwnas import __version__, runtimes
from hwnas.benchmark import battery, networks
from hwnas.benchmark.asked import Asked
from hwnas.benchmark.choosing import chosen, unused
from hwnas.benchmark.facts import BenchmarkPlace, BenchmarkSession, Failure, FileFacts
from hwnas.benchmark.files import ReadFile, read
from hwnas.benchmark.result import FileBenchmark
from hwnas.benchmark.row import Endurance, LatencyDifference, Operation, Placement, Row
from hwnas.device import Target
from hwnas.errors import DeviceError, HwnasError, UnstableMeasurement
from hwnas.measure import Measurer, ProfileOptions, measured
from hwnas.statistics.differences import chance_of_ratio, ratio_interval
from hwnas.statistics.intervals import together
from hwnas.statistics.verdict import on_budget
from hwnas.tables.measurement import Measurement
from hwnas.transport.base import Reply

_OPERATION_RUNS = 10
_RUNNING = ("warmup", "run")  # stages of an agent in which a model computes


def benchmark(
    asked: Asked, options: ProfileOptions | None = None, tell: Callable[[str], None] = lambda _: None
) -> FileBenchmark:
    """Measure files: all that a runtime reads interleaved in one session, beside the anchors.

    What cannot be read or measured is a failure of its own, and the rest is measured.

    Args:
        asked: What, and where.
        options: How well to measure.
        tell: Called with a line for people on the way.

    Raises:
        HwnasError: What is given to the models to read cannot be used at all, or a network cannot be made.
    """
    with tempfile.TemporaryDirectory(prefix="hwnas-") as folder:
        made = networks.made(asked, Path(folder) / "made", tell)
        found = _benchmark(replace(asked, files=[*asked.files, *made]), options, tell)
    gone = {str(path) for path in made}
    return replace(
        found, files=tuple(replace(item, path=None) if item.path in gone else item for item in found.files)
    )


def _benchmark(asked: Asked, options: ProfileOptions | None, tell: Callable[[str], None]) -> FileBenchmark:
    """The same of files alone."""
    found, failures = read(asked)
    unread: list[Failure] = []
    taken: list[tuple[BenchmarkSession, list[Row]]] = []
    for device in asked.devices if found else ():
        try:
            with Measurer(device, options) as measurer:
                for target, models in chosen(asked, device, found, unread):
                    taken += _session(measurer, target, models, asked, failures, tell)
        except DeviceError as error:
            failures += [Failure(model.name, None, f"{device.name}: {error}") for model in found]
    rows = [row for _, of_session in taken for row in of_session]
    known = {row.file for row in rows} | {item.file for item in failures}
    failures += [item for item in unread if item.file not in known]
    return FileBenchmark(
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        hwnas=__version__,
        budget_ms=asked.budget_ms,
        per_op=asked.per_op,
        files=tuple(_facts(model) for model in found),
        sessions=tuple(session for session, _ in taken),
        rows=tuple(rows),
        differences=tuple(_differences(rows)) if asked.compare else (),
        failures=tuple(failures),
        notes=(
            *(item.reason for item in unread if item.file in known),
            *(unused(asked, found) if found else ()),
            *(_one_of(model) for model in found if model.description.graphs > 1),
        ),
    )


def _one_of(model: ReadFile) -> str:
    graphs, measured_one = model.description.graphs, model.description.main_graph
    return f"{model.name} has {graphs} graphs: {measured_one} alone is measured"


def _session(
    measurer: Measurer,
    target: Target,
    models: Sequence[ReadFile],
    asked: Asked,
    failures: list[Failure],
    tell: Callable[[str], None],
) -> list[tuple[BenchmarkSession, list[Row]]]:
    """Measure files together; one session, or none where nothing could be measured."""
    place, by_name = BenchmarkPlace.of(target), {model.name: model for model in models}
    alone: dict[str, Reply] = {}

    def fail(name: str, error: HwnasError | str) -> None:
        alone.pop(name, None)
        failures.append(Failure(name, place, _reason(by_name[name], place, error)))

    for name, model in by_name.items():
        tell(f"{name} alone on {place}")
        try:
            operations = _OPERATION_RUNS if asked.per_op else 0
            alone[name] = measurer.look(target, model.path, given=model.given, operations=operations)
        except DeviceError as error:
            fail(name, error)
    if not alone:
        return []
    try:
        own = measurer.measure(
            target,
            {name: by_name[name].path for name in alone},
            given={name: by_name[name].given for name in alone},
            on_failed=lambda item: fail(item.key, item.failed),
            progress=lambda state: tell(
                f"measuring on {place}: {state.done} of {state.total} rounds or more"
            ),
        )
    except DeviceError as error:
        for name in list(alone):
            fail(name, error)
    if not alone:
        return []
    found = measured(own)
    session = BenchmarkSession(
        found.session, place, target.precision, found.quality, found.reference.environment
    )
    rows = [_row(name, session, found[name], alone[name], asked) for name in alone]
    if asked.repeat_s is not None:
        rows = [
            _lasting(row, measurer, target, by_name[row.file], asked.repeat_s, fail, tell) for row in rows
        ]
    return [(session, rows)]


def _lasting(
    row: Row,
    measurer: Measurer,
    target: Target,
    model: ReadFile,
    seconds: float,
    fail: Callable[[str, HwnasError | str], None],
    tell: Callable[[str], None],
) -> Row:
    """The same with what becomes of it without a pause; what goes wrong then takes nothing from it."""

    def told(so_far: float) -> None:
        tell(f"{model.name} without a pause on {row.place}: {so_far:.0f} of {seconds:.0f} s")

    try:
        run = measurer.run_on(target, model.path, seconds, given=model.given, told=told)
    except DeviceError as error:
        fail(model.name, error)
        return row
    try:
        lasting = Endurance(run.points, battery.energy_mj(run), busy=run.busy)
    except UnstableMeasurement as error:
        lasting = Endurance(run.points, no_energy=str(error), busy=run.busy)
    return replace(row, endurance=lasting)


def _reason(model: ReadFile, place: BenchmarkPlace, error: HwnasError | str) -> str:
    """Why a model does not run, and what of it may be the cause."""
    said = " ".join(str(error).split())
    if said.endswith(":"):
        said += " the runtime does not say why"
    custom = ", ".join(name for name in model.description.custom if name in said)
    whole = ", ".join(tensor.name for tensor in model.description.inputs if tensor.is_whole)
    remedy = ""
    if custom:
        remedy = f": the runtime there lacks its custom operator {custom}: convert it without"
    elif "alloc" in said.lower() or "memory" in said.lower():
        shapes = " ".join(f"{key}={'x'.join(map(str, to))}" for key, to in model.given.shapes.items())
        remedy = f": it may be too large with --shape {shapes}" if shapes else ""
    elif whole and not model.given.inputs and said.startswith(_RUNNING):
        remedy = f": without --inputs its {whole} is 0, which it may not take: give better values"
    return f"{model.name} must run on {place}, but: {said}{remedy}"


def _row(name: str, session: BenchmarkSession, found: Measurement, alone: Reply, asked: Asked) -> Row:
    rounds = found.rounds
    replies = [alone, *(item.conditions for item in rounds)]
    loads = [load for reply in replies if (load := _load_ns(reply)) is not None]
    firsts = [first for item in rounds if (first := _whole(item.conditions.get("first_run_ns"))) is not None]
    return Row(
        file=name,
        place=session.place,
        session=session.id,
        rounds=len(rounds),
        latency_ms=found.latency_ms,
        interval_ms=found.interval_ms,
        p90_ms=found.p90_ms,
        load_ms=median(loads) / 1e6 if loads else None,
        first_run_ms=median(firsts) / 1e6 if firsts else None,
        peak_memory_bytes=_whole(alone.get("peak_memory_bytes")),
        placement=_placement(session.place, alone),
        operations=_operations(alone.get("op_profile")),
        verdict=on_budget(found.latency_ms, found.interval_ms, asked.budget_ms, session.quality),
    )


def _load_ns(reply: Mapping[str, Any]) -> int | None:
    """Until a model is ready to run; None where that is not told, or some of it was done before."""
    if "compile_ns" in reply and reply["compile_ns"] is None:
        return None
    return (_whole(reply.get("load_ns")) or 0) + (_whole(reply.get("compile_ns")) or 0) or None


def _whole(value: object) -> int | None:
    """What an agent told; another type than a number counts as not told."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _placement(place: BenchmarkPlace, alone: Reply) -> Placement:
    undelegated = alone.get("undelegated")
    return Placement(
        str(alone.get("delegate") or runtimes.get(place.runtime).host.delegate),
        _whole(alone.get("nodes")),
        _whole(alone.get("delegated_nodes")),
        _whole(alone.get("delegate_partitions")),
        {str(name): int(count) for name, count in undelegated.items()}
        if isinstance(undelegated, Mapping)
        else None,
    )


def _operations(profile: Any) -> tuple[Operation, ...] | None:
    if not isinstance(profile, Mapping) or not profile.get("operations"):
        return None
    runs = profile["runs"]
    return tuple(
        Operation(str(item["name"]), str(item["by"]), item["total_us"] / runs)
        for item in profile["operations"]
    )


def _facts(model: ReadFile) -> FileFacts:
    return FileFacts(model.name, str(model.path), model.bytes, model.sha256, model.format, model.description)


def _differences(rows: Sequence[Row]) -> Iterator[LatencyDifference]:
    """All that are told, each judged as one of them: among many pairs, chance finds some."""
    pairs = list(_pairs(rows))
    alone = [None if item.interval is None else chance_of_ratio(item.ratio, item.interval) for item in pairs]
    chances = iter(together([chance for chance in alone if chance is not None]))
    for item, chance in zip(pairs, alone, strict=True):
        yield item if chance is None else replace(item, chance=next(chances))


def _pairs(rows: Sequence[Row]) -> Iterator[LatencyDifference]:
    """Each row against the first on its device with as many threads, and against its own file's first."""
    for number, row in enumerate(rows):
        here = [item for item in rows[:number] if item.place.device == row.place.device]
        alike = [item for item in here if item.place.threads == row.place.threads]
        own = [item for item in here if item.file == row.file]
        for first in (*alike[:1], *(item for item in own[:1] if item not in alike[:1])):
            interval = ratio_interval(row.latency_ms, row.interval_ms, first.latency_ms, first.interval_ms)
            together = first.session == row.session
            yield LatencyDifference(
                first.name, row.name, row.latency_ms / first.latency_ms, interval, together
            )
