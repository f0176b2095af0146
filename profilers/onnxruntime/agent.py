"""Times .onnx models with ONNX Runtime on the CPU."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import onnxruntime

sys.path.append(str(Path(__file__).resolve().parent.parent))
from pyagent import library_sha256, main, random_input

_KINDS = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(int8)": np.int8,
    "tensor(uint8)": np.uint8,
    "tensor(int32)": np.int32,
    "tensor(int64)": np.int64,
}


class Loaded:
    """One session with its inputs and outputs bound."""

    def __init__(self, session: onnxruntime.InferenceSession) -> None:
        self._session = session
        self._binding = session.io_binding()

    def allocate(self) -> None:
        """Let the runtime own the outputs."""
        for output in self._session.get_outputs():
            self._binding.bind_output(output.name)

    def fill(self, rng: np.random.Generator) -> None:
        """Random inputs."""
        for tensor in self._session.get_inputs():
            shape = [size if isinstance(size, int) else 1 for size in tensor.shape]
            value = random_input(rng, shape, _KINDS[tensor.type])
            self._binding.bind_ortvalue_input(tensor.name, onnxruntime.OrtValue.ortvalue_from_numpy(value))

    def invoke(self) -> None:
        """One inference."""
        self._session.run_with_iobinding(self._binding)

    def outputs(self):
        """Bytes of every output."""
        for value in self._binding.copy_outputs_to_cpu():
            yield value.tobytes()

    def coverage(self) -> dict:
        """The CPU provider runs everything; the runtime does not say how many nodes are left."""
        return {"nodes": None, "delegate_partitions": None, "delegated_nodes": None}


class OnnxRuntime:
    """The onnxruntime package."""

    def identity(self) -> dict:
        """Who this is."""
        folder = Path(onnxruntime.__file__).parent / "capi"
        libraries = sorted(folder.glob("onnxruntime_pybind11_state*"))
        return {
            "agent": "onnxruntime",
            "runtime": "onnxruntime",
            "runtime_version": onnxruntime.__version__,
            "library_sha256": library_sha256(libraries[0]) if libraries else None,
        }

    def open(self, path: str, threads: int) -> Loaded:
        """Load a model with all graph optimisations."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        return Loaded(onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"]))


if __name__ == "__main__":
    sys.exit(main(OnnxRuntime()))
