"""``hwnas train``: the found architecture becomes a trained network."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from hwnas.cli import _usage
from hwnas.cli._app import Json, app, emit_json, err, out
from hwnas.cli._options import Settings, settings
from hwnas.runs.folder import RunFolder
from hwnas.settings.options import of_section

if TYPE_CHECKING:
    from hwnas.train import EpochRecord

_WORST = 8  # classes that are named
_PANELS = {
    **dict.fromkeys(("augment", "crop", "flip", "erasing", "mixup", "cutmix"), "What images go through"),
    **dict.fromkeys(("teacher", "distill_weight", "temperature"), "Learning from a trained network"),
}


@app.command()
@settings(*of_section("train"), panels=_PANELS)
def train(
    context: typer.Context,
    run: Annotated[Path, typer.Argument(help="Folder that `hwnas search` wrote.")],
    settings: Settings,
    data: Annotated[str | None, typer.Option(help="Other data than those of the search.")] = None,
    as_json: Json = False,
) -> None:
    """Train the architecture of a run; started again, it goes on where it stopped.

    The same seed gives the same weights on a CPU, also after an interruption. Everything that is
    set here is kept in train.json.
    """
    from hwnas.release import stale
    from hwnas.search.oneshot.inherit import inherited
    from hwnas.settings import requests
    from hwnas.settings.kinds import Origin
    from hwnas.train.run import train_run

    def show(record: EpochRecord) -> None:
        err.print(
            f"epoch {record.epoch}/{record.epochs}  loss {record.loss:.3f}  "
            f"validation {record.metric.text(record.val_value, 2)}  {record.seconds:.1f} s",
            highlight=False,
        )

    if settings["teacher"] is None:
        _usage.no_effect(context, "distill_weight", "temperature", needs="with --teacher")
    if not settings["augment"]:
        _usage.no_effect(context, "crop", "flip", "erasing", needs="without --no-augment")
    with _usage.usage():
        origin = Origin(settings["init"], settings["teacher"])
        config = requests.training(settings)
    teacher = Path(origin.teacher) if origin.teacher else None
    start = partial(inherited, run) if origin.init == "supernet" else None
    record = train_run(run, config, source=data, teacher=teacher, start=start, on_epoch=show)
    for text in stale(run):
        err.print(f"[yellow]{escape(text)}[/]", soft_wrap=True, highlight=False)
    if as_json:
        emit_json(record)
    else:
        _show(record, run)


def _show(record: Mapping[str, Any], run: Path) -> None:
    """What was learned, with intervals; by class where classes are unevenly frequent; what to do better."""
    test, val, kept = record["test"], record["val"], record["kept"]
    out.print(
        f"test accuracy [bold]{_share(test, 'accuracy', 'interval')}[/], "
        f"validation {_share(val, 'accuracy', 'interval')}; {record['seconds']:.0f} s",
        highlight=False,
    )
    if test["is_uneven"]:
        out.print(
            f"balanced accuracy [bold]{_share(test, 'balanced_accuracy', 'balanced_interval')}[/]: classes "
            "are unevenly frequent",
            highlight=False,
        )
        known = [(recall, name) for recall, name in zip(test["recalls"], _classes(run), strict=True)]
        worst = sorted((item for item in known if item[0] is not None), key=lambda item: item[0])[:_WORST]
        listed = ", ".join(f"{escape(name)} {recall:.0%}" for recall, name in worst)
        out.print(f"right by class, the worst first: {listed}", highlight=False)
    what = "its batch-norm statistics estimated anew" if kept["recalibrated"] else "as it was"
    epochs = record["config"]["epochs"]
    out.print(f"epoch {kept['epoch']} of {epochs} was kept, {what}; weights in {RunFolder(run).weights}")
    if record["learning"]["reasons"]:
        err.print(f"[yellow]{escape('; '.join(record['learning']['reasons']))}[/]", highlight=False)
    if record["rising"] is not None:
        err.print(
            f"[yellow]validation accuracy was still rising, by {record['rising'] * 100:.1f} points over the "
            f"last quarter of the epochs: train longer, for example with --epochs {2 * epochs}[/]",
            highlight=False,
        )


def _share(found: Mapping[str, Any], name: str, interval: str) -> str:
    low, high = found[interval]
    return f"{found[name]:.2%} (95 %: {low:.1%} to {high:.1%} on {found['images']:,} images)"


def _classes(run: Path) -> list[str]:
    from hwnas import files

    return [str(name) for name in files.read_json(RunFolder(run).mistakes, "the mistakes")["class_names"]]
