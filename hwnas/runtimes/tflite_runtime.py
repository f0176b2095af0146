"""LiteRT under its old name, which some boards still have: the same files, the same agent."""

from __future__ import annotations

from dataclasses import replace

from hwnas.runtimes.litert import LITERT

TFLITE_RUNTIME = replace(LITERT, name="tflite_runtime", processors=("cpu",), example="", packages=())
