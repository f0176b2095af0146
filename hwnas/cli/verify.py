"""``hwnas verify``: whether what ships keeps what was promised."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from hwnas import device as devices
from hwnas import runtimes
from hwnas.cli import _runlog, _usage
from hwnas.cli._app import AcceptNoise, Json, app, emit_json, err, finite, leave
from hwnas.cli._benchmark import leave_benchmark, tell
from hwnas.cli._foreseen import DryRun, show_foreseen_models
from hwnas.cli._options import Settings, settings
from hwnas.cli._shipping import run_folder
from hwnas.cli._tracking import Track
from hwnas.cli._verifications import show_verifications
from hwnas.errors import typed
from hwnas.runs import outputs
from hwnas.runs.folder import RunFolder, ShippingFolder
from hwnas.settings.options import of_section
from hwnas.tracking.following import followed, usable

if TYPE_CHECKING:
    from hwnas.measure import ProfileOptions


@app.command()
@settings(*(option for option in of_section("verify") if option.name != "accept_noise"))
def verify(
    context: typer.Context,
    folder: Annotated[
        Path,
        typer.Argument(
            help="Shipping folder, wherever it is now, folder of a run, or any one .tflite, .onnx or .pte "
            "file.",
            callback=run_folder,
        ),
    ],
    settings: Settings,
    device: Annotated[
        str | None,
        typer.Option(help="Device to measure on; by default the one of the budgets.", callback=_usage.device),
    ] = None,
    tables: Annotated[
        Path | None, typer.Option(help="Folder of the device's latency tables, if not its own.")
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            "--data", help="Where the training data are now, or a further test set of the same labels."
        ),
    ] = None,
    skip_accuracy: Annotated[bool, typer.Option("--skip-accuracy", help="Do not look for the data.")] = False,
    record: Annotated[
        bool, typer.Option("--record/--no-record", help="Write the result into the manifest.")
    ] = True,
    budget_ms: Annotated[
        float | None,
        typer.Option(help="Of a single file: the most that it may take.", callback=finite),
    ] = None,
    track: Track = None,
    dry_run: DryRun = False,
    accept_noise: AcceptNoise = False,
    as_json: Json = False,
) -> None:
    """Check again all that ships: files, answers, accuracy (or another task's metric), latency, budget.

    PASS is proven: the whole 95 % interval of the latency is within the budget. Exits with 1 where a
    promise is broken (FAIL) and with 3 where nothing can be said (NOT PROVEN). On this machine it also
    tells what preparing a picture and reading its answer take; budgets are of the network alone. Needs
    nothing but the folder. Other data of the same labels are a further test set, stated beside the
    network's own. Of a single file, whoever made it, the latency is measured as `hwnas measure` does.
    """
    from hwnas import release
    from hwnas.settings import requests
    from hwnas.verify import images, verify_on
    from hwnas.verify.folder import read
    from hwnas.verify.foresight import foreseen
    from hwnas.verify.scales import tables_of

    if dry_run:
        idle = ("track", "accept_noise", "record", "data", "skip_accuracy", "tables")
        _usage.no_effect(context, *idle, needs="without --dry-run")
    if not folder.is_dir() and (budget_ms is not None or folder.suffix.lower() in runtimes.by_suffix()):
        of_folder = ("data", "tables", "skip_accuracy", "record", "track")
        _usage.no_effect(context, *of_folder, needs="with a folder")
        if budget_ms is None:
            raise typer.BadParameter(
                f"a single file must have a budget to keep, but {folder} has none: give --budget-ms"
            )
        wanted = requests.verifying(settings)
        _verify_file(folder, device or "host", budget_ms, wanted, accept_noise, as_json, dry_run=dry_run)
        return
    _usage.no_effect(context, "budget_ms", needs="with a single file: a folder has its own budgets")
    if not record:
        _usage.no_effect(context, "track", needs="without --no-record: what the manifest says is logged")
    if skip_accuracy:
        _usage.no_effect(context, "data", needs="without --skip-accuracy")
    folder = release.shipping_of(folder)
    if dry_run:
        checked = read(folder)
        described = devices.load(device or checked.manifest.device)
        sessions = foreseen(checked, described, requests.verifying(settings))
        show_foreseen_models(sessions, as_json=as_json)
        return
    path, own = ShippingFolder(folder).manifest, release.owner_of(folder)
    if record and path.exists():
        outputs.require_file(path, "the manifest (without --no-record)")
    if own != folder:  # beside models that ship alone, nothing is written
        _runlog.into(RunFolder(own))
    alone = outputs.claimed(own, "a verification") if record and folder.is_dir() else nullcontext()
    loggers = usable(track or (), own)
    with alone, followed(own, loggers), err.status("reading the folder and the data") as status:
        checked = read(folder)
        described = devices.load(device or checked.manifest.device)
        seen = images.VerifiedImages() if skip_accuracy else images.find(checked, data)
        (found,) = verify_on(
            checked,
            [(described, tables or tables_of(own, described.name))],
            seen.own,
            further=seen.further,
            options=requests.verifying(settings),
            accept_noise=accept_noise,
            record=record,
            on_step=lambda step: status.update(f"verifying: {step}"),
        )
    if as_json:
        emit_json(found.to_json())
    else:
        show_verifications((found,))
    if seen.said:
        err.print(f"[yellow]{escape(seen.said)}[/]", highlight=False)
    if record and release.REPORT in checked.manifest.files:
        where = typed("report", own) if own != folder else "`hwnas report`, in the folder of its run,"
        said = f"the report beside the models shows what was verified before: {where} writes it again"
        err.print(escape(said), soft_wrap=True, highlight=False)
    leave(found.verdict, accept_noise=accept_noise)


def _verify_file(
    path: Path,
    device: str,
    budget_ms: float,
    options: ProfileOptions,
    accept_noise: bool,
    as_json: bool,
    *,
    dry_run: bool,
) -> None:
    """Measure one file against a budget."""
    from hwnas.benchmark import Asked, benchmark
    from hwnas.benchmark import foreseen as of_files

    described = devices.load(device)
    with _usage.usage():
        asked = Asked(files=[path], devices=[described], budget_ms=budget_ms)
    if dry_run:
        sessions, left_out = of_files(asked, options)
        show_foreseen_models(sessions, [item.reason for item in left_out], as_json=as_json)
        return
    with err.status("reading the file") as status:
        found = benchmark(asked, options, lambda text: status.update(escape(text)))
    tell(found, as_json=as_json)
    leave_benchmark(found, accept_noise=accept_noise)
