"""``hwnas spaces``: what can be searched."""

from __future__ import annotations

from typing import Annotated

import typer
from rich import box
from rich.table import Table

from hwnas import known as networks
from hwnas import spaces as library
from hwnas.cli import _usage
from hwnas.cli._app import App, Json, app, emit_json, out, print_table
from hwnas.known import decoders
from hwnas.space import SearchSpace
from hwnas.spaces.canonical import Canonical

spaces = App(no_args_is_help=True, help="Search spaces.")
app.add_typer(spaces, name="spaces")

Resolution = Annotated[int | None, typer.Option(help="Height and width of the input.")]
Classes = Annotated[int | None, typer.Option("--classes", help="Number of classes.")]
Strides = Annotated[
    str | None,
    typer.Option(help='"imagenet" or "cifar", where the space has both; "os16" or "os8" with a decoder.'),
]


@spaces.command("list")
def list_(as_json: Json = False) -> None:
    """List the search spaces with their defaults."""
    known = [library.load(name) for name in library.SPACES]
    if as_json:
        emit_json([_summary(space) for space in known])
        return
    header = ("space", "choices", "architectures", "networks", "MACs (M)", "workloads")
    table = Table(*header, box=box.SIMPLE_HEAD, padding=(0, 1), pad_edge=False)
    for space in known:
        table.add_row(space.name, *_row(space))
    print_table(table)
    out.print(f"Known networks, each a space of its own: {', '.join(networks.FAMILIES)}.")
    out.print(
        f"With a decoder behind, as mobilenetv2+{decoders.SEGMENTATION[0]}, they answer for every pixel: "
        f"{', '.join(decoders.SEGMENTATION)}."
    )


@spaces.command()
def show(
    name: str,
    resolution: Resolution = None,
    classes: Classes = None,
    strides: Strides = None,
    as_json: Json = False,
) -> None:
    """Show the choices of a search space."""
    with _usage.usage():
        space = library.load(name, resolution=resolution, num_classes=classes, strides=strides)
    if as_json:
        emit_json(_summary(space) | {"candidates": [[b.key() for b in c.candidates] for c in space.choices]})
        return
    choices, architectures, distinct, macs, workloads = _row(space)
    out.print(
        f"[bold]{space.name}[/]: {choices} choices, {architectures} architectures, "
        f"{distinct} distinct networks, {macs} M MACs, {workloads} distinct workloads"
    )
    table = Table("choice", "input", "candidates")
    for choice, candidates in zip(space.choices, space.choice_workloads, strict=True):
        reads = [workload.read for workload in candidates]
        shown = reads if len(set(reads)) > 1 else reads[:1]
        table.add_row(choice.name, "\n".join(shown), "\n".join(b.key() for b in choice.candidates))
    print_table(table)


def _row(space: SearchSpace) -> tuple[str, ...]:
    low, high = space.macs_range()
    return (
        str(len(space.decisions)),
        *(
            "fewer" if count is None else f"{count:,}" if count < 10**9 else f"{count:.2e}"
            for count in (space.num_architectures, Canonical(space).num_networks)
        ),
        f"{low / 1e6:.1f} to {high / 1e6:.1f}",
        str(len(space.workloads())),
    )


def _summary(space: SearchSpace) -> dict[str, object]:
    low, high = space.macs_range()
    return {
        "name": space.name,
        "fingerprint": space.fingerprint,
        "choices": len(space.decisions),
        "architectures": space.num_architectures,
        "networks": Canonical(space).num_networks,
        "macs_min": low,
        "macs_max": high,
        "workloads": len(space.workloads()),
    }
