"""``hwnas train``: the found architecture becomes a trained network."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hwnas.cli._app import Json, app, emit_json, err, out

if TYPE_CHECKING:
    from hwnas.train import EpochRecord

Run = Annotated[Path, typer.Argument(help="Folder that `hwnas search` wrote.")]
Data = Annotated[str | None, typer.Option(help="Other data than those of the search.")]
Epochs = Annotated[int, typer.Option(min=1, help="Passes over the training images.")]
BatchSize = Annotated[int, typer.Option(min=2, help="Images a step.")]
LearningRate = Annotated[float, typer.Option(help="The highest learning rate.")]
Seed = Annotated[int, typer.Option(min=0, help="Of initial weights, order and augmentation.")]
DeviceName = Annotated[str, typer.Option("--device", help="cpu, cuda or auto.")]


@app.command()
def train(
    run: Run,
    data: Data = None,
    epochs: Epochs = 8,
    batch_size: BatchSize = 32,
    learning_rate: LearningRate = 0.1,
    seed: Seed = 0,
    device: DeviceName = "auto",
    as_json: Json = False,
) -> None:
    """Train the architecture of a run from scratch; started again, it goes on where it stopped."""
    from hwnas.train import TrainConfig
    from hwnas.train.optim import pick_device
    from hwnas.train.run import train_run

    def show(record: EpochRecord) -> None:
        err.print(
            f"epoch {record.epoch}/{epochs}  loss {record.loss:.3f}  "
            f"validation {record.val_accuracy:.2%}  {record.seconds:.1f} s",
            highlight=False,
        )

    config = TrainConfig(
        epochs=epochs,
        batch_size=batch_size,
        learning_rate=learning_rate,
        seed=seed,
        device=pick_device(device).type,
    )
    record = train_run(run, config, source=data, on_epoch=show)
    if as_json:
        emit_json(record)
        return
    out.print(
        f"test accuracy [bold]{record['test_accuracy']:.2%}[/] (validation {record['val_accuracy']:.2%}) "
        f"after {record['seconds']:.0f} s; weights in {run / 'weights.safetensors'}"
    )
