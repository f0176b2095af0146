"""A runtime of somebody's own; its agent, which may use nothing of hwnas, is a file of its own."""

from __future__ import annotations

from pathlib import Path

from hwnas import runtimes
from hwnas.runtimes.base import TFLITE, Runtime
from hwnas.runtimes.litert import HOST

runtimes.register(
    Runtime(
        name="byte_counter",
        format=TFLITE,
        precisions=("int8",),
        processors=("cpu",),
        agent=str(Path(__file__).resolve().parents[1] / "runtimes" / "byte_counter"),
        host=HOST,
    )
)
