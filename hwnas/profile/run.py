"""The two things that the profiler is asked for: tables of spaces, and numbers for given models."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from pathlib import Path

from hwnas import conditions, files
from hwnas.device import Device, Target
from hwnas.errors import DeviceError
from hwnas.profile import adaptive, plan
from hwnas.profile.engine import Engine, greet
from hwnas.profile.models import Exporter
from hwnas.profile.options import OnProgress, ProfileOptions, Progress, silent
from hwnas.profile.session import Session, environment, new_id
from hwnas.profile.store import TableStore
from hwnas.space import Architecture, SearchSpace
from hwnas.table import LatencyTable, Measurement, Note, Reference, Round
from hwnas.table_ops import require_same
from hwnas.transport import connect


def run(
    device: Device,
    spaces: SearchSpace | Sequence[SearchSpace],
    targets: Sequence[Target],
    out: Path | None = None,
    options: ProfileOptions | None = None,
    progress: OnProgress = silent,
    *,
    only: Sequence[Architecture] | None = None,
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
        only: Whole networks to measure instead of all that the spaces hold.

    Returns:
        The path of each target's table.

    Raises:
        TableError: Another profiler is writing a table, or it cannot be written.
        SchemaMismatch: A table is of another runtime, library or processor.
        DeviceError: The device or the agent cannot be used at all. What fails with a single
            model is a failed row.
    """
    options = options or ProfileOptions()
    folder = files.user_data() / "tables" / device.name if out is None else out
    if only is None:
        items = plan.items([spaces] if isinstance(spaces, SearchSpace) else spaces, options)
    else:
        items = plan.network_items(only)
    paths = {target: folder / f"{target.slug}.jsonl" for target in targets}
    with connect(device) as transport, Exporter(options.workers) as exporter:
        for target, path in paths.items():
            _check(device, target)
            with TableStore(path, target) as store:
                Session(transport, exporter, store, target, options, progress).run(items)
    return paths


def measure(
    device: Device,
    target: Target,
    models: Mapping[str, Path | bytes],
    *,
    table: LatencyTable | Reference | None = None,
    options: ProfileOptions | None = None,
    progress: OnProgress = silent,
) -> dict[str, Measurement]:
    """Measure given model files, interleaved with the anchor and with each other.

    Args:
        device: Where to measure.
        target: Runtime and precision of the models.
        models: Model files, or their content, by a name of the caller's.
        table: A table of the same target, or its reference: its anchors give the scale, so that the
            results can be compared with the latencies that it predicts. Without it, this
            session's own.
        options: How well to measure; what asks for networks is not used.
        progress: Called often.

    Returns:
        A measurement for each name that could be measured.

    Raises:
        SchemaMismatch: The table is of another target, runtime, library or processor.
        DeviceError: The device or the agent cannot be used, or a model cannot be measured.
    """
    options = options or ProfileOptions()
    _check(device, target)
    with (
        tempfile.TemporaryDirectory(prefix="hwnas-") as name,
        connect(device) as transport,
        Exporter(1) as exporter,
    ):
        folder = Path(name)
        found = environment(greet(transport, target, options), transport.describe())
        if table is not None:
            require_same(table.target, table.environment, target, found)
        anchors = [transport.push(anchor.path) for anchor in exporter.export_anchors(target, folder)]
        engine = Engine(transport, target, anchors, options)
        paths = {key: transport.push(_as_file(model, folder)) for key, model in models.items()}
        own = LatencyTable(target, found)
        for item in rounds(engine, own, paths, options):
            if item.failed:
                raise DeviceError(f"{item.key} must run on {target}, but: {item.failed}")
            progress(Progress(target, "measure", len(own.rounds), options.rounds * len(models)))
    scale = (own if table is None else table).scale
    return {key: measured.scaled(scale) for key, measured in own.measurements.items()}


def rounds(
    engine: Engine, table: LatencyTable, paths: Mapping[str, str], options: ProfileOptions
) -> Iterator[Round]:
    """Measure models into a table in memory; yields each round when it is in.

    Args:
        engine: Measures.
        table: Where the rounds go; a session of its own is begun in it.
        paths: Where each key's model is on the device.
        options: How well to measure.
    """
    session = new_id()
    names = {key: key for key in paths}
    failed: set[str] = set()
    while due := adaptive.due(table, [key for key in paths if key not in failed], options):
        for outcome in engine.run(adaptive.batch(due, names, paths, options.seed)):
            item = outcome.round(outcome.job.model, "finalist", session)
            table.add(item)
            if item.failed:
                failed.add(item.key)
            yield item
        table.notes += [Note(session, "span", conditions.span(*ends)) for ends in engine.take_spans()]


def _as_file(model: Path | bytes, folder: Path) -> Path:
    if isinstance(model, Path):
        return model
    path = folder / sha256(model).hexdigest()
    path.write_bytes(model)
    return path


def _check(device: Device, target: Target) -> None:
    if target.device != device.name:
        raise DeviceError(f"a target must be of the device {device.name}, but got {target}")
