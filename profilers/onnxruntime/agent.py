"""Times .onnx models with ONNX Runtime on the CPU."""

from __future__ import annotations

import json
import os
import re
import sys
import tempfile
from pathlib import Path

import numpy as np
import onnxruntime

sys.path.append(str(Path(__file__).resolve().parent.parent))
from pyagent import library_sha256, main, random_input

_KINDS = {
    "tensor(float)": np.float32,
    "tensor(double)": np.float64,
    "tensor(float16)": np.float16,
    "tensor(bool)": np.bool_,
    "tensor(int8)": np.int8,
    "tensor(uint8)": np.uint8,
    "tensor(int16)": np.int16,
    "tensor(uint16)": np.uint16,
    "tensor(int32)": np.int32,
    "tensor(uint32)": np.uint32,
    "tensor(uint64)": np.uint64,
    "tensor(int64)": np.int64,
}
_PLACE = re.compile(r"/onnxruntime_src/\S+ [^)]*\) ")  # of its source, which tells its user nothing


class Loaded:
    """One session with its inputs and outputs bound."""

    def __init__(self, session: onnxruntime.InferenceSession) -> None:
        self._session = session
        self._binding = session.io_binding()
        self._shapes: dict = {}

    def reshape(self, shapes: dict) -> None:
        """Inputs of other shapes than those of the file, which leaves dimensions open."""
        self._shapes = shapes

    def allocate(self) -> None:
        """Let the runtime own the outputs."""
        for output in self._session.get_outputs():
            self._binding.bind_output(output.name)

    def fill(self, rng: np.random.Generator) -> None:
        """Random inputs."""
        for tensor in self._session.get_inputs():
            shape = [size if isinstance(size, int) else 1 for size in tensor.shape]
            value = random_input(rng, self._shapes.get(tensor.name, shape), _KINDS[tensor.type])
            self._bind(tensor.name, value)

    def give(self, arrays: dict) -> None:
        """Inputs of the user's."""
        for tensor in self._session.get_inputs():
            self._bind(tensor.name, arrays[tensor.name])

    def _bind(self, name: str, value: np.ndarray) -> None:
        self._binding.bind_ortvalue_input(name, onnxruntime.OrtValue.ortvalue_from_numpy(value))

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


class Profiled(Loaded):
    """One session that times its operations into a file."""

    def __init__(self, session: onnxruntime.InferenceSession) -> None:
        super().__init__(session)
        self._timed = session

    def operations(self, runs: int) -> list:
        """Each operation in its order, with its time in so many runs after the first."""
        path = Path(self._timed.end_profiling())
        found: dict = {}
        for event in json.loads(path.read_text()):
            if event.get("cat") == "Node" and event["name"].endswith("_kernel_time"):
                found.setdefault((event["args"].get("node_index"), event["name"]), []).append(event)
        path.unlink()
        return [
            {
                "name": f"{events[0]['args']['op_name']} ({name.removesuffix('_kernel_time')})",
                "by": events[0]["args"]["provider"],
                "total_us": sum(event["dur"] for event in events[len(events) // (runs + 1) :]),
            }
            for (_, name), events in found.items()
        ]


class OnnxRuntime:
    """The onnxruntime package."""

    takes = ("shapes", "inputs")

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
        return Loaded(_session(path, _options(threads)))

    def open_profiled(self, path: str, threads: int) -> Profiled:
        """The same with the runtime's own profiler."""
        options = _options(threads)
        options.enable_profiling = True
        options.profile_file_prefix = str(Path(tempfile.gettempdir()) / f"hwnas-{os.getpid()}")
        return Profiled(_session(path, options))


def _options(threads: int) -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return options


def _session(path: str, options: onnxruntime.SessionOptions) -> onnxruntime.InferenceSession:
    try:
        return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise RuntimeError(_PLACE.sub(" ", str(error))) from error


if __name__ == "__main__":
    sys.exit(main(OnnxRuntime()))
