"""The programs for Android that ship beside models, in Kotlin."""

from __future__ import annotations

from importlib import resources

SHARED = "ShippedModel.kt"
"""What they all need: how a picture is read and a model is asked."""


def programs(file: str) -> dict[str, str]:
    """A task's program and what it needs, as files of the shipping folder."""
    return {name: (resources.files("hwnas.tasks") / name).read_text("utf-8") for name in (file, SHARED)}
