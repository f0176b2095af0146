"""``hwnas search``: the best architecture under latency budgets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from hwnas import device as devices
from hwnas import spaces
from hwnas.cli import _found, _known, _runlog, _sizes, _usage
from hwnas.cli._app import AcceptNoise, Json, app, emit_json, err, leave
from hwnas.cli._foreseen import DryRun, show_foreseen_models
from hwnas.cli._options import KNOWN, Settings, Weights, from_network, settings
from hwnas.cli._tracking import Track
from hwnas.evaluators.zero_cost.config import CALLED
from hwnas.runs.folder import RunFolder
from hwnas.search.auto import AUTO, chosen
from hwnas.settings import options
from hwnas.tracking.following import SEARCH, followed, usable

if TYPE_CHECKING:
    from hwnas.budget import Budget
    from hwnas.data import Dataset
    from hwnas.runs.found import SearchRecord
    from hwnas.settings.config import Config

_OF_SUPERNETS = ("supernet", "warmup_steps", "steps", "loss", "proxy_width", "proxy_resolution")


@app.command()
@settings(*options.SEARCH, *options.OF_STRATEGIES)
def search(
    context: typer.Context,
    to: Annotated[Path, typer.Option("--out", help="Folder of the run; created.")],
    settings: Settings,
    device: Annotated[
        list[str] | None,
        typer.Option(
            help="NAME=BUDGET or NAME/RUNTIME-PRECISION=BUDGET, budgets in ms or as 60% of the range from "
            "the fastest to the slowest network: as your own table's model predicts it, or, with a table "
            "from elsewhere, as measured now. May be repeated: all are kept. NAME/auto-PRECISION=BUDGET, or "
            "NAME=auto:BUDGET, is for the fastest of its runtimes (with --runtime, of those), found by "
            "measuring; NAME=auto for that alone, with any network of the space."
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
    supernet: Annotated[
        Path | None, typer.Option(help="Weights of an earlier search, instead of training anew.")
    ] = None,
    more: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            help="Any other setting of a file of hwnas run, as search.settings.temperature=3, "
            "search.supernet.momentum=0.8 or promise.finalists=6; may be repeated.",
        ),
    ] = None,
    known: Annotated[
        str | None,
        from_network(
            "Cut and reshape a known network that others trained, such as efficientnet-lite0, or that "
            "of a run folder: it is adapted to the images, and candidates for each block learn from its own."
        ),
    ] = None,
    weights: Weights = None,
    resolution: Annotated[
        str | None,
        typer.Option(
            rich_help_panel=KNOWN,
            callback=_usage.checked(_sizes.resolutions),
            help="Pixels that it shall see; several, as 96,72, are searched one after the other within the "
            "same milliseconds, and the better network is taken.",
        ),
    ] = None,
    width: Annotated[
        str | None,
        typer.Option(
            rich_help_panel=KNOWN,
            callback=_usage.checked(_sizes.widths),
            help="Its channels as a multiple of the published ones, cut out of its weights; several, as "
            "1,0.75, are searched on every --resolution.",
        ),
    ] = None,
    strides: Annotated[
        str | None,
        typer.Option(
            rich_help_panel=KNOWN,
            callback=_usage.checked(_sizes.strides),
            help="With a decoder, where it stops halving its features: imagenet (at a 32nd of the image), "
            "os16 or os8; several, as imagenet,os16, are searched as several widths are.",
        ),
    ] = None,
    compound: Annotated[
        str | None,
        typer.Option(
            rich_help_panel=KNOWN,
            callback=_usage.checked(_sizes.compound),
            help="Instead of --width: powers of EfficientNet's compound scaling, 0 or below. At each, as "
            "0,-1,-2, width and --resolution shrink together; they are searched as several widths are.",
        ),
    ] = None,
    track: Track = None,
    dry_run: DryRun = False,
    accept_noise: AcceptNoise = False,
    as_json: Json = False,
) -> None:
    """Search the best architecture that keeps every budget, and measure that it does.

    Started again, it goes on. Exits with 3 where noise does not let it be proven: the best candidate
    is kept as such, and a search that is started again measures more.
    """
    from hwnas import finalists
    from hwnas.search.session import SearchStep
    from hwnas.settings import requests

    budgets = _budgets(device, runtime, precision, latency, budget_ms)
    measured = bool(budgets) if measure is None else measure
    if settings["strategy"] == AUTO:
        settings = _automatic(settings, is_around=known is not None)
    with _usage.usage():
        _usage.strategy(settings["strategy"])
    around = None
    if known is not None:
        has_images = bool(_usage.given(context, "data"))
        sizes = _sizes.resolutions(resolution), _sizes.widths(width), _sizes.strides(strides)
        around = _known.Known(known, weights, has_images, *sizes, _sizes.compound(compound))
        _known.require(context, around)
        with _usage.usage():
            _sizes.require_widths(around)
            _sizes.require_strides(around, settings["task"])
        settings = {**settings, "evaluate": "blockwise"}
    else:
        of_network = ("weights", "resolution", "width", "strides", "compound")
        _usage.no_effect(context, *of_network, needs="with --from")
    _refuse_idle(context, settings, is_measured=measured)
    if around is not None:
        with _usage.usage():
            whole = _config(settings, budget_ms or (), more or ())  # refused before the network is adapted
    if dry_run:
        _foresee(context, settings, budgets, tables, more or (), is_measured=measured, as_json=as_json)
        return
    _runlog.into(RunFolder(to))
    loggers, said = usable(track or (), to), list[str]()

    def warn(text: str) -> None:
        said.append(text)
        _found.warn(text)

    def search_in(
        settings: Settings, dataset: Dataset | None, run: Path, within: Sequence[Budget], is_new: bool
    ) -> SearchRecord | None:
        with _usage.usage():
            config = _config(settings, budget_ms or (), more or ())
            request = requests.search(
                config,
                space=config.basics.space,
                data=config.basics.data,
                latencies=tuple(latency or ()),
                supernet=supernet,
            )
            wanted = requests.search_options(config, measure=measured, tables=tables)
        with followed(run, loggers, SEARCH) as following:

            def live(step: Mapping[str, Any]) -> None:
                status.update(str(SearchStep(step)))
                following.step(step)

            return finalists.search_for(
                within,
                request,
                run,
                wanted,
                dataset=dataset,
                is_new=is_new,
                live=live,
                tell=status.update,
                warn=warn,
            )

    with err.status("reading the images") as status:
        if around is None:
            record = search_in(settings, None, to, budgets, True)
        else:
            record = _known.searched_around(around, settings, to, budgets, tables, search_in, status, whole)
            if around.has_sizes:  # each search was followed in its own folder; this is the one of the best
                with followed(to, loggers):
                    pass
    if record is None:
        return  # of the processes of torchrun, one tells
    if as_json:
        emit_json(record.to_json())
    else:
        _found.show(record, to, said)
    leave(record.finalists.verdict if record.finalists else None, accept_noise=accept_noise)


def _foresee(
    context: typer.Context,
    settings: Settings,
    budgets: Sequence[Budget],
    tables: Path | None,
    more: Sequence[str],
    *,
    is_measured: bool,
    as_json: bool,
) -> None:
    """What would be measured of the finalists; the search itself measures nothing."""
    from hwnas.device import AutoTarget
    from hwnas.finalists.foresight import foreseen
    from hwnas.settings import requests

    _usage.no_effect(context, "known", needs="without --dry-run, as its space follows from what is trained")
    _usage.no_effect(context, "track", "accept_noise", needs="without --dry-run")
    with _usage.usage():
        config = _config(settings, (), more)
        wanted = requests.search_options(config, measure=is_measured, tables=tables)
    found, notes = [], ["how long the search itself takes is not known before it is begun"]
    if is_measured:
        space = spaces.load(config.basics.space)
        found = foreseen(budgets, space, tables, wanted.finalists, wanted.measuring)
        notes += [
            f"{item.name}: its runtimes are measured first, and one is chosen"
            for item in budgets
            if isinstance(item.target, AutoTarget)
        ]
        notes.append("rounds are of one session of each; what ships is measured in further ones")
    show_foreseen_models(found, notes, as_json=as_json)


def _budgets(
    device: list[str] | None,
    runtime: str | None,
    precision: str,
    latency: list[Path] | None,
    budget_ms: list[str] | None,
) -> tuple[Budget, ...]:
    """Those on devices; none where there are latency files instead."""
    from hwnas import budget

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
        return budget.parse(device, runtime.split(",") if runtime else (), precision.split(","))


def _automatic(settings: Settings, *, is_around: bool) -> Settings:
    """With the strategy that suits space and evaluator in the place of ``auto``, which is told."""
    found = chosen(
        "blockwise" if is_around else settings["evaluate"], is_tied=spaces.is_tied(settings["space"])
    )
    text = f"strategy {found.strategy}, scored by --evaluate {found.evaluate}: {found.evidence}"
    err.tell(escape(text))
    return {**settings, "strategy": found.strategy, "evaluate": found.evaluate}


def _refuse_idle(context: typer.Context, settings: Settings, *, is_measured: bool) -> None:
    """Options must do something: not those of another way to score, to search or to measure."""
    from hwnas.search import strategy as strategy_of

    asked: list[str] = context.params["device"] or []
    strategy = settings["strategy"]
    own = {field.name for field in fields(strategy_of(strategy))}
    by = settings["evaluate"]
    if by == "scratch" or by in CALLED:
        needs = f"where a supernet scores, not with --evaluate {by}"
        _usage.no_effect(context, *_OF_SUPERNETS, needs=needs)
    if by != "scratch":
        needs = "with --evaluate scratch, not where a supernet scores"
        if by in CALLED:
            needs = f"where networks are trained from scratch, not with --evaluate {by}"
            _usage.no_effect(context, "batch_size", "class_weights", needs="where networks are trained")
        _usage.no_effect(context, "evaluate_epochs", needs=needs)
    if by not in CALLED and settings["alike"] is None:
        needs = f"where no network is trained: with --evaluate {', '.join(CALLED)}; or with --alike"
        _usage.no_effect(context, "evaluate_images", needs=needs)
    if spaces.is_begun(settings["space"]):
        needs = "in a space none of whose blocks begin with the weights of a known network"
        _usage.no_effect(context, "proxy_width", needs=needs)
    for name in ("loss", "queries"):
        if name not in own:
            _usage.no_effect(context, name, needs=f"with a strategy that has it, not with {strategy}")
    if context.params["supernet"] is not None:
        idle = ("proxy_width", "proxy_resolution", "batch_size", "class_weights", "pool")
        _usage.no_effect(context, *idle, needs="without --supernet, whose own settings are used")
        _refuse_set(context.params["more"] or ())
        if not own & {"steps", "training_steps"}:  # it only scores with that supernet
            _usage.no_effect(context, "warmup_steps", "steps", needs="where a supernet is trained")
    if all("/" in text.partition("=")[0] for text in asked):
        needs = "with a --device that does not name its own as NAME/RUNTIME-PRECISION"
        _usage.no_effect(context, "runtime", "precision", needs=needs)
    if not is_measured:
        _usage.no_effect(context, "accept_noise", needs="where finalists are measured")
        if not asked:
            _usage.no_effect(context, "tables", needs="with --device or --measure")


def _refuse_set(more: Sequence[str]) -> None:
    """Refuse settings of a supernet that comes with its own; only where it computes is another matter."""
    for text in more:
        with _usage.usage():
            section, key, _ = options.set_read(text)
        if section == "search.supernet" and key != "device":
            raise typer.BadParameter(
                f"--set {text} must only be given without --supernet, whose own settings are used"
            )


def _config(settings: Settings, budgets: Sequence[str], more: Sequence[str]) -> Config:
    """All settings of a search: those of options, those of ``--set``, and the usual ones."""
    from hwnas.search import strategy as strategy_of
    from hwnas.search.settings import OneShotSettings
    from hwnas.settings.reading import make

    values: dict[str, dict[str, Any]] = {name: {} for name in ("", *options.SETTABLE)}
    for option in options.SEARCH:
        value = settings[option.name]
        if value is not None:
            values[option.section][option.key] = list(value) if isinstance(value, tuple) else value
    if budgets:
        values["search"]["budgets"] = list(budgets)
    own = {field.name for field in fields(strategy_of(settings["strategy"]))}
    given = {o.name: value for o in options.OF_STRATEGIES if (value := settings[o.name]) is not None}
    if given.keys() & {"warmup_steps", "steps"}:  # who only scores with a supernet trains it for their sum
        warmup_steps, steps = (given.get(n, getattr(OneShotSettings, n)) for n in ("warmup_steps", "steps"))
        training = _usage.at_least("warmup_steps", warmup_steps, 0) + _usage.at_least("steps", steps, 1)
        given["training_steps"] = values["search"]["training_steps"] = training
    values["search.settings"] = {name: value for name, value in given.items() if name in own}
    for text in more:
        section, key, value = options.set_read(text)
        values[section][key] = value
    nested = {**values[""], "search": values["search"], "promise": values["promise"]}
    for inner in options.SETTABLE:
        outer, _, name = inner.partition(".")
        if name:
            nested[outer][name] = values[inner]
    return make(Path.cwd(), nested, _flag)


def _flag(section: str, key: str | None) -> str:
    """The option that sets a key, for the end of a message."""
    for option in (*options.SEARCH, *options.OF_STRATEGIES):
        if (option.section, option.key) == (section, key):
            return f" ({option.flag})"
    return "" if key is None else f" (--set {section}.{key})"
