"""Where latency tables lie: ``<device>/<runtime>-<precision>.jsonl``, the user's own and the shipped ones."""

from __future__ import annotations

from pathlib import Path

from hwnas import files
from hwnas.device import Target


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
