"""Plug-ins are taken away after each test that loads one."""

from __future__ import annotations

from pathlib import Path

import pytest

from hwnas import plugins

MINE = Path(__file__).parents[2] / "examples" / "plugin.py"


@pytest.fixture(autouse=True)
def _forgotten(monkeypatch):
    monkeypatch.delenv(plugins.ENVIRONMENT, raising=False)
    yield
    plugins.forget()


@pytest.fixture
def mine() -> Path:
    return MINE
