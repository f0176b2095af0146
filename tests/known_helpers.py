"""A small known network with weights that nobody trained, and latencies as its multiply-adds are."""

from __future__ import annotations

import torch

from hwnas import blocks, known, latency
from hwnas.budget import Budget
from hwnas.device import Target
from hwnas.known.pretrained import Source, Weights
from hwnas.search.request import SearchRequest
from hwnas.search.searching import search_run
from hwnas.settings import requests, usual
from hwnas.tables.table import LatencyTable, Round

NAME = "mobilenetv2-0.1"


def weights(name=NAME, *_, resolution=None, **__):
    """What somebody else might have trained on pictures of 1000 classes; in place of ``weights_of``."""
    strides = known.named(name).strides or "imagenet"
    arch = known.load(name, resolution=resolution or 32, strides=strides)
    torch.manual_seed(0)
    tensors = {name: value for name, value in blocks.network(arch).state_dict().items() if "num_" not in name}
    source = Source("file:mine", NAME, "CC0-1.0", "", "half", 1e-5, (0.5,) * 3, (0.25,) * 3, 32)
    return Weights(arch, tensors, source, "0" * 64)


def table_of(target, *spaces):
    """A latency table of all blocks of spaces."""
    costs_ms = {w.key(): w.macs / 1e5 + 0.01 for space in spaces for w in space.workloads()}
    rounds = [Round(key, "block", "s", n, (ms,)) for key, ms in costs_ms.items() for n in (-1, 0, 1)]
    return LatencyTable(target, {}, rounds)


def latency_model(path, target, space):
    """A latency model of a space as a file."""
    latency.save(latency.fit(table_of(target, space), space, "lookup"), path)
    return path


def searched_around(teacher, space, folder):
    """Run folder of a short exact search of blocks that learn from a teacher, within made-up latencies."""
    model = latency_model(folder / "l", Target("host", "litert", "fp32"), space)
    request = SearchRequest(
        space.name,
        (model,),
        (Budget.read("60%"),),
        strategy="exact",
        oneshot=requests.blockwise(usual("search.supernet"), space.name, 0, is_taught=True),
        settings={"queries": 4, "random": 1},
        training_steps=4,
        teacher=teacher,
    )
    search_run(request, folder / "run")
    return folder / "run"
