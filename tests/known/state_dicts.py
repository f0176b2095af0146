"""State dicts of other packages, from the names and shapes in ``layouts.json``; made by ``reference.py``."""

from __future__ import annotations

import json
from pathlib import Path

import torch

LAYOUTS = json.loads((Path(__file__).parent / "layouts.json").read_text())
NETWORKS = LAYOUTS["networks"]


def state_dict(where, seed=0):
    """Random numbers, variances from far below an epsilon to above, named and ordered as in the package."""
    draw = torch.Generator().manual_seed(seed)
    found = {}
    for line in NETWORKS[where]["layers"]:
        name, size = line.split(" ")
        shape = tuple(map(int, size.rstrip("nb").split("x")))
        found[f"{name}.weight"] = torch.randn(shape, generator=draw)
        if size[-1] in "nb":
            found[f"{name}.bias"] = torch.randn(shape[0], generator=draw)
        if size[-1] == "n":
            found[f"{name}.running_mean"] = torch.randn(shape, generator=draw)
            found[f"{name}.running_var"] = 10 ** (6 * torch.rand(shape, generator=draw) - 6)
            found[f"{name}.num_batches_tracked"] = torch.tensor(7)
    return found


def parameters(tensors):
    """Names of all but what counts batches."""
    return [name for name in tensors if not name.endswith("num_batches_tracked")]
