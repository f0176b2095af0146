"""What a runtime is: everything that differs between LiteRT, ONNX Runtime and whatever comes next."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from hwnas.errors import AgentError, DeviceError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Arrays: TypeAlias = "tuple[NDArray[np.float32], ...]"
Values: TypeAlias = "NDArray[np.float32] | tuple[NDArray[np.float32], ...]"
"""What goes into a model or comes out of it: an array, or a tuple of several."""
Batch: TypeAlias = "Callable[..., Values]"
"""Answers images (n, channels, height, width), one argument an input; n is the model's own batch."""


def arrays(values: Values) -> Arrays:
    """One or several arrays, always as a tuple of them."""
    return values if isinstance(values, tuple) else (values,)


def one_or_several(parts: Sequence[NDArray[np.float32]]) -> Values:
    """The array itself where there is one, else a tuple of them."""
    return tuple(parts) if len(parts) != 1 else parts[0]


CPU = "cpu"


@dataclass(frozen=True)
class Precision:
    """What computing in a precision means; errors are norms, relative to that of fp32's output on the CPU.

    Attributes:
        file: Precision of the files that it is computed from: "fp32", "int8" or "16x8".
        is_whole: Whether it is computed in whole numbers, whose ranges come from images.
        most: Largest error of an output that was computed in it.
        least: On another processor than the CPU, an output that is this near was computed in fp32.
    """

    file: str
    is_whole: bool = False
    most: float = math.inf
    least: float = 0.0


_AS_FP32 = 1e-5  # sums of another order differ by less; the coarser precisions by more
PRECISIONS = {
    "fp32": Precision("fp32", most=_AS_FP32),
    "int8": Precision("int8", is_whole=True, most=0.25),  # kernels round apart: by .045 in known networks
    "16x8": Precision("16x8", is_whole=True),
    "fp16": Precision("fp32", most=2e-2, least=_AS_FP32),
    "bf16": Precision("fp32", most=5e-2, least=_AS_FP32),
    "tf32": Precision("fp32", most=5e-3, least=_AS_FP32),
}
"""All that a target may have. Files are written in those that are their own ``file``. "16x8" is int16 for
what is computed and int8 for weights."""

REFERENCE = "cpu-fp32"
"""What agents compare with, as they say it: the output that the same file has in fp32 on the CPU."""


@dataclass(frozen=True)
class Format:
    """A kind of model file; ``hwnas.export`` has a writer of each.

    Attributes:
        name: What writers are looked up by.
        suffix: Of its files.
        layout: Order of an image's dimensions in it: "NHWC" or "NCHW".
    """

    name: str
    suffix: str
    layout: str


TFLITE = Format("tflite", ".tflite", "NHWC")
ONNX = Format("onnx", ".onnx", "NCHW")
PTE = Format("pte", ".pte", "NCHW")


@dataclass(frozen=True)
class Execution:
    """How a runtime executes a model, after its delegates and optimisations.

    Attributes:
        operators: How often each operator occurs.
        float_operators: Operators that read or write float, as ``TYPE (name)``; converting
            the input and the output of the model is not counted.
        partitions: Delegate partitions, None for runtimes without delegates.
        undelegated: Operators outside every partition.
    """

    operators: Mapping[str, int]
    float_operators: tuple[str, ...]
    partitions: int | None
    undelegated: tuple[str, ...]


@dataclass(frozen=True)
class Tensor:
    """What goes into a model, or comes out of it.

    Attributes:
        name: As its runtime calls it.
        shape: None for a dimension that the file leaves open; None altogether where it leaves their number
            open.
        dtype: As numpy calls it: "float32", "int64"; "string" for text.
    """

    name: str
    shape: tuple[int | None, ...] | None
    dtype: str

    @property
    def is_open(self) -> bool:
        """Whether its file leaves a dimension open."""
        return self.shape is None or None in self.shape

    @property
    def is_whole(self) -> bool:
        """Whether it holds whole numbers that may count or point somewhere, and are not quantised values."""
        return self.dtype.strip("u") in ("int16", "int32", "int64", "bool")

    @property
    def text(self) -> str:
        """Its shape as it is typed, with a question mark for what is open."""
        if self.shape is None:
            return "?"
        return "x".join("?" if size is None else str(size) for size in self.shape) or "scalar"


@dataclass(frozen=True)
class Description:
    """What a model file says of itself, whoever made it; read without running anything.

    Attributes:
        inputs: What goes in.
        outputs: What comes out.
        operators: How often each operator occurs.
        precision: What its operators with weights are written to compute in: "fp32", "fp16", "int8", another
            type by its name, "mixed" for several, "other" where none of them is known.
        custom: Those of the operators that are none of the format's own.
        graphs: How many graphs can be run from outside; of these one is what runs.
        main_graph: Which one that is.
        beside: Names of files in its folder that hold its weights, where it does not hold them itself.
    """

    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    operators: Mapping[str, int]
    precision: str
    custom: tuple[str, ...] = ()
    graphs: int = 1
    main_graph: str = "the first"
    beside: tuple[str, ...] = ()


_KINDS = {"float32": "fp32", "float16": "fp16", "bfloat16": "bf16", "float64": "fp64", "uint8": "int8"}
_16X8 = {"int16", "int8"}


def precision_of(operators: Iterable[Collection[str]]) -> str:
    """What a model computes in.

    Args:
        operators: For each of those that do the work, the types of the values that it multiplies.
    """
    kinds = {
        "16x8" if dtypes == _16X8 else _KINDS.get(dtype, dtype)
        for dtypes in map(set, operators)
        for dtype in dtypes
    }
    return "mixed" if len(kinds) > 1 else next(iter(kinds), "other")


@dataclass(frozen=True)
class Host:
    """How models are run in this process, to prove that they compute what PyTorch computes.

    Attributes:
        runtime: Name of the runtime that does it.
        open: Opens a model (a file or its content) with so many threads; gives the shape of its
            input as (n, channels, height, width), whatever the model's layout is, of several a tuple of
            shapes; and what answers. Raises ExportError where the runtime refuses the model.
        execution: Looks at the graph that is executed.
        quantization: How whole numbers stand for values at both ends of a model:
            ``{"input": {"dtype", "scale", "zero_point"}, "output": ...}``, value = scale * (number -
            zero_point), further ones as "input1", "output1" and so on; empty where it reads and answers
            floats.
        describe: Reads what a file says of itself; raises ExportError where it is damaged, or no such model.
        delegate: What must run all of a model in one piece; empty where there is no such thing.
        delegate_lacks: Precisions that the delegate has no kernels for: then the runtime itself computes.
        keeps_int8: Whether it computes all of an int8 model in whole numbers, as the file says. One that
            does not decides itself, and what it computes in float is only told.
        float_in_int8: Operators that it had better compute in float all the same, which is told as well.
    """

    runtime: str
    open: Callable[[bytes | Path, int], tuple[tuple[Any, ...], Batch]]
    execution: Callable[[bytes], Execution]
    quantization: Callable[[bytes | Path], dict[str, dict[str, Any]]]
    describe: Callable[[Path], Description]
    delegate: str = ""
    delegate_lacks: tuple[str, ...] = ()
    keeps_int8: bool = True
    float_in_int8: tuple[str, ...] = ()


@dataclass(frozen=True)
class Runtime:
    """A program that runs networks on devices. Code elsewhere never asks which one it has.

    Attributes:
        name: As in targets, tables and file names.
        format: What its models are files of.
        precisions: That it computes in, of ``PRECISIONS``; what no file says, where it proves that alone.
        processors: That its agents can measure: "cpu", "gpu", "npu".
        agent: Folder in ``profilers/``; for the machine that hwnas runs on, any other one, as an
            absolute path.
        host: What runs its models in this process.
        proves_delegation: Whether its agents say in each reply which processor took the model.
            Nothing but the CPU is believed without.
        proves_precision: Processors on which its agents choose the arithmetic themselves, and say in each
            reply how the output compares with fp32's on the CPU. What is computed otherwise than its file
            says is believed with that alone.
        example: File in ``hwnas/release/examples`` that ships beside its models; without one, an
            export makes none for it.
        packages: Distributions whose versions bear on its models.
        also_reads: Other files than its own models that it can be measured with.
        joins_on_one_scale: Whether its int8 computes the parts of a concatenation on the levels of the
            result, instead of rounding each on levels of its own before.
        mixes: Precisions that some layers of an int8 file may be kept in.
    """

    name: str
    format: Format
    precisions: tuple[str, ...]
    processors: tuple[str, ...]
    agent: str
    host: Host
    proves_delegation: bool = False
    proves_precision: tuple[str, ...] = ()
    example: str = ""
    packages: tuple[str, ...] = ()
    also_reads: tuple[Format, ...] = ()
    joins_on_one_scale: bool = False
    mixes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.proves_delegation and set(self.processors) - {CPU}:
            raise DeviceError(
                f"a runtime must prove delegation to be used on {self.processors}, but {self.name} does not"
            )
        if not self.proves_precision and set(self.precisions) - set(self.files):
            raise DeviceError(
                f"a runtime must prove its precision to have {self.precisions}, but {self.name} does not"
            )

    @property
    def files(self) -> tuple[str, ...]:
        """Precisions of the files that it runs."""
        return tuple(dict.fromkeys(PRECISIONS[name].file for name in self.precisions))

    @property
    def read(self) -> frozenset[str]:
        """Names of all formats that it can be measured with."""
        return frozenset(kind.name for kind in (self.format, *self.also_reads))

    def precisions_on(self, processor: str) -> tuple[str, ...]:
        """Those that it computes in on a processor."""
        proven = processor in self.proves_precision
        return tuple(name for name in self.precisions if proven or name in self.files)

    def require(self, precision: str, processor: str) -> None:
        """Refuse what this runtime cannot do; raises DeviceError."""
        for what, value, known in (
            ("processor", processor, self.processors),
            ("precision", precision, self.precisions_on(processor)),
        ):
            if value not in known:
                raise DeviceError(f"the {what} must be one of {known} with {self.name}, but got {value!r}")

    def require_delegated(self, processor: str, reply: Mapping[str, Any]) -> None:
        """Refuse a reply that does not prove which processor took the model; raises AgentError.

        The CPU needs no proof: it is where everything runs that nothing else takes.
        """
        took = reply.get("processor") if self.proves_delegation else None
        if processor not in (CPU, took):
            raise AgentError(
                f"the agent must prove that the {processor} took the model, but says {took!r}: "
                "it may have run on the CPU"
            ).see("faq.md#why-did-it-silently-fall-back-to-the-cpu")

    def require_precise(self, precision: str, processor: str, reply: Mapping[str, Any]) -> None:
        """Refuse a reply that does not prove what its output was computed in; raises AgentError.

        Nothing is asked where a runtime computes as its files say, nor, of a file's own precision, from a
        program of others that prints its results and no output (``aggregated``).
        """
        is_told = reply.get("aggregated") and precision in self.files
        if processor not in self.proves_precision or is_told:
            return
        check: Any = reply.get("check")
        if not (isinstance(check, dict) and check.get("against") == REFERENCE):
            raise AgentError(f"the agent must compare its output with {REFERENCE}, but says {check!r}")
        where = f"{precision} on the {processor}"
        if check.get("nonfinite") != 0:
            raise AgentError(
                f"{where} must answer finite numbers, but {check.get('nonfinite')} of an output are not: the "
                "model may leave its range"
            )
        errors: list[Any] = [check.get("first"), check.get("last")]
        if not all(type(error) in (int, float) and math.isfinite(error) for error in errors):
            raise AgentError(f"the agent must say how far its output is off {REFERENCE}, but says {check!r}")
        limits, worst = PRECISIONS[precision], max(errors)
        if worst > limits.most:
            raise AgentError(
                f"{where} must be within {limits.most:g} of {REFERENCE}, but is off by {errors[0]:.1e} "
                f"before and {errors[1]:.1e} after the samples: its times are of something else"
            )
        if processor != CPU and worst < limits.least:
            raise AgentError(
                f"{where} must be off {REFERENCE} by {limits.least:g} or more, but is by {worst:.1e}: it was "
                "computed in fp32"
            )


def content_of(model: bytes | Path) -> bytes | str:
    """A model as native code takes it: its path, or its bytes where the path is no text."""
    if isinstance(model, bytes):
        return model
    path = str(model)
    try:
        path.encode()
    except UnicodeEncodeError:
        return model.read_bytes()
    return path
