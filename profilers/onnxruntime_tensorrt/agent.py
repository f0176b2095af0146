"""Times .onnx models with ONNX Runtime's TensorRT provider, on NVIDIA GPUs."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parent.parent))
from ortagent import Provider, run


def _options(threads: int, precision: str) -> dict[str, str]:
    """Engines are built afresh for each model; int8 is where the file says so."""
    return {
        "device_id": "0",
        "trt_fp16_enable": str(int(precision == "fp16")),
        "trt_int8_enable": str(int(precision == "int8")),
        "trt_engine_cache_enable": "0",
    }


TENSORRT = Provider(
    runtime="onnxruntime_tensorrt",
    name="TensorrtExecutionProvider",
    processor="gpu",
    precisions=("fp32", "fp16", "int8"),
    options=_options,
    library="*onnxruntime_providers_tensorrt*",
    remedy="pip install 'onnxruntime-gpu[cuda,cudnn]' tensorrt after onnxruntime, whose place it takes",
    preloaded=("tensorrt",),
    environment=(("NVIDIA_TF32_OVERRIDE", "0"),),  # no option of the provider's turns TF32 off
)

if __name__ == "__main__":
    sys.exit(run(TENSORRT))
