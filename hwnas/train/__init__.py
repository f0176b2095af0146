"""Training a network from scratch: fit, evaluate, and the files that keep its weights."""

from __future__ import annotations

from hwnas.train.checkpoint import load_weights, save_weights
from hwnas.train.config import EpochRecord, Kept, TrainConfig, TrainResult
from hwnas.train.fit import fit, new_network
from hwnas.train.scoring import evaluate, predictions

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
