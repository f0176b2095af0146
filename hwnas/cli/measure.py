"""``hwnas measure``: any model files on any devices."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from hwnas import device as devices
from hwnas.cli import _usage
from hwnas.cli._app import AcceptNoise, Json, app, err, finite, out
from hwnas.cli._benchmark import leave_benchmark, tell
from hwnas.cli._foreseen import DryRun, show_foreseen_models
from hwnas.cli.profile import parse_cpus
from hwnas.errors import HwnasError
from hwnas.measure import ProfileOptions
from hwnas.runs import outputs

_DEFAULT = ProfileOptions()


def _each_device(names: list[str] | None) -> list[str]:
    """A callback: devices that are described; this machine where none is named."""
    for name in names or ():
        _usage.device(name)
    return names or ["host"]


@app.command()
def measure(
    context: typer.Context,
    files: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE",
            help="Model files, .tflite, .onnx and .pte; or names of known networks as mobilenetv2-0.5, or "
            "folders of runs and imported networks, which are made in every format with random weights.",
        ),
    ],
    device: Annotated[
        list[str] | None,
        typer.Option(help="Device to measure on; may be repeated; host.", callback=_each_device),
    ] = None,
    serial: Annotated[
        str | None,
        typer.Option(help="Which phone or board, of one device: serial number, HOST:PORT or USER@HOST."),
    ] = None,
    runtime: Annotated[str | None, typer.Option(help="Runtimes, joined by commas; the device's.")] = None,
    threads: Annotated[
        str | None, typer.Option(help="Threads of the runtime, joined by commas; the device's.")
    ] = None,
    precision: Annotated[
        str | None,
        typer.Option(
            help="What to compute in where a runtime can, joined by commas, as fp16 of an fp32 file on a "
            "GPU; a file's own, fp32 and int8 of known networks."
        ),
    ] = None,
    shape: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=1x3x224x224", help="Shape of an input that a file leaves open; may be repeated."
        ),
    ] = None,
    inputs: Annotated[
        Path | None, typer.Option(help="File .npz with an array for each input; random values.")
    ] = None,
    compare: Annotated[bool, typer.Option("--compare", help="Say which differences are real.")] = False,
    per_op: Annotated[
        bool, typer.Option("--per-op", help="Also time each operation, where the runtime can.")
    ] = False,
    budget_ms: Annotated[
        float | None, typer.Option(help="The most that each may take.", callback=finite)
    ] = None,
    repeat_over: Annotated[
        str | None,
        typer.Option(help="Also run each without a pause for so long (90s, 10min): does it stay as fast?"),
    ] = None,
    rounds: Annotated[int, typer.Option(help="Rounds that each file gets.")] = _DEFAULT.rounds,
    max_rounds: Annotated[
        int, typer.Option(help="Rounds that a file with a wide interval gets.")
    ] = _DEFAULT.max_rounds,
    cpus: Annotated[str | None, typer.Option(help='CPUs to run on, for example "4-7" or "0,2".')] = None,
    html: Annotated[Path | None, typer.Option(help="File to write a page about it to.")] = None,
    dry_run: DryRun = False,
    accept_noise: AcceptNoise = False,
    as_json: Json = False,
) -> None:
    """Measure model files that anybody made: latency with its interval, memory, where it ran.

    All files that a runtime reads are measured interleaved, beside anchors that tell the device's own
    changes. With --budget-ms, exits with 1 where a file takes longer (FAIL) and with 3 where nothing can be
    said (NOT PROVEN). A file that cannot be measured is an error (1), and the others are measured.
    """
    from hwnas.benchmark import Asked, benchmark, foreseen, is_name, seconds_of, shape_of

    if "" in files:
        raise typer.BadParameter("a file must have a name, but one is empty: is a variable unset?")
    if len(device or ()) > 1:
        _usage.no_effect(context, "serial", needs="with one --device")
    where = [devices.load(name).with_options(serial=serial) for name in device or ()]
    named = [text for text in files if is_name(text)]
    with _usage.usage():
        options = ProfileOptions(rounds=rounds, max_rounds=max_rounds, cpus=parse_cpus(cpus))
        _usage.max_rounds(context)
        shapes = [shape_of(text) for text in shape or ()]
        asked = Asked(
            files=[Path(text) for text in files if text not in named],
            networks=named,
            precisions=_words("--precision", precision),
            repeat_s=None if repeat_over is None else seconds_of(repeat_over),
            devices=where,
            runtimes=_words("--runtime", runtime),
            threads=_counts(threads),
            shapes=dict(shapes),
            inputs=inputs,
            compare=compare,
            per_op=per_op,
            budget_ms=budget_ms,
        )
        if len(asked.shapes) < len(shapes):
            raise HwnasError(f"an input must have one --shape, but got {' '.join(shape or ())}")
    if dry_run:
        _usage.no_effect(context, "html", "accept_noise", needs="without --dry-run")
        sessions, left_out = foreseen(asked, options)
        show_foreseen_models(sessions, [item.reason for item in left_out], as_json=as_json)
        return
    if html is not None:
        outputs.require_page(html, "a page")
    with err.status("reading the files") as status:
        found = benchmark(asked, options, lambda text: status.update(escape(text)))
    if html is not None:
        from hwnas import report

        report.write_benchmark(found, html)
    tell(found, as_json=as_json)
    if html is not None and not as_json:
        out.print(f"written to {escape(str(html))}", highlight=False, soft_wrap=True)
    leave_benchmark(found, accept_noise=accept_noise)


def _words(what: str, text: str | None) -> tuple[str, ...]:
    found = tuple(word.strip() for word in (text or "").split(",") if word.strip())
    if text is not None and not found:
        raise HwnasError(f"{what} must name something, but got {text!r}: leave it out")
    return found


def _counts(text: str | None) -> tuple[int, ...]:
    words = _words("--threads", text)
    if not all(word.isdecimal() for word in words):
        raise HwnasError(f"threads must be whole numbers joined by commas, but got {text!r}")
    return tuple(map(int, words))
