"""``hwnas doctor``: whether hwnas can work here, and what on a machine harms measuring."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from hwnas import device as devices
from hwnas.cli import _usage
from hwnas.cli._app import Json, app, emit_json, err, out
from hwnas.cli._checks import show_check
from hwnas.errors import HwnasError

if TYPE_CHECKING:
    from hwnas.device import Device, Target
    from hwnas.measure.doctor import Examination
    from hwnas.torch_build import TorchBuild
    from hwnas.transport.doctor import Check


def _known(name: str | None) -> str | None:
    """A callback: a device that is described, where one is named."""
    return None if name is None else _usage.device(name)


@app.command()
def doctor(
    device: Annotated[
        str | None,
        typer.Option(help="Examine this device alone, not what is installed here.", callback=_known),
    ] = None,
    runtime: Annotated[str | None, typer.Option(help="Runtime to measure with; the device's first.")] = None,
    as_json: Json = False,
) -> None:
    """Say whether hwnas can work here, and what on this machine or on a device harms measurement.

    Each finding comes with what can be done about it. Exits with 1 where hwnas cannot work as it is.
    """
    from hwnas.transport.doctor import FAILED

    if device is not None:
        described, target = _target(device, runtime)
        _tell(target, *_examined(described, target), as_json=as_json)
        return
    if runtime is not None:
        _target("host", runtime)  # wrong usage, before anything is looked at
    checks = _installation(as_json=as_json)
    try:
        host, target = _target("host", runtime)
        found, build = _examined(host, target)
    except (HwnasError, ImportError, OSError) as error:
        last = _last(error)
        checks.append(last)
        if as_json:
            emit_json({"installation": [asdict(check) for check in checks], "quality": None})
        else:
            show_check(last)
    else:
        _tell(target, found, build, as_json=as_json, installation=[asdict(check) for check in checks])
    if any(check.state == FAILED for check in checks):
        raise typer.Exit(1)


def _target(name: str, runtime: str | None) -> tuple[Device, Target]:
    described = devices.load(name)
    with _usage.usage():
        return described, described.target(runtime or described.runtimes[0], "fp32")


def _installation(*, as_json: bool) -> list[Check]:
    from hwnas.measure.installation import examine_installation

    checks = []
    with err.status("looking at what is installed"):
        for check in examine_installation():
            checks.append(check)
            if not as_json:
                show_check(check)
    return checks


def _last(error: Exception) -> Check:
    """That this machine could not be measured; why it could not is told before where something is broken."""
    from hwnas.transport.doctor import WARNING, Check, split

    return Check("measuring", WARNING, *split(error, "mend what is broken above"))


def _examined(device: Device, target: Target) -> tuple[Examination, TorchBuild]:
    from hwnas.measure.doctor import examine
    from hwnas.torch_build import torch_build

    with err.status(f"measuring what harms on {target}"):
        return examine(device, target), torch_build()


def _tell(target: Target, found: Examination, build: TorchBuild, *, as_json: bool, **more: Any) -> None:
    """Print what harms measuring, and which PyTorch trains here."""
    if as_json:
        emit_json({**more, **asdict(found), "torch": asdict(build)})
        return
    colour = {"stable": "green", "noisy": "yellow", "unusable": "red"}[found.quality.word]
    said = f"(anchor {found.anchor_ms:.3f} ms on {target})"
    out.print(f"[bold {colour}]{found.quality.word}[/]  {said}")
    for reason in found.quality.reasons:
        out.print(f"  {reason}", highlight=False)
    for note in found.quality.notes:
        out.print(f"  {note}", highlight=False)
    for finding in found.findings:
        out.print(f"• {finding.what}\n  → {finding.remedy}", highlight=False)
    if not found.findings:
        out.print("nothing was found that harms measuring")
    if more:
        return
    onednn = f", oneDNN {build.onednn}" if build.onednn else ""
    out.print(f"training: torch {build.version}{onednn}, {build.capability}", highlight=False)
    if build.warning:
        out.print(f"  [yellow]{escape(build.warning)}[/]", soft_wrap=True, highlight=False)
