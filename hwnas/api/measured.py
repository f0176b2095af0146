"""From a device to a latency model."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hwnas import plugins
from hwnas.api.given import AnyDevice, AnyPath, AnySpace, device_of, space_of, typed
from hwnas.device import Device, Target
from hwnas.runs import outputs
from hwnas.space import SearchSpace
from hwnas.tables.table import LatencyTable

if TYPE_CHECKING:
    from hwnas.benchmark import FileBenchmark
    from hwnas.latency import FittedModel
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
        precisions: "int8" and "fp32"; "fp16", "bf16" and "tf32" where the runtime has them.
        threads: Of the runtime; those of the device by default.
        out: Folder of the tables; by default the one where searches look for them.
        options: How much is measured, and how well.
        progress: Called often, with what prints as a line.

    Returns:
        A table for each runtime and precision.

    Raises:
        DeviceError: The device, or what runs on it, cannot be used.
        TableError: A table is being written by another process, or is of something else.
    """
    from hwnas.measure import profile as measure_space
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
    paths = measure_space(where, list(map(space_of, many)), targets, folder, options, progress or silent)
    return {target: LatencyTable.load(path) for target, path in paths.items()}


@typed
def measure(
    files: AnyPath | Sequence[AnyPath],
    *,
    device: AnyDevice | Sequence[AnyDevice] = "host",
    runtimes: Sequence[str] = (),
    threads: int | Sequence[int] = (),
    precisions: Sequence[str] = (),
    shapes: Mapping[str, Sequence[int]] | None = None,
    inputs: AnyPath | None = None,
    compare: bool = False,
    per_op: bool = False,
    budget_ms: float | None = None,
    repeat_s: float | None = None,
    options: ProfileOptions | None = None,
    progress: Callable[[str], None] | None = None,
) -> FileBenchmark:
    """Measure model files that anybody made.

    All files that a runtime reads are measured interleaved in one session, beside the anchors. What cannot
    be measured stands in ``failures`` with its reason, and the rest is measured.

    Args:
        files: ``.tflite``, ``.onnx`` and ``.pte`` files; or names of known networks, which are made
            in every format with random weights.
        device: Where; several are measured one after the other.
        runtimes: With what; all that a device has by default.
        threads: Of the runtime; one session for each number, that of the device by default.
        precisions: To compute in where a runtime can, as "fp16" of an fp32 file on a GPU; by default each
            file's own, fp32 and int8 of known networks.
        shapes: Of inputs that a file leaves open, by their names.
        inputs: An ``.npz`` file with an array for each input; random values by default.
        compare: Whether to say which differences are real.
        per_op: Whether to time each operation as well, where the runtime can.
        budget_ms: The most that each may take.
        repeat_s: How long each runs without a pause as well, after it was measured.
        options: How well to measure.
        progress: Called with a line for people before each step.

    Returns:
        A row for each file on each target, and the sessions that they are of.

    Raises:
        HwnasError: What was asked for makes no sense, or what is given to read is of no use.
    """
    from hwnas.benchmark import Asked, benchmark, is_name

    plugins.ready()
    paths = [files] if isinstance(files, str | Path) else files
    where = [device] if isinstance(device, str | Device) else device
    asked = Asked(
        files=[Path(path) for path in paths if not is_name(str(path))],
        networks=[str(path) for path in paths if is_name(str(path))],
        devices=[device_of(one) for one in where],
        runtimes=runtimes,
        threads=[threads] if isinstance(threads, int) else threads,
        precisions=precisions,
        shapes=shapes or {},
        inputs=None if inputs is None else Path(inputs),
        compare=compare,
        per_op=per_op,
        budget_ms=budget_ms,
        repeat_s=repeat_s,
    )
    return benchmark(asked, options, progress or (lambda _: None))


@typed
def fit(
    table: LatencyTable | AnyPath, space: AnySpace, model: str = "posterior", *, out: AnyPath | None = None
) -> FittedModel:
    """Fit a latency model to what was measured.

    Args:
        table: What ``profile`` returned for a target, or the path of its file.
        space: What the model is for.
        model: "posterior", "lookup", "regression", or "transfer" for a device of which only some whole
            networks were measured.
        out: File to write as well.

    Returns:
        The model, with its errors on networks that it was not fitted to.

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
