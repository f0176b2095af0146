"""From a device to a latency model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hwnas import plugins
from hwnas.api.given import AnyDevice, AnyPath, AnySpace, device_of, space_of, typed
from hwnas.device import Target
from hwnas.runs import outputs
from hwnas.space import SearchSpace
from hwnas.tables.table import LatencyTable

if TYPE_CHECKING:
    from hwnas.latency import LatencyModel
    from hwnas.measure import ProfileOptions, Progress


@typed
def profile(
    space: AnySpace | Sequence[AnySpace],
    *,
    device: AnyDevice = "host",
    runtimes: Sequence[str] | None = None,
    precisions: Sequence[str] = ("int8", "fp32"),
    threads: int | None = None,
    out: AnyPath | None = None,
    options: ProfileOptions | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> dict[Target, LatencyTable]:
    """Measure the blocks of spaces, and some whole networks, on a device.

    Called again, it goes on where it stopped.

    Args:
        space: What to measure; several spaces share a table.
        device: Where.
        runtimes: With what; all that the device has by default.
        precisions: "int8" and "fp32".
        threads: Of the runtime; those of the device by default.
        out: Folder of the tables; by default the one where searches look for them.
        options: How much is measured, and how well.
        progress: Called often.

    Returns:
        A table for each runtime and precision.

    Raises:
        DeviceError: The device, or what runs on it, cannot be used.
        TableError: A table is being written by another process, or is of something else.
    """
    from hwnas import measure
    from hwnas.measure.options import silent

    plugins.ready()
    many = [space] if isinstance(space, str | SearchSpace) else space
    where = device_of(device)
    targets = [
        where.target(runtime, precision, threads=threads)
        for runtime in runtimes or where.runtimes
        for precision in precisions
    ]
    folder = None if out is None else Path(out)
    paths = measure.profile(where, list(map(space_of, many)), targets, folder, options, progress or silent)
    return {target: LatencyTable.load(path) for target, path in paths.items()}


@typed
def fit(
    table: LatencyTable | AnyPath, space: AnySpace, model: str = "posterior", *, out: AnyPath | None = None
) -> LatencyModel:
    """Fit a latency model to what was measured.

    Args:
        table: What ``profile`` returned for a target, or the path of its file.
        space: What the model is for.
        model: "posterior", "lookup", "regression", or "transfer" for a device of which only some whole
            networks were measured.
        out: File to write as well.

    Returns:
        The model; its ``evaluation`` holds the errors on networks that it was not fitted to.

    Raises:
        LatencyModelError: There is no such model, or the table does not suffice.
        TableError: The table cannot be read.
    """
    from hwnas import latency

    plugins.ready()
    if out is not None:
        outputs.require_file(Path(out), "a latency model")
    loaded = table if isinstance(table, LatencyTable) else LatencyTable.load(Path(table))
    searched = space_of(space)
    known = latency.known_devices(searched, loaded.target) if model == "transfer" else None
    fitted = latency.fit(loaded, searched, model, known=known)
    if out is not None:
        latency.save(fitted, Path(out))
    return fitted
