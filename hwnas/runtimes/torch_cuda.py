"""PyTorch on NVIDIA GPUs, which computes the fp32 files of ONNX Runtime in a precision that it is told.

What runs such files in this process is ONNX Runtime, which proves the file, and knows nothing of the GPU.
Each reply of the agent proves the rest: how the output compares with that of fp32 on the CPU.
"""

from __future__ import annotations

from hwnas.runtimes.base import ONNX, Runtime
from hwnas.runtimes.onnxruntime import ONNXRUNTIME

TORCH_CUDA = Runtime(
    name="torch_cuda",
    format=ONNX,
    precisions=("fp32", "tf32", "fp16", "bf16"),
    processors=("cpu", "gpu"),
    agent="torch_cuda",
    host=ONNXRUNTIME.host,
    proves_delegation=True,
    proves_precision=("cpu", "gpu"),
    packages=("onnx", "torch"),
)
