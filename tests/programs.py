"""Programs that some tests need and that pip does not bring: found, skipped without, or missed in CI."""

from __future__ import annotations

import os
import shutil

import pytest

SYSTEM_PATH = "/usr/sbin:/usr/local/sbin"  # where daemons are that a user's path may not name


def find(*names: str) -> str | None:
    """The first of these programs that is installed."""
    found = (shutil.which(name) or shutil.which(name, path=SYSTEM_PATH) for name in names)
    return next((path for path in found if path), None)


def need(*names: str) -> str:
    """The first of these programs; without any of them, see ``missing``."""
    return find(*names) or missing(f"none of {', '.join(names)} is installed")


def missing(reason: str) -> str:
    """Skip a test, saying why; under CI, which installs everything first, a hole is a failure."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"{reason}: .ci/run has to install it", pytrace=False)
    pytest.skip(reason)
