"""``hwnas doctor``: what on a machine harms measuring, and which PyTorch trains here."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from hwnas import device as devices
from hwnas.cli import _usage
from hwnas.cli._app import Json, app, emit_json, out


@app.command()
def doctor(
    device: Annotated[str, typer.Option(help="Device to examine.", callback=_usage.device)] = "host",
    runtime: Annotated[str | None, typer.Option(help="Runtime to measure with; the device's first.")] = None,
    as_json: Json = False,
) -> None:
    """Say what on a device harms measurement, and what can be done about it."""
    from hwnas.measure.doctor import examine
    from hwnas.torch_build import torch_build

    described = devices.load(device)
    with _usage.usage():
        target = described.target(runtime or described.runtimes[0], "fp32")
    found = examine(described, target)
    build = torch_build()
    if as_json:
        emit_json({**asdict(found), "torch": asdict(build)})
        return
    colour = {"stable": "green", "noisy": "yellow", "unusable": "red"}[found.quality.word]
    out.print(f"[bold {colour}]{found.quality.word}[/]  (anchor {found.anchor_ms:.3f} ms on {target})")
    for reason in found.quality.reasons:
        out.print(f"  {reason}", highlight=False)
    for note in found.quality.notes:
        out.print(f"  {note}", highlight=False)
    for finding in found.findings:
        out.print(f"• {finding.what}\n  → {finding.remedy}", highlight=False)
    if not found.findings:
        out.print("nothing was found that harms measuring")
    onednn = f", oneDNN {build.onednn}" if build.onednn else ""
    out.print(f"training: torch {build.version}{onednn}, {build.capability}", highlight=False)
    if build.warning:
        out.print(f"  [yellow]{build.warning}[/]", soft_wrap=True, highlight=False)
