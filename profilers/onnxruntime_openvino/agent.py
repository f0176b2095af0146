"""Times .onnx models with ONNX Runtime and the plug-in of OpenVINO, on Intel's CPUs."""

from __future__ import annotations

import json
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parent.parent))
from ortagent import Provider, run


def _options(threads: int, precision: str) -> dict[str, str]:
    """OpenVINO's own settings: options that the plug-in does not know, it passes over in silence."""
    settings = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": "f32",  # "fp32" would be bfloat16 where the processor has it
        "INFERENCE_NUM_THREADS": str(threads),
        "NUM_STREAMS": "1",
        "ENABLE_CPU_PINNING": "NO",  # the plan says which CPUs
    }
    return {"load_config": json.dumps({"CPU": settings})}


OPENVINO = Provider(
    runtime="onnxruntime_openvino",
    name="OpenVINOExecutionProvider",
    processor="cpu",
    precisions=("fp32", "int8"),
    options=_options,
    library="*openvino_intel_cpu_plugin*",
    remedy="pip install 'hwnas[onnxruntime-openvino]' on a machine with a processor of Intel's",
    plugin="onnxruntime_ep_openvino",
)

if __name__ == "__main__":
    sys.exit(run(OPENVINO))
