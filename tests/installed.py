"""Runtimes that come with an extra: tests of them say where they are not installed."""

from __future__ import annotations

import importlib.util

import pytest


def installed(*packages: str) -> tuple[str, ...]:
    """Those of some packages that can be imported."""
    return tuple(name for name in packages if importlib.util.find_spec(name) is not None)


def needs(package: str) -> pytest.MarkDecorator:
    """Skips a test where a package is not installed, and says which extra has it."""
    return pytest.mark.skipif(not installed(package), reason=f"hwnas[{package}] is not installed")
