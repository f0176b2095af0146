"""A PyTorch module of one's own: brought in, measured block by block, exported.

python examples/own_module.py --out runs/own
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from torch import nn

import hwnas


def residual(channels: int) -> nn.Module:
    """Two convolutions beside a way around them."""

    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
            self.norm = nn.BatchNorm2d(channels)
            self.second = nn.Conv2d(channels, channels, 3, padding=1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x + self.second(torch.relu(self.norm(self.first(x))))

    return Block()


def network() -> nn.Module:
    """What a user might have: 64 px in, ten classes out."""
    return nn.Sequential(
        *(nn.Conv2d(3, 32, 3, stride=2, padding=1), nn.ReLU()),
        residual(32),
        *(nn.Conv2d(32, 64, 3, stride=2, padding=1), nn.ReLU()),
        residual(64),
        *(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10)),
    )


def main() -> None:
    """Import it, then measure what it became."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--out", type=Path, required=True, help="a new folder")
    asked.add_argument("--rounds", type=int, default=24, help="at most; fewer where that is enough")
    options = asked.parse_args()

    made = hwnas.import_model(network().eval(), options.out, input_shape=(3, 64, 64))
    print(f"{len(made.architecture.blocks)} blocks, {made.architecture.macs / 1e6:.1f} M multiply-adds")
    print(f"answers differ by {made.proof.max_error:.1e} of the largest")
    found = hwnas.measure(
        options.out,
        runtimes=["litert"],
        precisions=["fp32"],
        options=hwnas.ProfileOptions(rounds=min(12, options.rounds), max_rounds=options.rounds),
    )
    for row in found.rows:
        print(f"{row.file}: {row.latency_ms:.3f} ms, {row.placement.short}")


if __name__ == "__main__":
    main()
