"""Training a network from scratch: fit, evaluate, and the files that keep its weights."""

from __future__ import annotations

from hwnas.train.checkpoint import load_weights, save_weights
from hwnas.train.config import EpochRecord, Score, TrainConfig, TrainResult
from hwnas.train.fit import evaluate, fit, new_network

__all__ = [
    "EpochRecord",
    "Score",
    "TrainConfig",
    "TrainResult",
    "evaluate",
    "fit",
    "load_weights",
    "new_network",
    "save_weights",
]
