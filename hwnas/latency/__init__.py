"""Latency models: what a whole network will need on a target, and how sure that is."""

from hwnas.factors import Pair
from hwnas.latency.base import Cost, LatencyModel, Prediction
from hwnas.latency.bayes.active import choose_networks
from hwnas.latency.bayes.conditioned import Conditioned
from hwnas.latency.bayes.known_devices import known_devices
from hwnas.latency.bayes.layered import Layered
from hwnas.latency.evaluate import Evaluation, doubt, evaluate
from hwnas.latency.fitted import FittedModel
from hwnas.latency.imports.importers import Provenance, import_blocks, import_networks
from hwnas.latency.int8 import slow_in_int8
from hwnas.latency.layers import BlockLayer, LayerRows, SlotLayer
from hwnas.latency.networks import Networks
from hwnas.latency.sources import Source, find_table, fit_source, fitted
from hwnas.latency.staircase import ReadStep, Staircase, read_step
from hwnas.latency.store import (
    MODELS,
    energies_needed,
    fit,
    from_json,
    load,
    measured_share,
    save,
    to_json,
)

__all__ = [
    "MODELS",
    "BlockLayer",
    "Conditioned",
    "Cost",
    "Evaluation",
    "FittedModel",
    "LatencyModel",
    "LayerRows",
    "Layered",
    "Networks",
    "Pair",
    "Prediction",
    "Provenance",
    "ReadStep",
    "SlotLayer",
    "Source",
    "Staircase",
    "choose_networks",
    "doubt",
    "energies_needed",
    "evaluate",
    "find_table",
    "fit",
    "fit_source",
    "fitted",
    "from_json",
    "import_blocks",
    "import_networks",
    "known_devices",
    "load",
    "measured_share",
    "read_step",
    "save",
    "slow_in_int8",
    "to_json",
]
