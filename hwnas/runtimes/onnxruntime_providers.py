"""ONNX Runtime with other providers than its own for the CPU; what each is told stands in its agent.

What runs such files in this process is ONNX Runtime on the CPU, which proves the file, and knows nothing of
the provider. Each reply of the agents proves the rest: that the provider took every operator, and how the
output compares with that of fp32 on the CPU.
"""

from __future__ import annotations

from dataclasses import replace

from hwnas.runtimes.base import Runtime
from hwnas.runtimes.onnxruntime import ONNXRUNTIME


def _on(
    name: str, processors: tuple[str, ...], precisions: tuple[str, ...], packages: tuple[str, ...]
) -> Runtime:
    return replace(
        ONNXRUNTIME,
        name=name,
        agent=name,
        processors=processors,
        precisions=precisions,
        packages=("onnx", *packages),
        proves_delegation=True,
        proves_precision=processors,
        example="",
    )


PROVIDERS = (
    _on("onnxruntime_openvino", ("cpu",), ("fp32", "int8"), ("onnxruntime", "onnxruntime-ep-openvino")),
    _on("onnxruntime_cuda", ("gpu",), ("fp32", "tf32"), ("onnxruntime-gpu",)),
    _on("onnxruntime_tensorrt", ("gpu",), ("fp32", "fp16", "int8"), ("onnxruntime-gpu", "tensorrt")),
)
