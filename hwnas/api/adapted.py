"""From a network that is too slow to one that keeps a budget."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hwnas import plugins
from hwnas.api.given import AnyPath, typed

if TYPE_CHECKING:
    from hwnas.adapt import AdaptOptions
    from hwnas.runs.adapting import AdaptRecord
    from hwnas.train.config import EpochRecord


@typed
def adapt(
    model: str | Path,
    budget: str,
    out: AnyPath,
    *,
    data: str | Path | None = None,
    weights: AnyPath | None = None,
    input_shape: Sequence[int] | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    resolution: int | None = None,
    task: str | None = None,
    precision: str = "int8",
    options: AdaptOptions | None = None,
    progress: Callable[[str | EpochRecord], None] | None = None,
) -> AdaptRecord:
    """Make a network keep a budget, and leave it trained in a run folder, to be exported and verified.

    Args:
        model: A known network, the folder of a trained run or of an imported network, a file .onnx or
            .tflite, or a function ``package.module:name`` that makes a PyTorch module.
        budget: As "host=12", "host/litert-int8=12", or "50%" of what the network itself takes in the place
            of milliseconds. Where no runtime is named, others of the device are tried as well.
        out: Folder of the run, a new one.
        data: Pictures to keep it good at; those of a trained run by default.
        weights: Of a PyTorch module.
        input_shape: Of one image, where a module does not say it.
        mean: As of ``import_model``.
        std: As of ``import_model``.
        resolution: Pixels that it shall see.
        task: What it does with the images; that of a trained run, or else classification, by default.
        precision: Where the budget names none.
        options: What may be changed, and how.
        progress: Called with a line before each step, and with what prints as one after every epoch of the
            long trainings.

    Returns:
        What was tried; ``taken`` is None where nothing keeps the budget, and nothing is trained then.

    Raises:
        HwnasError: The network, its images or the device are not as they must be.
    """
    from hwnas.adapt import GivenModel, one_budget
    from hwnas.adapt.ladder import adapt as made_to_keep
    from hwnas.importing import shape_of

    plugins.ready()
    given = GivenModel(
        str(model),
        None if data is None else str(data),
        None if weights is None else Path(weights),
        None if input_shape is None else shape_of(input_shape),
        None if mean is None else tuple(mean),
        None if std is None else tuple(std),
        resolution,
        task,
    )
    return made_to_keep(
        given,
        Path(out),
        one_budget(budget, precision),
        options,
        is_open="/" not in budget,
        tell=progress or (lambda _: None),
        on_epoch=progress or (lambda _: None),
    )
