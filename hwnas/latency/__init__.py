"""Latency models: what a whole network will need on a target, and how sure that is."""

from hwnas.latency.active import choose_networks
from hwnas.latency.base import AdditiveCosts, LatencyModel, Prediction
from hwnas.latency.evaluate import Evaluation, evaluate
from hwnas.latency.importers import Origin, import_blocks, import_networks
from hwnas.latency.known import known_devices
from hwnas.latency.networks import Networks
from hwnas.latency.store import MODELS, fit, from_json, load, save, to_json

__all__ = [
    "MODELS",
    "AdditiveCosts",
    "Evaluation",
    "LatencyModel",
    "Networks",
    "Origin",
    "Prediction",
    "choose_networks",
    "evaluate",
    "fit",
    "from_json",
    "import_blocks",
    "import_networks",
    "known_devices",
    "load",
    "save",
    "to_json",
]
