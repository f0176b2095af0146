"""``hwnas search``: the best architecture under latency budgets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any

import typer

from hwnas import files
from hwnas.cli._app import Json, app, emit_json, err, out


@app.command()
def search(
    latency: Annotated[list[Path], typer.Option(help="File that `hwnas fit` wrote; one a target.")],
    budget_ms: Annotated[
        list[str],
        typer.Option(help="Milliseconds, or a share of the range as 60%; one for all or one a target."),
    ],
    to: Annotated[Path, typer.Option("--out", help="Folder of the run; created.")],
    space: Annotated[str, typer.Option(help="Search space, short or full name.")] = "macro",
    data: Annotated[
        str, typer.Option(help="digits, a folder of images or parquet files, or an npz file.")
    ] = "digits",
    strategy: Annotated[str, typer.Option(help="How to search, for example fbnet or random.")] = "fbnet",
    seed: Annotated[int, typer.Option(min=0, help="Where all randomness comes from.")] = 0,
    supernet: Annotated[
        Path | None, typer.Option(help="Weights of an earlier search, instead of training anew.")
    ] = None,
    warmup_steps: Annotated[int, typer.Option(min=0, help="Supernet updates before the gates move.")] = 400,
    steps: Annotated[int, typer.Option(min=1, help="Search steps of a one-shot strategy.")] = 200,
    queries: Annotated[int, typer.Option(min=1, help="Architectures that a sampling strategy scores.")] = 32,
    loss: Annotated[str, typer.Option(help="How latency enters the loss of a one-shot strategy.")] = "hold",
    batch_size: Annotated[int, typer.Option(min=2, help="Images a step.")] = 64,
    proxy_width: Annotated[float, typer.Option(help="Channels of the supernet over the network's.")] = 0.5,
    proxy_resolution: Annotated[
        int | None, typer.Option(help="Side of the supernet's images; by default half the network's.")
    ] = None,
    confidence: Annotated[float, typer.Option(help="Wanted chance that the budget is kept.")] = 0.9,
    objective: Annotated[
        list[str] | None, typer.Option(help="Also to be small: macs, params or bytes; may be repeated.")
    ] = None,
    limit: Annotated[
        list[str] | None, typer.Option(help="Not to be exceeded either, as bytes=4e6; may be repeated.")
    ] = None,
    device: Annotated[str, typer.Option(help="Where the supernet trains: cpu, cuda or auto.")] = "auto",
    as_json: Json = False,
) -> None:
    """Search the best architecture that keeps every budget; started again, it goes on."""
    from hwnas import spaces
    from hwnas.search import strategy as strategy_of
    from hwnas.search.oneshot import OneShotConfig
    from hwnas.search.run import SearchRequest, search_run
    from hwnas.train.optim import pick_device

    options = {
        "warmup_steps": warmup_steps,
        "steps": steps,
        "loss": loss,
        "queries": queries,
        "training_steps": warmup_steps + steps,
    }
    known = {field.name for field in fields(strategy_of(strategy))}
    request = SearchRequest(
        space=space,
        latencies=tuple(latency),
        budgets=tuple(budget_ms),
        data=data,
        strategy=strategy,
        seed=seed,
        oneshot=OneShotConfig(
            width=proxy_width,
            resolution=proxy_resolution or max(8, spaces.load(space).input_shape[1] // 2),
            batch_size=batch_size,
            seed=seed,
            device=pick_device(device).type,
        ),
        settings={name: value for name, value in options.items() if name in known},
        training_steps=warmup_steps + steps,
        supernet=supernet,
        confidence=confidence,
        objectives=tuple(dict.fromkeys(objective or ())),
        limits=dict(map(_limit, limit or ())),
    )
    with err.status("reading the images") as status:
        search_run(request, to, live=lambda record: status.update(_line(record)))
    record = files.read_json(to / "search.json", "the record of the search")
    if as_json:
        emit_json(record)
    else:
        _show(record, to)


def _limit(text: str) -> tuple[str, float]:
    """The name and the number of ``name=number``."""
    name, _, number = text.partition("=")
    try:
        return name, float(number)
    except ValueError as error:
        raise typer.BadParameter(
            f"a limit must be a name and a number as bytes=4e6, but got {text!r}", param_hint="--limit"
        ) from error


def _line(record: Mapping[str, Any]) -> str:
    """One line about a step, for the status."""
    parts = [f"{record.get('phase', 'scoring')} {record.get('step', record.get('query'))}"]
    if total := record.get("steps", record.get("queries")):
        parts[0] += f"/{total}"
    for name, text in (
        ("loss", "loss {:.3f}"),
        ("best_accuracy", "best {:.2%}"),
        ("best_latency_ms", "at {:.3f} ms"),
        ("budget_ms", "budget {:.3f} ms"),
        ("expected_ms", "expected latency {:.3f} ms"),
        ("expected_share", "({:.1%} of the limit)"),
        ("entropy", "entropy {:.2f}"),
    ):
        if name in record:
            value = record[name]
            parts.append(text.format(value[0] if isinstance(value, list) else value))
    if "eta_s" in record:
        parts.append(f"{record['eta_s']:.0f} s left")
    return "  ".join(parts)


def _show(record: Mapping[str, Any], to: Path) -> None:
    out.print(
        f"[bold]{record['strategy']}[/] chose {'.'.join(map(str, record['best']))} of "
        f"{len(record['trials'])} scored; estimated accuracy {record['accuracy']:.2%}",
        highlight=False,
    )
    for item in record["constraints"]:
        out.print(
            f"{item['name']}: predicted {item['predicted_ms']:.3f} ms for a budget of "
            f"{item['budget_ms']:.3f} ms (margin {item['margin_ms']:.3f} ms)",
            highlight=False,
        )
    sizes = record["sizes"]
    out.print(
        f"{sizes['macs'] / 1e6:.2f} M MACs, {sizes['params'] / 1e6:.3f} M parameters, "
        f"{sizes['bytes'] / 1e6:.3f} MB of weights; {_front(record)}",
        highlight=False,
    )
    for alarm in record["extra"].get("alarms", []):
        err.print(f"[yellow]{alarm}[/]")
    seconds = ", ".join(f"{name} {value:.0f} s" for name, value in record["seconds"].items())
    out.print(f"{seconds}; written to {to}", highlight=False)


def _front(record: Mapping[str, Any]) -> str:
    """How many networks no other beats, and in what."""
    wanted = ["accuracy", *(item["name"] for item in record["constraints"]), *record["objectives"]]
    return f"{len(record['pareto'])} of the scored networks are not beaten in {', '.join(wanted)}"
