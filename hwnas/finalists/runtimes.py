"""The fastest runtime of a device, where a budget leaves open which: chosen by measuring, before the search.

One network of the space, that of the middle candidates, is measured on every runtime that is there, beside
the anchors of each. Clocks change from one session to the next, so all are measured twice, the
second time in the other order; a runtime is slower only where both times show it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from hwnas.budget import Budget
from hwnas.device import AutoTarget, Device, Target
from hwnas.device import load as described
from hwnas.errors import DeviceError, ExportError, TableError
from hwnas.finalists.models import has_table, sources
from hwnas.measure import Measurer, OnProgress, ProfileOptions, in_rounds, measured
from hwnas.runs import runtimes
from hwnas.runs.runtimes import RuntimeChoice, RuntimeReading
from hwnas.space import Architecture, SearchSpace

Tell = Callable[[str], None]
_Session = tuple[float, tuple[float, float] | None]  # milliseconds, and their 95 % interval


def choices(
    targets: Sequence[AutoTarget],
    space: SearchSpace,
    run: Path,
    has_table: Callable[[Target], bool],
    options: ProfileOptions | None,
    *,
    devices: Mapping[str, Device] | None = None,
    tell: Tell = lambda _: None,
) -> dict[str, RuntimeChoice]:
    """The runtime of each target, by its name; what is measured is kept in the run, and done once.

    Args:
        targets: That leave the runtime open.
        space: What is going to be searched.
        run: Folder of the run.
        has_table: Whether there is a latency table of a target, or will be one.
        options: How well to measure; None where nothing may be measured.
        devices: Descriptors to measure with, by name, instead of those of ``hwnas.device.load``.
        tell: Told what is measured.

    Raises:
        DeviceError: Nothing may be measured, or no runtime can be used.
    """
    known = runtimes.read(run)
    for target in targets:
        name, where = str(target), target.candidates[0].device
        if name in known:
            continue
        if options is None:
            raise DeviceError(
                f"a runtime must be measured to be chosen, but nothing is to be: name one instead of "
                f"{name}, as {target.candidates[0]}, or leave out --no-measure"
            )
        device = (devices or {}).get(where) or described(where)
        known[name] = _chosen(target, device, space, has_table, options, tell)
        runtimes.write(run, known)
    return known


def resolve(
    budgets: Sequence[Budget],
    space: SearchSpace,
    run: Path,
    tables: Path | None,
    options: ProfileOptions | None,
    *,
    devices: Mapping[str, Device] | None = None,
    tell: Tell = lambda _: None,
    warn: Tell = lambda _: None,
) -> tuple[Budget, ...]:
    """The budgets, each on a target with a runtime: see ``choices``.

    Args:
        budgets: On targets of devices; some may leave the runtime open.
        space: What is going to be searched.
        run: Folder of the run.
        tables: Folder of latency tables; the user's own by default.
        options: How well to measure; None where nothing may be measured.
        devices: Descriptors to measure with, by name, instead of those of ``hwnas.device.load``.
        tell: Told what is measured.
        warn: Told which runtime was chosen, and why.

    Raises:
        DeviceError: Nothing may be measured, no runtime can be used, or a target has two budgets then.
        TableError: The fastest has no latency table.
    """
    open_yet = [budget.target for budget in budgets if isinstance(budget.target, AutoTarget)]

    def has(target: Target) -> bool:
        return has_table(target, space, tables)

    known, found = choices(open_yet, space, run, has, options, devices=devices, tell=tell), []
    for budget in budgets:
        target = budget.target
        if not isinstance(target, AutoTarget):
            found.append(budget)
            continue
        choice = known[str(target)]
        warn(f"{target}: {choice.said}")
        _require_table(budget, choice, space, tables)
        found.append(replace(budget, target=choice.chosen))
    if len({budget.name for budget in found}) < len(found):
        names = ", ".join(budget.name for budget in found)
        raise DeviceError(f"a target must have one budget, but they are of {names}: leave one out")
    return tuple(found)


def middle(space: SearchSpace) -> Architecture:
    """The network that runtimes are compared by: of each choice, the candidate in the middle of its list."""
    return space.architecture([size // 2 for size in space.sizes])


def _chosen(
    target: AutoTarget,
    device: Device,
    space: SearchSpace,
    has_table: Callable[[Target], bool],
    options: ProfileOptions,
    tell: Tell,
) -> RuntimeChoice:
    network, left_out = middle(space), {}
    options = replace(options, max_rounds=options.rounds)  # what more rounds would tell apart is worth little
    sessions: dict[Target, list[_Session]] = {}
    models: dict[Target, dict[str, Path]] = {}
    with Measurer(device, options) as measurer:
        for item in target.candidates:
            said = f"measuring {item} to choose a runtime"
            tell(said)
            try:
                measurer.environment(item)
                models[item] = measurer.export(item, [network])
                sessions[item] = [_session(measurer, item, models[item], in_rounds(tell, said))]
            except (DeviceError, ExportError) as error:
                left_out[item.runtime] = str(error)
        for item in reversed(sessions):
            said = f"measuring {item} again"
            tell(said)
            sessions[item].append(_session(measurer, item, models[item], in_rounds(tell, said)))
    if not sessions:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in left_out.items())
        raise DeviceError(f"a runtime must be there for {target}, but none can be used: {reasons}")
    readings = [
        RuntimeReading(
            item,
            tuple(ms for ms, _ in taken),
            tuple(interval for _, interval in taken),
            has_table(item),
        )
        for item, taken in sessions.items()
    ]
    return runtimes.choose(network.key(), readings, left_out)


def _session(
    measurer: Measurer, target: Target, models: Mapping[str, Path], progress: OnProgress
) -> _Session:
    """Latency of the one model, and its interval."""
    session = measured(measurer.measure(target, models, progress=progress))
    (found,) = [session[name] for name in models]
    return found.latency_ms, found.interval_ms


def _require_table(budget: Budget, choice: RuntimeChoice, space: SearchSpace, tables: Path | None) -> None:
    """A sentence that says what to type where the fastest has no table."""
    try:
        sources([replace(budget, target=choice.chosen)], space, tables)
    except TableError as error:
        said = f"{choice.chosen.runtime} is the fastest for {budget.name}, but {error}"
        with_table = [item for item in choice.readings if item.has_table]
        if with_table:
            other = min(with_table, key=lambda item: item.mean_ms)
            ratio = other.mean_ms / choice.reading.mean_ms
            said += (
                f"; or name one that takes {ratio:.2f} times as long: {replace(budget, target=other.target)}"
            )
        raise TableError(said) from error
