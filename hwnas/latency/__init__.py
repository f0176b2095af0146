"""Latency models: what a whole network will need on a target, and how sure that is."""

from hwnas.latency.base import AdditiveCosts, LatencyModel, Prediction
from hwnas.latency.evaluate import Evaluation, evaluate
from hwnas.latency.networks import Networks
from hwnas.latency.store import MODELS, fit, from_json, load, save, to_json

__all__ = [
    "MODELS",
    "AdditiveCosts",
    "Evaluation",
    "LatencyModel",
    "Networks",
    "Prediction",
    "evaluate",
    "fit",
    "from_json",
    "load",
    "save",
    "to_json",
]
