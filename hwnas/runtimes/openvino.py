"""OpenVINO on the CPU: ONNX files, and those of LiteRT to be measured; needs the extra ``openvino``."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hwnas.errors import ExportError
from hwnas.runtimes._onnx_file import describe
from hwnas.runtimes.base import ONNX, TFLITE, Batch, Execution, Host, Runtime, Values

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_NO_WORK = {"Const", "Input", "Output"}
_CONVERTING = {"Convert", "Reorder", "Subgraph"}
_FLOATS = ("f32", "f16", "bf16")


def compiled(model: bytes | Path, *, threads: int = 1) -> Any:
    """A model that is compiled for the CPU, as the agent in ``profilers/openvino`` does it.

    Raises:
        ExportError: OpenVINO is not installed, or refuses the model.
    """
    try:
        import openvino
    except ImportError as error:
        raise ExportError(
            "OpenVINO must be installed for this, but is not: pip install 'hwnas[openvino]'"
        ) from error
    core = openvino.Core()
    settings = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": "f32",  # where the processor has AMX, "fp32" would be bfloat16
        "INFERENCE_NUM_THREADS": threads,
        "NUM_STREAMS": 1,
        "ENABLE_CPU_PINNING": False,
    }
    try:
        content = model if isinstance(model, bytes) else model.read_bytes()
        return core.compile_model(core.read_model(content), "CPU", settings)
    except (RuntimeError, OSError) as error:
        said = str(error).strip().splitlines()[-1].strip()
        raise ExportError(f"OpenVINO must be able to load the model, but it answered: {said}") from error


def execution(model: bytes) -> Execution:
    """How OpenVINO executes the model on this machine; there is no delegate."""
    steps = [
        (info["layerType"], info["runtimePrecision"], op)
        for op in compiled(model).get_runtime_model().get_ordered_ops()
        if (info := {name: value.astype(str) for name, value in op.get_rt_info().items()})
        and info["layerType"] not in _NO_WORK
    ]
    floats = tuple(
        f"{kind} ({op.get_friendly_name()})"
        for kind, precision, op in steps
        if precision in _FLOATS and not (kind in _CONVERTING and _is_end(op))
    )
    operators = dict(sorted(Counter(kind for kind, *_ in steps).items()))
    return Execution(operators, floats, None, ())


def _is_end(op: Any) -> bool:
    """Whether an operation reads the model's input or makes its output."""
    before = {value.get_source_output().get_node().get_type_name() for value in op.inputs()}
    after = {
        target.get_node().get_type_name() for value in op.outputs() for target in value.get_target_inputs()
    }
    return "Parameter" in before or "Result" in after


def _open(model: bytes | Path, threads: int) -> tuple[tuple[Any, ...], Batch]:
    runner = compiled(model, threads=threads)
    request = runner.create_infer_request()

    def answer(*images: NDArray[np.float32]) -> Values:
        found = request.infer(list(images))
        return tuple(found[port].copy() for port in runner.outputs)

    return tuple(tuple(port.shape) for port in runner.inputs), answer


def _quantization(model: bytes | Path) -> dict[str, dict[str, Any]]:
    """Nothing: models in QDQ form read and answer floats."""
    return {}


OPENVINO = Runtime(
    name="openvino",
    format=ONNX,
    precisions=("fp32", "int8"),
    processors=("cpu",),
    agent="openvino",
    host=Host("openvino", _open, execution, _quantization, describe, keeps_int8=False),
    packages=("onnx", "openvino"),
    also_reads=(TFLITE,),
)
