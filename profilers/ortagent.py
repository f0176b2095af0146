"""What the agents share that time .onnx models with ONNX Runtime: its sessions, and its providers.

An agent of a provider says in a ``Provider`` what is its own, and calls ``run``. A provider must take every
operator of a model: what it leaves to the CPU's is refused by name. Nor is it believed about the precision:
each reply says how the output compares with that of fp32 on the CPU (``check``).
"""

from __future__ import annotations

import importlib.util
import os
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime

if (
    onnxruntime.__file__ is None
):  # the folder of the agent of that name, which stands in for what is not there
    raise SystemExit("onnxruntime is not installed: pip install onnxruntime")

sys.path.append(str(Path(__file__).resolve().parent))
import nvidiagpu
from pyagent import CPU, JobError, difference, library_sha256, main, random_input

onnxruntime.disable_telemetry_events()  # whose models these are is nobody's business

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
_CPU_PROVIDER = "CPUExecutionProvider"
_NAMED = 5  # operators that a refusal names


class Loaded:
    """One session with its inputs and outputs bound; a run ends when the outputs are in the host's memory."""

    def __init__(self, session: onnxruntime.InferenceSession) -> None:
        self._session = session
        self._binding = session.io_binding()
        self._shapes: dict = {}
        self._given: dict = {}

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
        self._given[name] = value
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


@dataclass(frozen=True)
class Provider:
    """What differs between providers.

    Attributes:
        runtime: Name of the runtime that it is, in targets.
        name: As ONNX Runtime calls it.
        processor: Where it runs models.
        precisions: That it can be told to compute in.
        options: Its options for so many threads and a precision.
        library: Pattern of the file that does the work, in the folder of its package.
        remedy: What to do where it is not there.
        plugin: Module that knows the library to register; empty for those that ONNX Runtime brings.
        preloaded: Modules that load libraries which it needs, where they are installed.
        environment: Variables that its libraries read.
    """

    runtime: str
    name: str
    processor: str
    precisions: tuple[str, ...]
    options: Callable[[int, str], dict[str, str]]
    library: str
    remedy: str
    plugin: str = ""
    preloaded: tuple[str, ...] = ()
    environment: tuple[tuple[str, str], ...] = ()


class OnProvider(Loaded):
    """A model that a provider runs alone."""

    def __init__(self, session: onnxruntime.InferenceSession, path: str, provider: Provider) -> None:
        super().__init__(session)
        self._path, self._provider = path, provider
        self._parts = [len(part.get_nodes()) for part in session.get_provider_graph_assignment_info()]
        self._expected: list | None = None

    def check(self) -> dict:
        """How one run more compares with fp32 on the CPU; an output that it does not write is no number."""
        if self._expected is None:
            self._expected = _as_written(self._path).run(None, self._given)
        found = [_blank(value) for value in self._expected]
        for output, value in zip(self._session.get_outputs(), found, strict=True):
            self._binding.bind_output(output.name, "cpu", 0, value.dtype, value.shape, value.ctypes.data)
        self.invoke()
        self._kept = found  # the session writes there from now on
        return difference(found, self._expected)

    def coverage(self) -> dict:
        """The provider has taken all nodes, in one part or in several."""
        nodes = sum(self._parts)
        said = {"nodes": nodes, "delegate_partitions": len(self._parts), "delegated_nodes": nodes}
        name = self._provider.name.removesuffix("ExecutionProvider")
        return said | {"delegate": name, "processor": self._provider.processor}


class OnGpu(OnProvider):
    """One on a GPU, whose work the calling thread waits for."""

    is_elsewhere = True

    def invoke(self) -> None:
        """One inference; where it fails this process ends: often nothing runs in it any more."""
        try:
            super().invoke()
        except Exception as error:
            raise SystemExit(f"the GPU failed: {_said(error)}") from error

    def peak_memory_bytes(self) -> None:
        """ONNX Runtime does not count the GPU's memory."""


class OnnxRuntimeProvider:
    """The onnxruntime package with one of its providers."""

    takes = ("shapes", "inputs")

    def __init__(self, provider: Provider) -> None:
        os.environ.update(provider.environment)
        self._provider = provider
        self.processors, self.precisions = (provider.processor,), provider.precisions
        self._devices = _devices(provider)
        self._gpu = _first_gpu() if provider.processor == "gpu" else None

    def identity(self) -> dict:
        """Who this is."""
        provider, version = self._provider, onnxruntime.__version__
        module = importlib.import_module(provider.plugin) if provider.plugin else None
        folder = Path(module.__file__).parent if module else Path(onnxruntime.__file__).parent / "capi"
        libraries = sorted(folder.glob(provider.library))
        if self._devices:
            version += f" with {provider.name} {self._devices[0].ep_metadata.get('version', '')}".rstrip()
        gpu = {"gpu": _gpu(self._gpu)} if self._gpu else {}
        return {
            "agent": provider.runtime,
            "runtime": provider.runtime,
            "runtime_version": version,
            "library_sha256": library_sha256(libraries[0]) if libraries else None,
            **gpu,
        }

    def conditions(self) -> dict:
        """Clocks, heat and power of the GPU, where its own program tells."""
        return {"gpu": nvidiagpu.conditions(self._gpu)} if self._gpu else {}

    def open(self, path: str, threads: int, processor: str, precision: str) -> OnProvider:
        """Load a model that the provider must take alone."""
        options = self._provider.options(threads, precision)
        try:
            session = self._session(path, options, threads, is_alone=True)
        except Exception as error:
            raise JobError("load", self._why_refused(path, options, threads) or _said(error)) from error
        if said := self._refusal(session):
            raise JobError("load", said)
        return (OnProvider if processor == CPU else OnGpu)(session, path, self._provider)

    def _session(self, path: str, options: dict, threads: int, *, is_alone: bool):
        settings = session_options(threads)
        settings.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
        if is_alone:
            settings.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
        if self._devices:
            settings.add_provider_for_devices(self._devices, options)
            return onnxruntime.InferenceSession(path, settings, enable_fallback=0)
        providers = [(self._provider.name, options)]
        return onnxruntime.InferenceSession(path, settings, providers=providers, enable_fallback=0)

    def _why_refused(self, path: str, options: dict, threads: int) -> str:
        """What the provider leaves to the CPU where it may; empty where that is not what went wrong."""
        try:
            return self._refusal(self._session(path, options, threads, is_alone=False))
        except Exception:  # noqa: BLE001 - it says the same, and that is told
            return ""

    def _refusal(self, session: onnxruntime.InferenceSession) -> str:
        """A sentence where the provider has not taken every operator."""
        provider = self._provider
        if provider.name not in session.get_providers():
            return _not_there(provider, "it cannot be loaded: its libraries or its processor are missing")
        parts = [p for p in session.get_provider_graph_assignment_info() if p.ep_name != provider.name]
        left = [f"{node.op_type} ({node.name})" for part in parts for node in part.get_nodes()]
        if not left:
            return ""
        named = ", ".join(left[:_NAMED]) + (" and others" if len(left) > _NAMED else "")
        return f"the {provider.name} must take every operator, but leaves {len(left)} to others: {named}"


def run(provider: Provider) -> int:
    """Be the agent of a provider."""
    return main(OnnxRuntimeProvider(provider))


def session_options(threads: int) -> onnxruntime.SessionOptions:
    """All graph optimisations, so many threads, int8 right on any CPU, and errors alone in the log."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # On x86 without VNNI, sums of int8 products overflow by default, and answers are wrong.
    options.add_session_config_entry("session.x64quantprecision", "1")
    return options


def session_on_cpu(path: str, options: onnxruntime.SessionOptions) -> onnxruntime.InferenceSession:
    """A session on the CPU; raises RuntimeError without the places in ONNX Runtime's source."""
    try:
        return onnxruntime.InferenceSession(path, options, providers=[_CPU_PROVIDER])
    except Exception as error:
        raise RuntimeError(_said(error)) from error


def _said(error: Exception) -> str:
    return _PLACE.sub(" ", str(error)).strip()


def _as_written(path: str) -> onnxruntime.InferenceSession:
    """What computes an int8 file in fp32 as well: its roundings are operators, which nothing fuses."""
    options = session_options(1)
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return session_on_cpu(path, options)


def _devices(provider: Provider) -> list:
    """What a plug-in offers on this machine, on its processor; SystemExit where the provider is not there."""
    if not hasattr(onnxruntime.InferenceSession, "get_provider_graph_assignment_info"):
        raise SystemExit(
            f"ONNX Runtime must say which provider took what, but {onnxruntime.__version__} does not: "
            "install a newer one"
        )
    for name in provider.preloaded:
        if importlib.util.find_spec(name):
            importlib.import_module(name)
    if not provider.plugin:
        if provider.name not in onnxruntime.get_available_providers():
            raise SystemExit(_not_there(provider, f"onnxruntime {onnxruntime.__version__} is without"))
        if provider.processor == "gpu":
            onnxruntime.preload_dlls()
        return []
    try:
        module = importlib.import_module(provider.plugin)
    except ImportError:
        raise SystemExit(_not_there(provider, f"{provider.plugin} is not installed")) from None
    onnxruntime.register_execution_provider_library(provider.name, module.get_library_path())
    found = [device for device in onnxruntime.get_ep_devices() if device.ep_name == provider.name]
    kind = getattr(onnxruntime.OrtHardwareDeviceType, provider.processor.upper())
    if not (found := [device for device in found if device.device.type == kind]):
        raise SystemExit(_not_there(provider, f"it finds no {provider.processor} that it supports"))
    return found[:1]


def _not_there(provider: Provider, found: str) -> str:
    return f"{provider.runtime} must have the {provider.name}, but {found}: {provider.remedy}"


def _blank(value: np.ndarray) -> np.ndarray:
    """What no output is, of its type and shape."""
    if value.dtype.kind == "f":
        return np.full_like(value, np.nan)
    return np.full_like(value, np.iinfo(value.dtype).max if value.dtype.kind in "iu" else True)


def _first_gpu() -> str:
    """The GPU that CUDA calls number 0, with the numbers of nvidia-smi."""
    os.environ.setdefault("CUDA_DEVICE_ORDER", "PCI_BUS_ID")
    return os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")[0] or "0"


def _gpu(gpu: str) -> dict:
    name, capability, memory_mib, driver = nvidiagpu.told(
        gpu, "name", "compute_cap", "memory.total", "driver_version"
    )
    memory_bytes = int(memory_mib) * 1024**2 if memory_mib and memory_mib.isdecimal() else None
    return {"name": name, "capability": capability, "memory_bytes": memory_bytes, "driver": driver}
