"""DDP: whether two processes of torchrun have the losses of one, and what rounding alone makes of them."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from hwnas import blocks, data, torchrun, train
from hwnas.train import ranks

DEVICE = "cpu"


def ddp(*, epochs: int = 6, batch_size: int = 64, processes: int = 2, seed: int = 0) -> dict[str, Any]:
    """Losses of one network on digits, trained by one and by several processes on this machine's CPU.

    Args:
        epochs: Passes over 1,151 images of 8 px.
        batch_size: Images a step, of all processes together.
        processes: How many there are beside the one alone.
        seed: Of weights, order and augmentation.

    Returns:
        Losses per epoch of ``one`` process, of ``several``, and of one whose first weights were rounded
        otherwise (``rounded``), with seconds; by how much of it the last two differ most from the first in
        float32; and several from one in float64 (``difference_in_float64``), where rounding hides nothing.
    """
    found: dict[str, Any] = {"epochs": epochs, "batch_size": batch_size, "processes": processes}
    ways = {"one": (1, "single"), "rounded": (1, "rounded"), "several": (processes, "single")}
    ways |= {"one_exact": (1, "double"), "several_exact": (processes, "double")}
    made = {name: _run(count, how, epochs, batch_size, seed) for name, (count, how) in ways.items()}
    for name in ("one", "several", "rounded"):
        found[name] = made[name]["losses"]
        found[f"{name}_seconds"] = made[name]["seconds"]
    return {
        **found,
        "difference": _apart(made["one"], made["several"]),
        "difference_by_rounding": _apart(made["one"], made["rounded"]),
        "difference_in_float64": _apart(made["one_exact"], made["several_exact"]),
    }


def _apart(one: dict[str, Any], other: dict[str, Any]) -> float:
    pairs = zip(one["losses"], other["losses"], strict=True)
    return max(abs(first - second) / first for first, second in pairs)


def _run(processes: int, how: str, epochs: int, batch_size: int, seed: int) -> dict[str, Any]:
    """This file as a program, alone or under torchrun."""
    words = [sys.executable]
    if processes > 1:
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = str(server.getsockname()[1])
        words += ["-m", "torch.distributed.run", "--nproc-per-node", str(processes)]
        words += ["--master-addr", "127.0.0.1", "--master-port", port]
    with TemporaryDirectory() as folder:
        path = Path(folder) / "losses.json"
        given = (path, how, epochs, batch_size, seed)
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        subprocess.run(
            [*words, __file__, *map(str, given)], env=environment, check=True, stderr=subprocess.DEVNULL
        )
        found: dict[str, Any] = json.loads(path.read_text())
    return found


def _network(seed: int) -> torch.nn.Module:
    torch.manual_seed(seed)
    parts = [
        blocks.Conv(3, 16),
        blocks.MBConv(16, 24, stride=2, expansion_ratio=2.0),
        blocks.Head(24, 64, 10),
    ]
    return blocks.build(parts)


def _train(path: Path, how: str, epochs: int, batch_size: int, seed: int) -> None:
    """What each of the processes does; the first one writes."""
    network, digits = _network(seed), data.load("digits", resolution=8, seed=seed)
    if how == "rounded":
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.mul_(1 + 2**-22)
    if how == "double":
        _compute_in_float64()
        network = network.double()
    config = train.TrainConfig(epochs=epochs, batch_size=batch_size, learning_rate=0.1, seed=seed)
    with ranks.joined(torch.device(DEVICE)):
        began = time.perf_counter()
        history = train.fit(network, digits, config).history
        seconds = time.perf_counter() - began
    if torchrun.number() == 0:
        path.write_text(
            json.dumps({"losses": [epoch.loss for epoch in history], "seconds": seconds}), encoding="utf-8"
        )


def _compute_in_float64() -> None:
    """Batches and answers, which are float32 otherwise."""
    from hwnas.data.batches import Batches

    take = Batches.take

    def taken(*given: Any) -> tuple[torch.Tensor, torch.Tensor]:
        images, targets = take(*given)
        return images.double(), targets

    Batches.take = taken  # type: ignore[method-assign]
    torch.Tensor.float = torch.Tensor.double  # type: ignore[method-assign]


if __name__ == "__main__":
    _train(Path(sys.argv[1]), sys.argv[2], *map(int, sys.argv[3:]))
