"""Training a network from scratch: fit, evaluate, and the files that keep its weights.

What needs torch is imported when it is asked for: settings of a training need none.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from hwnas.train.config import EpochRecord, Kept, TrainConfig, TrainResult

if TYPE_CHECKING:
    from hwnas.train.checkpoint import load_weights, save_weights
    from hwnas.train.fitting import fit, new_network
    from hwnas.train.scoring import evaluate, predictions

_HOMES = {
    "evaluate": "hwnas.train.scoring",
    "fit": "hwnas.train.fitting",
    "load_weights": "hwnas.train.checkpoint",
    "new_network": "hwnas.train.fitting",
    "predictions": "hwnas.train.scoring",
    "save_weights": "hwnas.train.checkpoint",
}


def __getattr__(name: str) -> Any:
    """What has its home in a module that needs torch."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


__all__ = [
    "EpochRecord",
    "Kept",
    "TrainConfig",
    "TrainResult",
    "evaluate",
    "fit",
    "load_weights",
    "new_network",
    "predictions",
    "save_weights",
]
