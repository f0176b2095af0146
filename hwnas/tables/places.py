"""Where latency tables lie: ``<device>/<runtime>-<precision>.jsonl``, the user's own and the shipped ones.

And what is typed for a table, or for a model of it, where there is none.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from hwnas import files
from hwnas.device import Target
from hwnas.errors import typed


def own() -> Path:
    """The folder of the user's own tables, a folder a device."""
    return files.user_data() / "tables"


def shipped() -> Path:
    """The folder of the tables that came with hwnas, a folder a device."""
    return files.shipped("lut_data")


def of_device(device: str) -> Path:
    """The user's own tables of a device: where ``hwnas profile`` writes."""
    return own() / device


def table(folder: Path, target: Target) -> Path:
    """The table of a target in the folder of its device."""
    return folder / f"{target.slug}.jsonl"


def few_model(folder: Path, target: Target, space: str) -> Path:
    """The latency model of a target that few networks of a space were measured on, beside its table."""
    return folder / f"{target.slug}.{space}.latency.json"


def candidates(home: Path, target: Target) -> tuple[Path, Path]:
    """Where the table of a target may lie in a folder: with a folder of its device in it, or without."""
    return table(home / target.device, target), table(home, target)


def existing(homes: Iterable[Path], target: Target) -> Iterator[Path]:
    """The files that stand where the table of a target may lie, folder by folder."""
    return (path for home in homes for path in candidates(home, target) if path.is_file())


def profile_command(
    target: Target, space: str, folder: Path | None = None, few: int | None = None, *, energy: bool = False
) -> str:
    """What is typed for a table of one's own of a target.

    Args:
        target: Of the table.
        space: Name of the space that it must cover.
        folder: Where it goes; the usual place by default.
        few: So many whole networks alone; all that there is by default.
        energy: Whether energy is to be counted as well.
    """
    threads = () if target.threads == 1 else ("--threads", target.threads)
    rest: tuple[object, ...] = () if few is None else ("--few", few)
    rest += () if folder is None else ("--out", folder)
    rest += ("--energy",) if energy else ()
    return typed(
        *("profile", "--device", target.device, "--space", space, "--runtime", target.runtime),
        *("--precision", target.precision, *threads, *rest),
    )


def fit_command(space: str, target: Target | None = None, path: Path | None = None) -> str:
    """What is typed for a latency model.

    Args:
        space: Name of the space that it is for.
        target: Of its table; the usual one by default.
        path: File of the model; likewise.
    """
    where: tuple[str, ...] = ("--space", space)
    if target is not None:
        where += ("--device", target.device, "--runtime", target.runtime, "--precision", target.precision)
    return typed("fit", *where, *(() if path is None else ("--out", path)))
