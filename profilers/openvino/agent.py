"""Times .onnx models with OpenVINO on the CPU."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

try:
    import openvino
except ImportError:
    raise SystemExit("openvino is not installed: pip install openvino") from None

sys.path.append(str(Path(__file__).resolve().parent.parent))
from pyagent import library_sha256, main, random_input

_NO_WORK = {"Const", "Input", "Output"}


class Loaded:
    """One compiled model with its request."""

    is_from_cache = False

    def __init__(self, core: openvino.Core, path: str, settings: dict) -> None:
        self._core, self._settings = core, settings
        self._read = core.read_model(path)

    def cache(self, folder: str) -> None:
        """Where the optimised graph is kept; memory and kernels are new every time."""
        self._settings = {**self._settings, "CACHE_DIR": folder}

    def reshape(self, shapes: dict) -> None:
        """Inputs of other shapes than those of the file, which leaves dimensions open."""
        self._read.reshape({name: openvino.PartialShape(shape) for name, shape in shapes.items()})

    def allocate(self) -> None:
        """Compile the model, for one request after the other."""
        self._model = self._core.compile_model(self._read, "CPU", self._settings)
        self.is_from_cache = bool(self._model.get_property("LOADED_FROM_CACHE"))
        self._request = self._model.create_infer_request()
        self.invoke = self._request.infer

    def give(self, arrays: dict) -> None:
        """Inputs of the user's."""
        for port in self._model.inputs:
            self._request.set_tensor(port, openvino.Tensor(arrays[port.get_any_name()]))

    def fill(self, rng: np.random.Generator) -> None:
        """Random inputs."""
        for port in self._model.inputs:
            shape = [size.get_length() if size.is_static else 1 for size in port.get_partial_shape()]
            value = random_input(rng, shape, port.get_element_type().to_dtype())
            self._request.set_tensor(port, openvino.Tensor(value))

    def outputs(self):
        """Bytes of every output."""
        for port in self._model.outputs:
            yield self._request.get_tensor(port).data.tobytes()

    def coverage(self) -> dict:
        """Everything runs in the CPU plug-in, which says how many steps it has made of the model."""
        steps = self._model.get_runtime_model().get_ordered_ops()
        kinds = [step.get_rt_info()["layerType"].astype(str) for step in steps]
        nodes = sum(kind not in _NO_WORK for kind in kinds)
        return {"nodes": nodes, "delegate_partitions": None, "delegated_nodes": None}


class OpenVino:
    """The openvino package."""

    takes = ("shapes", "inputs")

    def __init__(self) -> None:
        self._core = openvino.Core()

    def identity(self) -> dict:
        """Who this is."""
        folder = Path(openvino.__file__).parent / "libs"
        libraries = sorted(folder.glob("*openvino_intel_cpu_plugin*")) or sorted(
            folder.glob("*openvino_arm_cpu_plugin*")
        )
        return {
            "agent": "openvino",
            "runtime": "openvino",
            "runtime_version": openvino.__version__,
            "library_sha256": library_sha256(libraries[0]) if libraries else None,
        }

    def open(self, path: str, threads: int) -> Loaded:
        """Read a model, which is compiled in the precision that it has.

        OpenVINO may keep the thread that calls it to the CPUs of the first model of a process; a job that is
        for others fails then.
        """
        settings = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": "f32",  # where the processor has AMX, "fp32" would be bfloat16
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": 1,
            "ENABLE_CPU_PINNING": False,  # the plan says which CPUs
        }
        return Loaded(self._core, path, settings)


if __name__ == "__main__":
    sys.exit(main(OpenVino()))
