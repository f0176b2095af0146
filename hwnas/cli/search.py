"""``hwnas search``: the best architecture under latency budgets."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import fields, replace
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from hwnas import device as devices
from hwnas.cli import _usage
from hwnas.cli._app import AcceptNoise, Json, app, emit_json, err, leave, out, print_quality
from hwnas.cli._usage import ClassWeights
from hwnas.device import PRECISIONS
from hwnas.statistics import use
from hwnas.statistics.verdict import Verdict

if TYPE_CHECKING:
    from hwnas.finalists import Ask
    from hwnas.search.run import SearchRequest


class Evaluate(Enum):
    """What estimates how good an architecture is."""

    SUPERNET = "supernet"
    SCRATCH = "scratch"


_OF_SUPERNETS = ("supernet", "warmup_steps", "steps", "loss", "proxy_width", "proxy_resolution")
_OF_SCRATCH = ("evaluate_epochs", "workers")


@app.command()
def search(
    context: typer.Context,
    to: Annotated[Path, typer.Option("--out", help="Folder of the run; created.")],
    device: Annotated[
        list[str] | None,
        typer.Option(
            help="NAME=BUDGET or NAME/RUNTIME-PRECISION=BUDGET, budgets in ms or as 60% of the range from "
            "the fastest to the slowest network: as your own table's model predicts it, or, with a table "
            "from elsewhere, as measured now. May be repeated: all are kept."
        ),
    ] = None,
    runtime: Annotated[
        str | None, typer.Option(help="Runtimes of the devices, joined by commas; each one's first.")
    ] = None,
    precision: Annotated[str, typer.Option(help="Precisions of the devices, joined by commas.")] = "int8",
    tables: Annotated[Path | None, typer.Option(help="Folder of latency tables, if not your own.")] = None,
    measure: Annotated[
        bool | None,
        typer.Option(help="Measure finalists on the devices; by default with --device, not with --latency."),
    ] = None,
    rank: Annotated[
        str | None,
        typer.Option(
            help="Rank finalists by fp32 or int8 accuracy; int8 for int8 targets.",
            callback=_usage.one_of("a rank", PRECISIONS),
        ),
    ] = None,
    gallery: Annotated[
        int, typer.Option(min=0, help="Budgets over the range that `hwnas pick` can choose between.")
    ] = 10,
    latency: Annotated[
        list[Path] | None, typer.Option(help="Instead of --device: a file of `hwnas fit`; one a target.")
    ] = None,
    budget_ms: Annotated[
        list[str] | None,
        typer.Option(
            help="With --latency: milliseconds, or as 60% of the range from the fastest to the slowest "
            "network as that model predicts it; one for all or one a target.",
            callback=_usage.checked(_usage.budget),
        ),
    ] = None,
    space: Annotated[
        str,
        typer.Option(help="Search space, short or full name.", callback=_usage.checked(_usage.space)),
    ] = "macro",
    data: Annotated[
        str, typer.Option(help="digits, clutter, a folder of images or parquet files, or an npz file.")
    ] = "digits",
    strategy: Annotated[
        str,
        typer.Option(
            help="How to search, for example fbnet or random.", callback=_usage.checked(_usage.strategy)
        ),
    ] = "fbnet",
    seed: Annotated[int, typer.Option(min=0, help="Where all randomness comes from.")] = 0,
    supernet: Annotated[
        Path | None, typer.Option(help="Weights of an earlier search, instead of training anew.")
    ] = None,
    warmup_steps: Annotated[int, typer.Option(min=0, help="Supernet updates before the gates move.")] = 400,
    steps: Annotated[int, typer.Option(min=1, help="Search steps of a one-shot strategy.")] = 200,
    queries: Annotated[int, typer.Option(min=1, help="Architectures that a sampling strategy scores.")] = 32,
    evaluate: Annotated[
        Evaluate,
        typer.Option(help="Score by a supernet, or by training each architecture from scratch."),
    ] = Evaluate.SUPERNET,
    evaluate_epochs: Annotated[
        int, typer.Option(min=1, help="With --evaluate scratch: passes over the training images for each.")
    ] = 2,
    workers: Annotated[
        int, typer.Option(min=1, help="With --evaluate scratch: processes that train at the same time.")
    ] = 1,
    loss: Annotated[str, typer.Option(help="How latency enters the loss of a one-shot strategy.")] = "hold",
    class_weights: Annotated[
        ClassWeights,
        typer.Option(
            help="balanced: every class counts the same in every training, and balanced accuracy is what "
            "networks are ranked by."
        ),
    ] = ClassWeights.NONE,
    batch_size: Annotated[
        int | None, typer.Option(min=2, help="Images a step; by default 64, or all where there are fewer.")
    ] = None,
    proxy_width: Annotated[float, typer.Option(help="Channels of the supernet over the network's.")] = 0.5,
    proxy_resolution: Annotated[
        int | None, typer.Option(help="Side of the supernet's images; by default half the network's.")
    ] = None,
    confidence: Annotated[
        float,
        typer.Option(
            help="Wanted chance that the budget is kept.", callback=_usage.share("a confidence", least=0.5)
        ),
    ] = 0.9,
    objective: Annotated[
        list[str] | None,
        typer.Option(
            help="Also to be small: macs, params or bytes; may be repeated.",
            callback=_usage.checked(_usage.objective),
        ),
    ] = None,
    limit: Annotated[
        list[str] | None, typer.Option(help="Not to be exceeded either, as bytes=4e6; may be repeated.")
    ] = None,
    train_on: Annotated[
        str,
        typer.Option(
            help="Where training happens: cpu, cuda or auto.",
            callback=_usage.one_of("where training happens", _usage.TRAINERS),
        ),
    ] = "auto",
    accept_noise: AcceptNoise = False,
    as_json: Json = False,
) -> None:
    """Search the best architecture that keeps every budget, and measure that it does.

    Started again, it goes on. Exits with 3 where noise does not let it be proven: the best candidate
    is kept as such, and a search that is started again measures more.
    """
    from hwnas import finalists
    from hwnas.train.optim import pick_device

    asks = _asks(device, runtime, precision, latency, budget_ms)
    measured = bool(asks) if measure is None else measure
    _refuse_idle(context, strategy, evaluate, is_measured=measured)
    options = {
        "warmup_steps": warmup_steps,
        "steps": steps,
        "loss": loss,
        "queries": queries,
        "training_steps": warmup_steps + steps,
    }
    trainer = pick_device(train_on).type
    with _usage.usage():
        request = _request(
            options,
            space=space,
            latencies=tuple(latency or ()),
            budgets=tuple(budget_ms or ()),
            data=data,
            strategy=strategy,
            seed=seed,
            supernet=supernet,
            confidence=confidence,
            oneshot={
                "width": proxy_width,
                "resolution": proxy_resolution,
                "batch_size": batch_size,
                "class_weights": class_weights.value,
                "device": trainer,
            },
            scratch_epochs=evaluate_epochs if evaluate is Evaluate.SCRATCH else None,
            workers=workers,
            objectives=tuple(dict.fromkeys(objective or ())),
            limits=dict(map(_limit, limit or ())),
        )
    wishes = finalists.Wishes(
        measure=measured,
        rank=rank,
        tables=tables,
        gallery_points=gallery,
    )
    if evaluate is Evaluate.SCRATCH:  # every score is a training: fewer of them
        wishes = replace(wishes, gallery_each=1, promise=finalists.PromiseOptions(scored=4))
    said: list[str] = []

    def warn(text: str) -> None:
        said.append(text)
        _warn(text)

    with err.status("reading the images") as status:
        record = finalists.search_for(
            asks,
            request,
            to,
            wishes,
            live=lambda step: status.update(_line(step)),
            tell=status.update,
            warn=warn,
        )
    if not record:
        return  # of the processes of torchrun, one tells
    if as_json:
        emit_json(record)
    else:
        _show(record, to, said)
    word, reasons = record["promise"]["verdict"], tuple(record["promise"]["reasons"])
    leave(None if word is None else Verdict(word, reasons), accept_noise=accept_noise)


def _asks(
    device: list[str] | None,
    runtime: str | None,
    precision: str,
    latency: list[Path] | None,
    budget_ms: list[str] | None,
) -> tuple[Ask, ...]:
    """The devices that were asked for; none where there are latency files instead."""
    from hwnas import finalists

    if bool(device) == bool(latency) or bool(latency) != bool(budget_ms):
        raise typer.BadParameter(
            "a search must be given either --device NAME=BUDGET, or --latency FILE with --budget-ms"
        )
    count = len(budget_ms or ())
    if latency and count not in (1, len(latency)):
        raise typer.BadParameter(f"budgets must be one for all or one a --latency, but got {count}")
    if not device:
        return ()
    devices.load_all()  # a damaged description is no wrong usage
    with _usage.usage():
        asks = finalists.parse(device, runtime.split(",") if runtime else (), precision.split(","))
        for ask in asks:
            _usage.budget(ask.budget)
    return asks


def _refuse_idle(context: typer.Context, strategy: str, evaluate: Evaluate, *, is_measured: bool) -> None:
    """Options must do something: not those of another way to score, to search or to measure."""
    from hwnas.search import strategy as strategy_of

    asked: list[str] = context.params["device"] or []
    own = {field.name for field in fields(strategy_of(strategy))}
    if evaluate is Evaluate.SCRATCH:
        _usage.no_effect(
            context, *_OF_SUPERNETS, needs="where a supernet scores, not with --evaluate scratch"
        )
    else:
        _usage.no_effect(context, *_OF_SCRATCH, needs="with --evaluate scratch, not where a supernet scores")
    for name in ("loss", "queries"):
        if name not in own:
            _usage.no_effect(context, name, needs=f"with a strategy that has it, not with {strategy}")
    if context.params["supernet"] is not None:
        settings = ("proxy_width", "proxy_resolution", "batch_size", "class_weights")
        _usage.no_effect(context, *settings, needs="without --supernet, whose own settings are used")
        if not own & {"steps", "training_steps"}:  # it only scores with that supernet
            _usage.no_effect(context, "warmup_steps", "steps", needs="where a supernet is trained")
    if all("/" in text.partition("=")[0] for text in asked):
        needs = "with a --device that does not name its own as NAME/RUNTIME-PRECISION"
        _usage.no_effect(context, "runtime", "precision", needs=needs)
    if not is_measured:
        _usage.no_effect(context, "accept_noise", needs="where finalists are measured")
        if not asked:
            _usage.no_effect(context, "tables", needs="with --device or --measure")


def _request(
    options: Mapping[str, Any], *, oneshot: dict[str, Any], scratch_epochs: int | None, **given: Any
) -> SearchRequest:
    """What is to be searched; a strategy gets the options that it knows."""
    from hwnas import spaces
    from hwnas.evaluators.supernet.config import OneShotConfig
    from hwnas.search import strategy as strategy_of
    from hwnas.search.run import SearchRequest
    from hwnas.train import TrainConfig

    kind = strategy_of(given["strategy"])
    known = {field.name for field in fields(kind)}
    settings = {name: value for name, value in options.items() if name in known}
    kind(**settings)  # checks them
    for name in given["objectives"] + tuple(given["limits"]):
        _usage.objective(name)
    resolution = oneshot["resolution"]
    if resolution is None:
        resolution = max(8, spaces.load(given["space"]).input_shape[1] // 2)
    config = OneShotConfig(**{**oneshot, "resolution": resolution}, seed=given["seed"])
    scratch = None
    if scratch_epochs is not None:
        shared = {name: oneshot[name] for name in ("batch_size", "class_weights", "device")}
        scratch = TrainConfig(scratch_epochs, seed=given["seed"], **shared)
    return SearchRequest(
        **given,
        oneshot=config,
        scratch=scratch,
        settings=settings,
        training_steps=options["training_steps"],
    )


def _limit(text: str) -> tuple[str, float]:
    """The name and the number of ``name=number``."""
    name, _, number = text.partition("=")
    try:
        value = float(number)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise typer.BadParameter(
            f"a limit must be a name and a number over 0 as bytes=4e6, but got {text!r}", param_hint="--limit"
        )
    return name, value


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


def _warn(text: str) -> None:
    err.print(f"[yellow]warning:[/] {escape(text)}", soft_wrap=True, highlight=False)


def _show(record: Mapping[str, Any], to: Path, said: Collection[str]) -> None:
    promise = record["promise"]
    out.print(
        f"[bold]{record['strategy']}[/] chose {'.'.join(map(str, record['best']))} of "
        f"{len(record['trials'])} scored; estimated {record.get('score', 'accuracy')} "
        f"{record['accuracy']:.2%}",
        highlight=False,
    )
    for target in promise["targets"]:
        out.print(target["sentence"], soft_wrap=True, highlight=False)
        if target["measured_ms"] is not None and target["note"]:
            _warn(f"{target['name']}: {target['note']}")
        print_quality(target.get("quality") or {}, target["name"])
    if len(promise["targets"]) > 1:
        out.print(use.said(_shares(promise["targets"])), soft_wrap=True, highlight=False)
    for text in (*promise["warnings"], *([] if promise["kept"] else promise["reasons"])):
        _warn(text)
    if promise["networks_measured"]:
        out.print(
            f"{promise['networks_measured']} networks measured, {promise['repairs']} of them repairs, "
            f"in {promise['seconds']:.0f} s; ranked by {promise['rank']} accuracy",
            highlight=False,
        )
    sizes = record["sizes"]
    out.print(
        f"{sizes['macs'] / 1e6:.2f} M MACs, {sizes['params'] / 1e6:.3f} M parameters, "
        f"{sizes['bytes'] / 1e6:.3f} MB of weights; {_front(record)}",
        highlight=False,
    )
    for alarm in record["extra"].get("alarms", []):
        if alarm not in said:  # before the search began
            _warn(alarm)
    seconds = ", ".join(f"{name} {value:.0f} s" for name, value in record["seconds"].items())
    out.print(f"{seconds}; written to {to}", highlight=False)


def _shares(targets: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Latency over budget of each target, as measured or else as predicted."""
    return {
        item["name"]: (item["measured_ms"] or item["predicted_ms"]) / item["asked_ms"] for item in targets
    }


def _front(record: Mapping[str, Any]) -> str:
    """How many networks no other beats, and in what."""
    wanted = ["accuracy", *(item["name"] for item in record["constraints"]), *record["objectives"]]
    count = len(record["pareto"])
    verb = "is" if count == 1 else "are"
    return f"{count} of the scored networks {verb} not beaten in {', '.join(wanted)}"
