"""``hwnas profile``: measure a space on a device."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar
from rich.table import Table

from hwnas import device as devices
from hwnas import shelf as shelves
from hwnas import spaces as library
from hwnas.cli import _usage
from hwnas.cli._app import Json, app, emit_json, err, out, print_table
from hwnas.cli._console import Steps, Verbosity
from hwnas.cli._evaluation import show
from hwnas.cli._foreseen import DryRun, show_foreseen
from hwnas.cli.spaces import Classes, Resolution, Strides
from hwnas.device import Target
from hwnas.durations import duration
from hwnas.errors import DeviceError
from hwnas.measure import ProfileOptions, Progress
from hwnas.measure import energy as counted
from hwnas.measure.store import missing_rounds, to_go_on
from hwnas.space import SearchSpace
from hwnas.tables import conditions
from hwnas.tables.table import LatencyTable

_DEFAULT = ProfileOptions()


@app.command()
def profile(
    context: typer.Context,
    device: Annotated[str, typer.Option(help="Device to measure on.", callback=_usage.device)] = "host",
    space: Annotated[str, typer.Option(help="Spaces to measure, joined by commas.")] = "macro",
    resolution: Resolution = None,
    classes: Classes = None,
    strides: Strides = None,
    runtime: Annotated[str | None, typer.Option(help="Runtimes, joined by commas; the device's.")] = None,
    precision: Annotated[
        str, typer.Option(help="Precisions, joined by commas; also fp16, bf16 and tf32.")
    ] = "int8,fp32",
    folder: Annotated[Path | None, typer.Option("--out", help="Folder of the tables.")] = None,
    rounds: Annotated[int, typer.Option(help="Rounds that each row gets.")] = _DEFAULT.rounds,
    max_rounds: Annotated[
        int, typer.Option(help="Rounds that a row with a wide interval gets.")
    ] = _DEFAULT.max_rounds,
    target_ci: Annotated[
        float, typer.Option(help="Half the 95 % interval over the latency that is narrow enough.")
    ] = _DEFAULT.target_ci,
    samples: Annotated[int, typer.Option(help="Timed samples a round.")] = _DEFAULT.samples,
    calibration_networks: Annotated[
        int, typer.Option(help="Whole networks to fit latency models to.")
    ] = _DEFAULT.calibration_networks,
    heldout_networks: Annotated[
        int, typer.Option(help="Whole networks to judge latency models by.")
    ] = _DEFAULT.heldout_networks,
    seed: Annotated[int, typer.Option(help="Picks the networks and the order.")] = _DEFAULT.seed,
    threads: Annotated[int | None, typer.Option(help="Threads of the runtime.")] = None,
    cpus: Annotated[str | None, typer.Option(help='CPUs to run on, for example "4-7" or "0,2".')] = None,
    serial: Annotated[
        str | None, typer.Option(help="Which phone or board: serial number, HOST:PORT or USER@HOST.")
    ] = None,
    shelf: Annotated[
        Path | None,
        typer.Option(help="File of a shelf: measure on all its units of the device that are free and alike."),
    ] = None,
    agent: Annotated[
        str | None,
        typer.Option(help='"benchmark_model": Google\'s own program, for GPUs and NPUs of phones.'),
    ] = None,
    agent_path: Annotated[
        Path | None, typer.Option(help="File of that program, built for the phone.")
    ] = None,
    few: Annotated[
        int | None,
        typer.Option(
            min=2,
            help="Measure only so many whole networks, chosen to tell the most, and fit a model.",
        ),
    ] = None,
    layers_of: Annotated[
        Path | None,
        typer.Option(
            help="Folder of a run: measure the layers of its network in each precision that int8 files may "
            "keep, and switches between these, instead of a space.",
        ),
    ] = None,
    op_profile: Annotated[
        int | None,
        typer.Option(min=1, help="Also time each operation in so many runs; on phones and boards."),
    ] = None,
    energy: Annotated[
        bool,
        typer.Option(
            "--energy", help="Also count energy, where the device has a counter (RAPL, NVIDIA); takes longer."
        ),
    ] = False,
    pool: Annotated[
        str,
        typer.Option(
            help="Who exports models: processes:N of this machine, or ray[://HOST:PORT]; by default one "
            "process a CPU, at most four.",
        ),
    ] = "",
    max_minutes: Annotated[float | None, typer.Option(help="Begin no round of a target later.")] = None,
    retry_failed: Annotated[bool, typer.Option(help="Try again what failed before.")] = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Measure all blocks of a space, and whole networks, on a device.

    Goes on where it stopped when it is started again.
    """
    from hwnas.measure import profile as measure_space
    from hwnas.measure.foresight import foreseen

    _refuse_idle(context, few, layers_of)
    if shelf is not None:
        others = ("serial", "few", "layers_of")
        _usage.no_effect(context, *others, needs="without --shelf, whose units measure whole spaces")
    with _usage.usage():
        options = ProfileOptions(
            rounds=rounds,
            max_rounds=max_rounds,
            target_ci=target_ci,
            samples=samples,
            calibration_networks=calibration_networks,
            heldout_networks=heldout_networks,
            seed=seed,
            cpus=parse_cpus(cpus),
            max_minutes=max_minutes,
            retry_failed=retry_failed,
            pool=pool,
            energy=energy,
        )
        _usage.max_rounds(context)
        _require_pair(agent, agent_path)
        described = _described(context, device)
        runtimes = runtime.split(",") if runtime else described.runtimes
        kinds = [(name, kind) for name in runtimes for kind in precision.split(",")]
        targets = [described.target(name, kind, threads=threads) for name, kind in kinds]
        loaded = [
            library.load(name, resolution=resolution, num_classes=classes, strides=strides)
            for name in space.split(",")
        ]
    if dry_run:
        _usage.no_effect(context, "few", "layers_of", needs="without --dry-run")
        show_foreseen(foreseen(described, loaded, targets, folder, options), as_json=as_json)
        return
    described = described.with_options(
        serial=serial, agent_path=_agent_path(agent_path), op_profile=op_profile
    )
    if few is not None:
        _profile_few(described, loaded, targets, few, folder, options, as_json)
        return
    with _Bars() as bars:
        if layers_of is not None:
            whole = [described.target(name, "int8", threads=threads) for name in runtimes]
            paths = _profile_layers(described, layers_of, whole, folder, options, bars)
        else:
            stand = None if shelf is None else shelves.read(shelf)
            paths = measure_space(described, loaded, targets, folder, options, bars.show, shelf=stand)
    summaries = [_summary(target, path) for target, path in paths.items()]
    if as_json:
        emit_json({"options": asdict(options), "tables": summaries})
        return
    _print(summaries)


def _profile_few(
    device: devices.Device,
    spaces: list[SearchSpace],
    targets: list[Target],
    count: int,
    folder: Path | None,
    options: ProfileOptions,
    as_json: bool,
) -> None:
    """A model of each space on each target, from a few networks."""
    from hwnas.measure.new_device import profile_few

    found = []
    for space in spaces:
        for target in targets:
            with _Bars() as bars:
                found.append(profile_few(device, space, target, count, folder, options, bars.show))
    if as_json:
        emit_json({"options": asdict(options), "models": [item.to_json() for item in found]})
        return
    for item in found:
        show(f"{count} networks on {item.model.target}", item.errors)
        for note in item.model.notes:
            err.print(f"[yellow]{note}[/]")
        _say_missing(item.missing, item.to_go_on)
        out.print(f"table: {item.table}\nmodel: {item.path}", soft_wrap=True, highlight=False)


def _profile_layers(
    device: devices.Device,
    run: Path,
    targets: list[Target],
    folder: Path | None,
    options: ProfileOptions,
    bars: _Bars,
) -> dict[Target, Path]:
    """The layers of a run's network, and switches between their precisions."""
    from hwnas import blocks
    from hwnas.bits.rows import measured
    from hwnas.export.mixed import layers_of
    from hwnas.runs import records

    arch = library.architecture_from_json(records.arch(run))
    layers = layers_of(blocks.network(arch), arch.space.input_shape)
    found: dict[Target, Path] = {}
    for target in targets:
        found |= measured(device, layers, target, folder, options, bars.show)
    return found


def _refuse_idle(context: typer.Context, few: int | None, layers_of: Path | None) -> None:
    """Options must do something."""
    if layers_of is not None:
        needs = "without --layers-of, which measures the layers of one network in all its precisions"
        _usage.no_effect(context, "space", "resolution", "classes", "strides", "precision", needs=needs)
        _usage.no_effect(context, "few", "calibration_networks", "heldout_networks", needs=needs)
    if few is not None:
        needs = "without --few, which chooses the networks itself"
        _usage.no_effect(context, "calibration_networks", "heldout_networks", needs=needs)
        _usage.no_effect(context, "energy", needs="without --few: models of energy are fitted to blocks")


def _described(context: typer.Context, name: str) -> devices.Device:
    """The device; what only phones and boards have must not be asked of this machine."""
    described = devices.load(name)
    if described.transport == "local":
        needs = f"with a phone or a board, and {name} is this machine"
        _usage.no_effect(context, "serial", "agent", "agent_path", "op_profile", needs=needs)
    return described


def _require_pair(agent: str | None, path: Path | None) -> None:
    if agent not in (None, "benchmark_model") or (agent is None) != (path is None):
        raise DeviceError(
            f"--agent must be benchmark_model and come with --agent-path, but got {agent} and {path}: "
            "leave both out for the agent that comes with hwnas"
        )


def _agent_path(path: Path | None) -> str | None:
    """The program that measures in the place of the agent that comes with hwnas, if any."""
    if path is not None and not path.is_file():
        raise DeviceError(f"the program of --agent-path must be there, but {path} is not a file")
    return None if path is None else str(path.resolve())


def parse_cpus(text: str | None) -> tuple[int, ...] | None:
    """CPU numbers of a list such as ``0,2-3``.

    Raises:
        DeviceError: It is not such a list.
    """
    if text is None:
        return None
    numbers: set[int] = set()
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()) or int(last or first) < int(first):
            raise DeviceError(f"cpus must be numbers and ranges such as 0,2-3, but got {text!r}")
        numbers |= set(range(int(first), int(last or first) + 1))
    return tuple(sorted(numbers))


class _Bars:
    """A bar for every stage of every target on a terminal, else its steps; on standard error."""

    def __init__(self) -> None:
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[left]}"),
        )
        is_seen = err.is_terminal and err.verbosity != Verbosity.QUIET
        self._bar, self._steps = Bar(*columns, console=err, disable=not is_seen), Steps(err)
        self._tasks: dict[tuple[Target, str], Any] = {}

    def __enter__(self) -> _Bars:
        self._bar.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._bar.stop()

    def show(self, progress: Progress) -> None:
        """Move the bar of this stage."""
        stage = (progress.target, progress.stage)
        if stage not in self._tasks:
            self._tasks[stage] = self._bar.add_task(f"{progress.target} {progress.stage}", left="")
        said = f"{progress.target} {progress.stage} {progress.done}/{progress.total}"
        left_s = err.pace.left_s(said)
        more = " or more" if progress.stage == "measure" else ""  # rows may need more rounds
        left = "" if left_s is None else f"about {duration(left_s)} left{more}"
        self._bar.update(self._tasks[stage], completed=progress.done, total=progress.total, left=left)
        self._steps.tell(f"{said}  {left}".rstrip())


def _summary(target: Target, path: Path) -> dict[str, Any]:
    table = LatencyTable.load(path)
    measured = table.measurements.values()
    failed = {item.key: item.failed for item in table.rounds if item.failed}
    ends = [note.facts for note in table.notes if note.moment == "end"]
    return {
        "target": str(target),
        "path": str(path),
        "rows": dict(Counter(m.kind for m in measured)),
        "rounds": len(table.rounds),
        "median_relative_ci": median(m.relative_ci for m in measured) if measured else None,
        "failed": {key: reason for key, reason in failed.items() if key not in table.measurements},
        "unstable": conditions.unstable(table),
        "missing": missing_rounds(table),
        "to_go_on": to_go_on(table) if missing_rounds(table) else "",
        "sessions": {session: str(found) for session, found in conditions.qualities(table).items()},
        "seconds": ends[-1].get("seconds", {}) if ends else {},
        "energy": _energy(table),
    }


def _energy(table: LatencyTable) -> dict[str, Any] | None:
    """What the table says of energy, and why some rows say nothing; None where nobody asked."""
    if not any(map(counted.was_asked, table.rounds)):
        return None
    measured = table.energies.measurements
    reasons = {item.key: counted.why_refused(item) for item in table.rounds if counted.why_refused(item)}
    intervals = [item.relative_ci for item in measured.values()]
    return {
        "rows": len(measured),
        "median_relative_ci": median(intervals) if intervals else None,
        "refused": {key: reason for key, reason in reasons.items() if key not in measured},
    }


def _print_energy(target: str, found: dict[str, Any] | None) -> None:
    if found is None:
        return
    if found["rows"]:
        interval = found["median_relative_ci"]
        out.print(f"  energy of {found['rows']} rows, interval ±{100 * interval:.1f} %", highlight=False)
    refused = found["refused"]
    if refused:  # each has numbers of its own: one stands for all
        said = next(iter(refused.values()))
        err.print(f"[yellow]no energy of {len(refused)} rows on {target}:[/] {said}", soft_wrap=True)


def _say_missing(rounds: int, what: str) -> None:
    if rounds:
        err.print(f"[yellow]{rounds} rounds are left:[/] {what}", soft_wrap=True, highlight=False)


def _print(summaries: list[dict[str, Any]]) -> None:
    table = Table("target", "blocks", "networks", "rounds", "interval", "unstable", "failed")
    for item in summaries:
        blocks = item["rows"].get("block", 0)
        interval = item["median_relative_ci"]
        table.add_row(
            item["target"],
            str(blocks),
            str(sum(item["rows"].values()) - blocks - item["rows"].get("switch", 0)),
            str(item["rounds"]),
            "" if interval is None else f"±{100 * interval:.1f} %",
            str(len(item["unstable"])),
            str(len(item["failed"])),
        )
    print_table(table)
    for item in summaries:
        spent = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in item["seconds"].items())
        out.print(f"{item['path']}  ({spent})", soft_wrap=True, highlight=False)
        for verdict in item["sessions"].values():
            out.print(f"  {verdict}", soft_wrap=True, highlight=False)
        _print_energy(item["target"], item["energy"])
        _say_missing(item["missing"], item["to_go_on"])
        for key, reason in item["failed"].items():
            err.print(f"[yellow]failed on {item['target']}:[/] {key}: {reason}", soft_wrap=True)
