"""``hwnas train``: the found architecture becomes a trained network."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from hwnas.cli import _usage
from hwnas.cli._app import Json, app, emit_json, err, out
from hwnas.cli._usage import ClassWeights
from hwnas.runs.folder import RunFolder

if TYPE_CHECKING:
    from hwnas.train import EpochRecord

_WORST = 8  # classes that are named
_AUGMENTATION, _TEACHER = "What images go through", "Learning from a trained network"


class Init(Enum):
    """Where the first weights come from."""

    SEED = "seed"
    SUPERNET = "supernet"


Run = Annotated[Path, typer.Argument(help="Folder that `hwnas search` wrote.")]
Data = Annotated[str | None, typer.Option(help="Other data than those of the search.")]


Epochs = Annotated[
    int | None,
    typer.Option(
        min=1, help="Passes over the training images; by default as many as 2,000 steps take, but 8 to 60."
    ),
]
BatchSize = Annotated[
    int | None, typer.Option(min=2, help="Images a step; by default 32, or all where there are fewer.")
]
LearningRate = Annotated[float, typer.Option(help="The highest learning rate.")]
WeightDecay = Annotated[float, typer.Option(help="Of convolution and linear weights.")]
WarmupShare = Annotated[float, typer.Option(help="Share of all steps in which the learning rate rises.")]
LabelSmoothing = Annotated[float, typer.Option(help="Chance that the loss gives to all classes alike.")]
Ema = Annotated[
    float,
    typer.Option(help="Decay of the running average of the weights, which is what ships; 0 is off."),
]
Weights = Annotated[
    ClassWeights,
    typer.Option(
        "--class-weights",
        help="balanced: every class counts the same in the loss, however many images it has.",
    ),
]
InitFrom = Annotated[
    Init,
    typer.Option(
        "--init", help="First weights: from the seed, or those of the supernet (of a search at full width)."
    ),
]
Seed = Annotated[int, typer.Option(min=0, help="Of initial weights, order and augmentation.")]
DeviceName = Annotated[
    str,
    typer.Option("--device", help="cpu, cuda or auto.", callback=_usage.one_of("a device", _usage.TRAINERS)),
]
Augment = Annotated[bool, typer.Option(help="Crop, mirror and erase.", rich_help_panel=_AUGMENTATION)]
Crop = Annotated[
    float,
    typer.Option(help="Padding before a random crop, over the side.", rich_help_panel=_AUGMENTATION),
]
Flip = Annotated[
    bool | None,
    typer.Option(
        "--flip/--no-flip",
        help="Mirror images; by default as the data say: not digits.",
        rich_help_panel=_AUGMENTATION,
    ),
]
Erasing = Annotated[
    float,
    typer.Option(help="Chance that a rectangle is blanked.", rich_help_panel=_AUGMENTATION),
]
Mixup = Annotated[
    float,
    typer.Option(help="Alpha of mixup, which blends two images; 0 is off.", rich_help_panel=_AUGMENTATION),
]
Cutmix = Annotated[
    float,
    typer.Option(help="Alpha of CutMix, which pastes one into another.", rich_help_panel=_AUGMENTATION),
]
TeacherRun = Annotated[
    Path | None,
    typer.Option("--teacher", help="Run folder, trained on the same data.", rich_help_panel=_TEACHER),
]
DistillWeight = Annotated[
    float, typer.Option(help="The teacher's share of the loss.", rich_help_panel=_TEACHER)
]
Temperature = Annotated[
    float, typer.Option(help="What both answers are softened by.", rich_help_panel=_TEACHER)
]


@app.command()
def train(
    context: typer.Context,
    run: Run,
    data: Data = None,
    epochs: Epochs = None,
    batch_size: BatchSize = None,
    learning_rate: LearningRate = 0.1,
    weight_decay: WeightDecay = 5e-5,
    warmup_share: WarmupShare = 0.1,
    label_smoothing: LabelSmoothing = 0.1,
    ema: Ema = 0.0,
    class_weights: Weights = ClassWeights.NONE,
    init: InitFrom = Init.SEED,
    seed: Seed = 0,
    device: DeviceName = "auto",
    augment: Augment = True,
    crop: Crop = 0.125,
    flip: Flip = None,
    erasing: Erasing = 0.0,
    mixup: Mixup = 0.0,
    cutmix: Cutmix = 0.0,
    teacher: TeacherRun = None,
    distill_weight: DistillWeight = 0.5,
    temperature: Temperature = 4.0,
    as_json: Json = False,
) -> None:
    """Train the architecture of a run; started again, it goes on where it stopped.

    The same seed gives the same weights on a CPU, also after an interruption. Everything that is
    set here is kept in train.json.
    """
    from hwnas.release import stale
    from hwnas.search.oneshot.inherit import inherited
    from hwnas.train import TrainConfig
    from hwnas.train.optim import pick_device
    from hwnas.train.run import train_run

    def show(record: EpochRecord) -> None:
        err.print(
            f"epoch {record.epoch}/{record.epochs}  loss {record.loss:.3f}  "
            f"validation {record.metric.text(record.val_value, 2)}  {record.seconds:.1f} s",
            highlight=False,
        )

    if teacher is None:
        _usage.no_effect(context, "distill_weight", "temperature", needs="with --teacher")
    if not augment:
        _usage.no_effect(context, "crop", "flip", "erasing", needs="without --no-augment")
    with _usage.usage():
        config = TrainConfig(
            epochs=epochs,
            batch_size=batch_size,
            learning_rate=learning_rate,
            weight_decay=weight_decay,
            warmup_share=warmup_share,
            label_smoothing=label_smoothing,
            ema=ema,
            augment=augment,
            crop=crop,
            flip=flip,
            erasing=erasing,
            mixup=mixup,
            cutmix=cutmix,
            distill_weight=distill_weight if teacher else 0.0,
            temperature=temperature,
            class_weights=class_weights.value,
            seed=seed,
            device=pick_device(device).type,
        )
    start = partial(inherited, run) if init is Init.SUPERNET else None
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
