"""Times .onnx models with PyTorch in several precisions: on an NVIDIA GPU as a CUDA graph, or on the CPU."""

from __future__ import annotations

import ctypes
import functools
import inspect
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import torch
from torch.nn import functional

sys.path.append(str(Path(__file__).resolve().parent.parent))
import nvidiagpu
from pyagent import CounterError, JobError, difference, library_sha256, main, random_input

_DTYPES = {"fp32": torch.float32, "tf32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
_CAPABLE = {"tf32": (8, 0), "bf16": (8, 0)}  # compute capability with such units; older ones imitate them
_CAPTURED_AFTER = 3  # runs in which cuDNN picks its kernels
_OLDEST_OPSET = 13  # limits of Clip and bounds of Slice are inputs by then
_NEUTRAL = {"auto_pad": b"NOTSET", "ceil_mode": 0, "storage_order": 0, "allowzero": 0, "alpha": 1, "beta": 1}
_ONES, _ZEROS = (1, 1), (0, 0, 0, 0)


def _conv(x, weight, bias=None, *, kernel_shape=(), strides=_ONES, pads=_ZEROS, dilations=_ONES, group=1):
    top, left, bottom, right = pads
    if (top, left) != (bottom, right):
        x, top, left = functional.pad(x, (left, right, top, bottom)), 0, 0
    return functional.conv2d(x, weight, bias, strides, (top, left), dilations, group)


def _max_pool(x, *, kernel_shape, strides=_ONES, pads=_ZEROS, dilations=_ONES):
    top, left, bottom, right = pads
    if any(pads):
        x = functional.pad(x, (left, right, top, bottom), value=-torch.inf)
    return functional.max_pool2d(x, kernel_shape, strides, dilation=dilations)


def _gemm(a, b, c=None, *, transA=0, transB=0):
    a, b = a.T if transA else a, b if transB else b.T
    return functional.linear(a, b, c)


def _slice(x, starts, ends, axes=None, steps=None):
    parts = [slice(None)] * x.ndim
    axes, steps = axes or range(len(starts)), steps or [1] * len(starts)
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        parts[axis] = slice(start, end, step)
    return x[tuple(parts)]


def _resize(x, _roi, _scales, sizes=None, *, mode):
    if mode != b"linear" or sizes is None or sizes[:2] != list(x.shape[:2]):
        raise JobError("load", "Resize must be linear, to heights and widths that the file says, but is not")
    return functional.interpolate(x, sizes[2:], mode="bilinear", align_corners=False)


def _reshape(x, shape):
    return x.reshape([size or x.shape[axis] for axis, size in enumerate(shape)])


def _concat(*parts, axis):
    return torch.cat(parts, axis)


def _flatten(x, *, axis=1):
    return x.reshape(x.shape[:axis].numel(), -1)


def _transpose(x, *, perm):
    return x.permute(perm)


OPERATORS: dict[str, Callable] = {
    "Add": lambda a, b: a + b,
    "Clip": lambda x, low=None, high=None: torch.clamp(x, low, high),
    "Concat": _concat,
    "Conv": _conv,
    "Flatten": _flatten,
    "Gemm": _gemm,
    "GlobalAveragePool": lambda x: x.mean((2, 3), keepdim=True),
    "MaxPool": _max_pool,
    "Mul": lambda a, b: a * b,
    "Relu": functional.relu,
    "Reshape": _reshape,
    "Resize": _resize,
    "Slice": _slice,
    "Transpose": _transpose,
}
"""Those that hwnas writes. Inputs are positional, attributes keywords of their name; no other is known."""


class Network(torch.nn.Module):
    """What a file computes. Whole numbers and scalars stay on the host, all other constants are buffers."""

    def __init__(self, path: str) -> None:
        super().__init__()
        model = onnx.load(path)
        graph = model.graph
        _require_known(model)
        self._numbers: dict = {"": None}  # an input that is left out
        self._held: dict[str, str] = {}
        for number, tensor in enumerate(graph.initializer):
            value = onnx.numpy_helper.to_array(tensor)
            if value.dtype == np.float32 and value.ndim:
                self.register_buffer(f"constant{number}", torch.from_numpy(value.copy()))
                self._held[tensor.name] = f"constant{number}"
            else:
                self._numbers[tensor.name] = value.tolist()
        self._steps = [
            (OPERATORS[node.op_type], tuple(node.input), node.output[0], _attributes(node))
            for node in graph.node
        ]
        self.inputs = {
            value.name: [size.dim_value or 1 for size in value.type.tensor_type.shape.dim]
            for value in graph.input
            if value.name not in self._held and value.name not in self._numbers
        }
        self.outputs = [value.name for value in graph.output]

    def __len__(self) -> int:
        return len(self._steps)

    def forward(self, *given):
        """The outputs, in their order."""
        values = self._numbers | {name: self._buffers[held] for name, held in self._held.items()}
        values |= zip(self.inputs, given, strict=True)
        for operator, sources, result, attributes in self._steps:
            values[result] = operator(*(values[name] for name in sources), **attributes)
        return tuple(values[name] for name in self.outputs)


def _attributes(node) -> dict:
    """Attributes but for those that change nothing."""
    found = {item.name: onnx.helper.get_attribute_value(item) for item in node.attribute}
    return {name: value for name, value in found.items() if value != _NEUTRAL.get(name)}


def _require_known(model) -> None:
    """Refuse by name what would be computed otherwise than ONNX says, or not at all."""
    graph = model.graph
    odd = sorted({node.op_type for node in graph.node if node.domain or node.op_type not in OPERATORS})
    if odd:
        known = ", ".join(OPERATORS)
        raise JobError("load", f"operators must be of {known}, but the model has {', '.join(odd)}")
    opset = next((item.version for item in model.opset_import if not item.domain), 0)
    if opset < _OLDEST_OPSET:
        raise JobError("load", f"a model must be of opset {_OLDEST_OPSET} or later, but is of {opset}")
    for node in graph.node:
        takes = inspect.signature(OPERATORS[node.op_type]).parameters.values()
        known = {item.name for item in takes if item.kind == inspect.Parameter.KEYWORD_ONLY}
        unknown = sorted(set(_attributes(node)) - known)
        if unknown or len(node.output) != 1:
            what = f"{', '.join(unknown)} of {node.op_type}" if unknown else f"the outputs of {node.op_type}"
            raise JobError("load", f"operators must be as hwnas writes them, but {what} cannot be computed")
    floats = onnx.TensorProto.FLOAT
    if any(value.type.tensor_type.elem_type != floats for value in (*graph.input, *graph.output)):
        raise JobError("load", "inputs and outputs must be float32, but some are not")


class Loaded:
    """A model on the CPU."""

    device = "cpu"

    def __init__(self, path: str, precision: str) -> None:
        self._path, self._dtype = path, _DTYPES[precision]
        self._network = Network(path).eval()
        self._shapes = dict(self._network.inputs)
        self._expected: list | None = None

    def reshape(self, shapes: dict) -> None:
        """Inputs of other shapes than those of the file, which leaves dimensions open."""
        self._shapes |= shapes

    def allocate(self) -> None:
        """Convert the weights and put them where they are computed with, images with their channels last."""
        self._network.to(self.device, self._dtype)
        for name, buffer in self._network.named_buffers():
            setattr(self._network, name, self._placed(buffer))
        self._inputs = [self._placed(torch.zeros(shape)) for shape in self._shapes.values()]
        self._outputs: tuple = ()

    def _placed(self, value: torch.Tensor) -> torch.Tensor:
        layout = torch.channels_last if value.ndim == 4 else torch.contiguous_format
        return value.to(self.device, self._dtype).contiguous(memory_format=layout)

    def fill(self, rng: np.random.Generator) -> None:
        """Random inputs."""
        self.give({name: random_input(rng, shape, np.float32) for name, shape in self._shapes.items()})

    def give(self, arrays: dict) -> None:
        """Inputs of the user's."""
        self._given = [torch.from_numpy(arrays[name]) for name in self._shapes]
        for place, value in zip(self._inputs, self._given, strict=True):
            place.copy_(value)

    def invoke(self) -> None:
        """One inference."""
        self._outputs = self._network(*self._inputs)

    def outputs(self):
        """Bytes of every output."""
        for value in self._outputs:
            yield value.float().cpu().contiguous().numpy().tobytes()

    def check(self) -> dict:
        """How one run more compares with fp32 on the CPU; an output that it does not write is no number."""
        if self._expected is None:
            self._expected = [value.numpy() for value in Network(self._path).eval()(*self._given)]
        for value in self._outputs:
            value.fill_(torch.nan)
        self.invoke()
        return difference([value.cpu().double().numpy() for value in self._outputs], self._expected)

    def coverage(self) -> dict:
        """Every operator is run where the outputs are, one after the other; none was left out."""
        where = {value.device.type for value in self._outputs}
        taken = {"cpu": "cpu", "cuda": "gpu"}.get(where.pop()) if len(where) == 1 else None
        nodes = {"nodes": len(self._network), "delegate_partitions": None, "delegated_nodes": None}
        return nodes | {"processor": taken}


def _ends_with_the_gpu(method: Callable) -> Callable:
    """End this process where the GPU failed: nothing runs in it any more, and the host starts another one."""

    @functools.wraps(method)
    def guarded(self) -> None:
        try:
            method(self)
        except torch.AcceleratorError as error:
            raise SystemExit(f"the GPU failed: {error}") from error

    return guarded


class OnGpu(Loaded):
    """A model on the GPU: captured once, replayed each time, and waited for."""

    device = "cuda"
    is_elsewhere = True

    def __init__(self, path: str, precision: str) -> None:
        self._before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        torch.backends.cudnn.benchmark = True
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = precision == "tf32"
        super().__init__(path, precision)

    @_ends_with_the_gpu
    def allocate(self) -> None:
        """The same, then let cuDNN pick its kernels, and record them."""
        super().allocate()
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(_CAPTURED_AFTER):
                self._network(*self._inputs)
        torch.cuda.current_stream().wait_stream(stream)
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph):
            self._outputs = self._network(*self._inputs)

    @_ends_with_the_gpu
    def invoke(self) -> None:
        """One inference, until it is done."""
        self._graph.replay()
        torch.cuda.synchronize()

    def device_ns(self, runs: int) -> list[int]:
        """Time of single runs by the GPU's own events, which take time themselves."""
        began, ended = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        found = []
        for _ in range(runs):
            began.record()
            self._graph.replay()
            ended.record()
            torch.cuda.synchronize()
            found.append(round(began.elapsed_time(ended) * 1e6))
        return found

    def peak_memory_bytes(self) -> int:
        """Most memory of tensors and workspaces since loading, kernels being picked included."""
        return torch.cuda.max_memory_allocated() - self._before


class TorchCuda:
    """The torch package."""

    takes = ("shapes", "inputs")
    precisions = tuple(_DTYPES)

    def __init__(self) -> None:
        self.processors = ("cpu", "gpu") if torch.version.cuda and torch.cuda.is_available() else ("cpu",)

    def identity(self) -> dict:
        """Who this is. What computes is gigabytes; its binding, which is built with it, stands for all."""
        libraries = sorted((Path(torch.__file__).parent / "lib").glob("libtorch_python.*"))
        gpu = {"gpu": _gpu()} if "gpu" in self.processors else {"no_gpu": _no_gpu()}
        return {
            "agent": "torch_cuda",
            "runtime": "torch_cuda",
            "runtime_version": torch.__version__,
            "library_sha256": library_sha256(libraries[0]) if libraries else None,
            **gpu,
        }

    def conditions(self) -> dict:
        """Clocks, heat and power of the GPU, where its own program tells."""
        if "gpu" not in self.processors:
            return {}
        return {"gpu": nvidiagpu.conditions(_bus())}

    def counter(self, processor: str) -> NvmlEnergy | None:
        """That of the GPU's driver."""
        return NvmlEnergy(_bus()) if processor == "gpu" else None

    def refuses(self, processor: str) -> dict[str, str]:
        """Precisions that this machine's processor lacks, and why."""
        if processor != "gpu":
            return {"tf32": "tf32 must run on the gpu, but is asked for on the cpu, which has none"}
        there = torch.cuda.get_device_capability()
        own = ".".join(map(str, there))
        return {
            name: f"{name} must have a GPU of compute capability {'.'.join(map(str, needed))} or later, but "
            f"this has {own}"
            for name, needed in _CAPABLE.items()
            if there < needed
        }

    def open(self, path: str, threads: int, processor: str, precision: str) -> Loaded:
        """Read a model, for one processor in one precision."""
        if said := self.refuses(processor).get(precision):
            raise JobError("plan", said)
        torch.set_num_threads(threads)
        return OnGpu(path, precision) if processor == "gpu" else Loaded(path, precision)


class NvmlEnergy:
    """Energy of a whole GPU, its memory included, as its driver counts it (millijoules; Volta and later).

    Args:
        bus: Where the GPU is.
    """

    source = "nvml:total_energy"

    def __init__(self, bus: str) -> None:
        try:
            self._library = ctypes.CDLL("libnvidia-ml.so.1")
        except OSError as error:
            raise CounterError(f"NVIDIA's libnvidia-ml.so.1 cannot be loaded ({error})") from error
        self._gpu = ctypes.c_void_p()
        self._ask("nvmlInit_v2")
        self._ask("nvmlDeviceGetHandleByPciBusId_v2", bus.encode(), ctypes.byref(self._gpu))
        self.read_uj()

    def read_uj(self) -> int:
        """Microjoules since the driver was loaded."""
        found = ctypes.c_ulonglong()
        self._ask("nvmlDeviceGetTotalEnergyConsumption", self._gpu, ctypes.byref(found))
        return found.value * 1000

    step = read_uj

    def _ask(self, name: str, *given) -> None:
        status = getattr(self._library, name)(*given)
        if status:
            raise CounterError(f"the GPU's energy counter cannot be read ({name} of NVML answered {status})")


def _gpu() -> dict:
    """What torch says of the GPU, and the version of its driver where its own program tells."""
    found = torch.cuda.get_device_properties(0)
    return {
        "name": found.name,
        "capability": f"{found.major}.{found.minor}",
        "memory_bytes": found.total_memory,
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version(),
        "driver": nvidiagpu.told(_bus(), "driver_version")[0],
    }


def _no_gpu() -> str:
    """Why none can be used."""
    if not torch.version.cuda:
        return f"torch must be built with CUDA, but {torch.__version__} is not: install one that is"
    return f"CUDA must find a GPU, but torch's {torch.version.cuda} finds none: see that nvidia-smi lists it"


def _bus() -> str | None:
    """Where the GPU is, where torch says it; numbers are its own, where some are hidden from it."""
    found = torch.cuda.get_device_properties(0)
    if not hasattr(found, "pci_domain_id"):
        return None
    return f"{found.pci_domain_id:08x}:{found.pci_bus_id:02x}:{found.pci_device_id:02x}.0"


if __name__ == "__main__":
    with torch.inference_mode():
        sys.exit(main(TorchCuda()))
