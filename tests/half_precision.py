"""Mixed precision as on CUDA, on a CPU, which has bfloat16 too."""

from __future__ import annotations

import pytest
import torch

from hwnas.train import optim


def as_on_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    """Training computes in bfloat16 from now on, but for what it asks to have exact."""

    def autocast(device: torch.device, _precision: str = "auto", *, exact: bool = False) -> torch.autocast:
        return torch.autocast(device.type, dtype=torch.bfloat16, enabled=not exact)

    monkeypatch.setattr(optim, "autocast", autocast)
