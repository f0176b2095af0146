"""Times .onnx models with ONNX Runtime's CUDA provider, on NVIDIA GPUs."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parent.parent))
from ortagent import Provider, run


def _options(threads: int, precision: str) -> dict[str, str]:
    return {
        "device_id": "0",
        "use_tf32": "1" if precision == "tf32" else "0",
        "cudnn_conv_algo_search": "EXHAUSTIVE",
    }


CUDA = Provider(
    runtime="onnxruntime_cuda",
    name="CUDAExecutionProvider",
    processor="gpu",
    precisions=("fp32", "tf32"),
    options=_options,
    library="*onnxruntime_providers_cuda*",
    remedy="pip install 'onnxruntime-gpu[cuda,cudnn]' after onnxruntime, whose place it takes",
)

if __name__ == "__main__":
    sys.exit(run(CUDA))
