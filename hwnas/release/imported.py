"""Files of an imported network that nobody trained here: what can be made of it without its data."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hwnas import blocks, files, runtimes, spaces
from hwnas.errors import DataError
from hwnas.export import lower
from hwnas.release.shipping import ALWAYS, file_name, require_offered
from hwnas.runs import outputs, records
from hwnas.runs.folder import RunFolder
from hwnas.train import load_weights

if TYPE_CHECKING:
    import numpy as np


@outputs.alone_in("run", "an export")
def export_imported(
    run: Path,
    images: np.ndarray | None = None,
    *,
    also: Sequence[str] = (),
    on_variant: Callable[[str], None] = lambda _: None,
) -> tuple[Path, ...]:
    """Write an imported network in every format, each checked against PyTorch.

    There is no manifest, and nothing is known of labels or of how images are scaled: that comes with a
    training on data.

    Args:
        run: Folder that ``import_model`` wrote.
        images: As the network takes them, shape (n, channels, height, width), for the ranges of
            whole numbers; without any, files in whole numbers are not made.
        also: Further precisions.
        on_variant: Called with the name of each file that is about to be made.

    Returns:
        The files, in ``run/export``.

    Raises:
        ExportError: One does not compute what PyTorch computes.
        DataError: The images do not fit, or are needed.
    """
    require_offered(also)
    arch, folder = spaces.architecture_from_json(records.arch(run)), RunFolder(run)
    network, shape = blocks.network(arch), arch.space.input_shape
    load_weights(network, folder.weights)
    if images is not None and (images.ndim != 4 or images.shape[1:] != shape or not len(images)):
        raise DataError(f"images must be of shape (n, {', '.join(map(str, shape))}), but got {images.shape}")
    wanted = dict.fromkeys((*ALWAYS, *also))
    whole = [name for name in wanted if runtimes.PRECISIONS[name].is_whole]
    if images is None and set(whole) & set(also):
        raise DataError(
            f"files in {' and '.join(whole)} must have images for their ranges: give --data FILE.npy"
        )
    contents: dict[str, bytes | str] = {}
    for runtime in runtimes.shipping():
        for precision in wanted:
            if precision in runtime.files and (images is not None or precision not in whole):
                name = file_name(runtime.name, precision)
                on_variant(name)
                contents[name] = lower(network, shape, runtime.name, precision, calibration=images).model
    files.write_folder(folder.export, contents)
    return tuple(folder.export / name for name in contents)
