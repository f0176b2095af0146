"""A made-up device with a staircase, and a network like EfficientNet-Lite0 at 96 px with widths to choose."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hwnas import blocks
from hwnas.device import Target
from hwnas.latency.layers import BlockLayer
from hwnas.space import Workload
from hwnas.tables.rounds import Round
from hwnas.tables.table import LatencyTable

STAGES = ((1, 16, 1, 1, 3), (6, 24, 2, 2, 3), (6, 40, 2, 2, 5), (6, 80, 3, 2, 3), (6, 112, 3, 1, 5))
"""Expansion, channels, blocks, stride, kernel of each stage."""

TARGET = Target("host", "litert", "int8")


def lite_layers():
    """Layers, and the full width of every slot: a stream a stage, the hidden channels of each block."""
    full, layers = [32], []

    def conv(reads, makes, side, kernel=1, stride=1, *, depthwise=False):
        channels = 3 if reads is None else full[reads], full[makes]
        groups = channels[0] if depthwise else 1
        block = blocks.Conv(*channels, kernel, stride, "relu6", groups)
        layers.append(BlockLayer(Workload(block, (channels[0], side, side)), reads, makes))

    conv(None, 0, 96, 3, 2)
    side, stream = 48, 0
    for expansion, channels, count, stride, kernel in STAGES:
        full.append(channels)
        made = len(full) - 1
        for number in range(count):
            hidden = stream
            if expansion > 1:
                full.append(expansion * full[stream])
                hidden = len(full) - 1
                conv(stream, hidden, side)
            step = stride if number == 0 else 1
            conv(hidden, hidden, side, kernel, step, depthwise=True)
            side //= step
            conv(hidden, made, side)
            stream = made
    return layers, np.array(full)


def up(channels, step):
    return -(-channels // step) * step


@dataclass
class Device:
    """What a layer takes inside a network; alone it takes more, and each kind of work has its own ways.

    Attributes:
        own: Relative standard deviation of what is each workload's own.
        noise: Of a measurement.
    """

    own: float = 0.03
    noise: float = 0.01
    seed: int = 0

    def __post_init__(self):
        self.rng = np.random.default_rng(self.seed)
        self.known: dict[str, float] = {}

    def inside_ms(self, workload):
        key = workload.key()
        if key not in self.known:
            op = workload.ops[0]
            pixels = op.macs / op.weights
            inner = op.weights // op.biases // op.kernel_size**2
            if op.kind == "depthwise":
                work = 4e-7 * pixels * op.kernel_size**2 * up(op.biases, 16)
            else:
                work = 5e-8 * pixels * op.kernel_size**2 * up(inner, 8) * up(op.biases, 16)
            moved = 6e-8 * (op.read + op.written)
            self.known[key] = (0.002 + work + moved) * np.exp(self.own * self.rng.normal())
        return self.known[key]

    def alone_ms(self, workload):
        factor = 1.2 if workload.ops[0].kind == "depthwise" else 1.05
        return (0.006 + factor * self.inside_ms(workload)) * np.exp(self.noise * self.rng.normal())

    def network_ms(self, layers, channels):
        total = 0.01 + sum(self.inside_ms(at(layer, channels)) for layer in layers)
        return total * np.exp(self.noise / 2 * self.rng.normal())

    def table(self, layers, full, each):
        """Rows of every layer at full width and at random ones."""
        found = {}
        for layer in layers:
            for channels in (full, *(random_widths(self.rng, full) for _ in range(each))):
                workload = at(layer, channels)
                found[workload.key()] = self.alone_ms(workload)
        return LatencyTable(TARGET, {}, (Round(key, "block", "s", 0, (ms,)) for key, ms in found.items()))


def at(layer, channels):
    reads = layer.in_channels if layer.in_slot is None else int(channels[layer.in_slot])
    makes = layer.out_channels if layer.out_slot is None else int(channels[layer.out_slot])
    return layer.workload_at(reads, makes)


def random_widths(rng, full):
    return np.maximum(4, np.round(full * rng.uniform(0.25, 1.0, len(full)) / 4) * 4).astype(int)
