"""The two things that the profiler is asked for: tables of spaces, and numbers for given models."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from hwnas.device import Device, Target
from hwnas.errors import DeviceError
from hwnas.measure import plan
from hwnas.measure.measurer import Measurer
from hwnas.measure.models import Exporter
from hwnas.measure.options import OnProgress, ProfileOptions, silent
from hwnas.measure.session import ProfilingSession
from hwnas.measure.store import TableStore
from hwnas.pools import PoolSpec
from hwnas.runs import outputs
from hwnas.shelf import Shelf
from hwnas.space import Architecture, SearchSpace, Workload
from hwnas.tables import places, scales
from hwnas.tables.conditions import SessionQuality, quality
from hwnas.tables.measurement import Measurement
from hwnas.tables.operations import require_same
from hwnas.tables.table import LatencyTable, Reference
from hwnas.transport import connect


def profile(
    device: Device,
    spaces: SearchSpace | Sequence[SearchSpace],
    targets: Sequence[Target],
    out: Path | None = None,
    options: ProfileOptions | None = None,
    progress: OnProgress = silent,
    *,
    only: Sequence[Architecture | Workload] | None = None,
    shelf: Shelf | None = None,
) -> dict[Target, Path]:
    """Measure the workloads and some whole networks of spaces; one table a target.

    A table that is there already is continued: only the rounds that it lacks are measured.

    Args:
        device: Where to measure.
        spaces: What to measure; a table can hold several spaces.
        targets: Runtimes and precisions on that device.
        out: Folder of the tables ``<runtime>-<precision>.jsonl``; the user's data folder where
            it is not given.
        options: How much, and how well.
        progress: Called often.
        only: Whole networks, and blocks alone, to measure instead of all that the spaces hold.
        shelf: Where several units of the device stand: all that are free and proven alike measure at once.

    Returns:
        The path of each target's table.

    Raises:
        TableError: Another profiler is writing a table, or it cannot be written.
        SchemaMismatch: A table is of another runtime, library or processor.
        DeviceError: The device or the agent cannot be used at all. What fails with a single
            model is a failed row.
    """
    options = options or ProfileOptions()
    folder = places.of_device(device.name) if out is None else out
    if only is None:
        items = plan.items([spaces] if isinstance(spaces, SearchSpace) else spaces, options)
    else:
        networks = plan.network_items(each for each in only if isinstance(each, Architecture))
        items = (*plan.workload_items(each for each in only if isinstance(each, Workload)), *networks)
    paths = {target: places.table(folder, target) for target in targets}
    for path in paths.values():
        outputs.require_file(path, "a latency table")
    for target in paths:
        _check(device, target)
    with (
        _session(device, shelf) as begun,
        Exporter(PoolSpec.read(options.pool) if options.pool else None) as exporter,
    ):
        for target, path in paths.items():
            with TableStore(path, target) as store:
                begun(exporter, store, target, options, progress).run(items)
    return paths


@contextmanager
def _session(device: Device, shelf: Shelf | None) -> Iterator[Callable[..., ProfilingSession]]:
    """Makes sessions on a device, or on all its units of a shelf that are free."""
    if shelf is None:
        with connect(device) as transport:
            yield partial(ProfilingSession, transport)
        return
    from hwnas.measure.spread import SpreadSession
    from hwnas.measure.units import connected

    with connected(device, shelf) as units:
        yield partial(SpreadSession, units)


def measure(
    device: Device,
    target: Target,
    models: Mapping[str, Path | bytes],
    *,
    table: LatencyTable | Reference | None = None,
    options: ProfileOptions | None = None,
    progress: OnProgress = silent,
) -> Measured:
    """Measure given model files, interleaved with the anchor and with each other.

    Args:
        device: Where to measure.
        target: Runtime and precision of the models.
        models: Model files, or their content, by a name of the caller's.
        table: A table of the same target, or its reference: what its sessions saw of the clock
            counts for the scale, see ``scales.of``.
        options: How well to measure; what asks for networks is not used.
        progress: Called often.

    Returns:
        A measurement for each name, on the scale of the device, and the quality of the session.

    Raises:
        SchemaMismatch: The table is of another target, runtime, library or processor.
        DeviceError: The device or the agent cannot be used, or a model cannot be measured.
    """
    with Measurer(device, options) as measurer:
        if table is not None:
            require_same(table.target, table.environment, target, measurer.environment(target))
        own = measurer.measure(target, models, progress=progress)
    return measured(own, *(() if table is None else (table,)))


class Measured(dict[str, Measurement]):
    """Measurements of one session by name, on the scale of the device.

    Attributes:
        session: Its identifier.
        quality: Whether it can be believed.
        reference: The scale, and what it is true of.
    """

    def __init__(
        self, found: Mapping[str, Measurement], session: str, quality: SessionQuality, reference: Reference
    ) -> None:
        super().__init__(found)
        self.session, self.quality, self.reference = session, quality, reference


def measured(own: LatencyTable, *sources: LatencyTable | Reference) -> Measured:
    """A session, as ``Measurer.measure`` returns it, on the scale of its device.

    Args:
        own: The session.
        sources: What else is known of the scale; see ``scales.of``.
    """
    scale = scales.of(own.target, own.environment, *sources, own)
    return Measured(
        {key: found.scaled(scale) for key, found in own.measurements.items()},
        own.rounds[0].session,
        quality(own.rounds, [note.facts for note in own.notes], scale),
        Reference(own.target, own.environment, scale),
    )


def _check(device: Device, target: Target) -> None:
    if target.device != device.name:
        raise DeviceError(f"a target must be of the device {device.name}, but got {target}")
