"""What a ``.pte`` file says of itself, read from its flatbuffers; no runtime is needed.

A program holds a plan: calls of kernels, and of delegates, whose graphs are opaque to it. Those of
XNNPACK are flatbuffers of their own. Slots of fields and members of unions are those of ExecuTorch's schemas
(``program.fbs`` and XNNPACK's ``schema.fbs``), which only ever get longer.
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from hwnas.errors import ExportError
from hwnas.runtimes.base import Description, Tensor, precision_of

XNNPACK = "XnnpackBackend"
_MUST_COMPUTE = "a .pte file must compute something to be measured"
MAGIC, EXTENDED = b"ET12", b"eh00"
_TENSOR = 5  # of the members of KernelTypes
_KERNEL_CALL, _DELEGATE_CALL = 1, 2  # of InstructionArguments
_INLINE = 0  # of DataLocation
_QUANTIZED = 2  # of XValueUnion
METHOD = "forward"
"""What is run of a program, which may hold other methods as well."""
_TYPES = {0: "uint8", 1: "int8", 2: "int16", 3: "int32", 4: "int64", 5: "float16", 6: "float32", 7: "float64"}
_TYPES |= {11: "bool", 15: "bfloat16"}
_DATATYPES = {1: "float32", 2: "float16", 3: "int8", 4: "uint8", 6: "int8", 9: "int8", 14: "bfloat16"}
"""Of XNNPACK's values; what is not here multiplies nothing."""
NODES = (
    "Add",
    "FullyConnected",
    "Softmax",
    "Sigmoid",
    "StaticTranspose",
    "Clamp",
    "Conv2d",
    "Div",
    "StaticResizeBilinear2D",
    "StaticConstantPad",
    "AvgPooling2d",
    "Minimum",
    "DepthwiseConv2d",
    "MaxPooling2d",
    "Multiply",
    "Subtract",
    "Floor",
    "Convert",
    "GlobalAvgPooling2d",
    "StaticReshape",
    "ArgMaxPooling2d",
    "SquareRoot",
    "Ceiling",
    "Hardswish",
    "LeakyReLU",
    "Maximum",
    "Negate",
    "Square",
    "ELU",
    "Abs",
    "PReLU",
    "Concatenate2",
    "Concatenate3",
    "Concatenate4",
    "StaticSlice",
    "ScaledDotProductAttention",
    "BatchMatrixMultiply",
    "Concatenate5",
    "ConvTranspose2d",
    "ReciprocalSquareRoot",
    "Log",
    "Gelu",
    "Tanh",
    "Exp",
    "Sin",
    "Copy",
    "Cos",
)
"""Members of XNodeUnion."""
_MULTIPLYING = {"FullyConnected", "BatchMatrixMultiply", "Conv2d", "DepthwiseConv2d", "ConvTranspose2d"}
_ENDS = {
    **dict.fromkeys(("Conv2d", "DepthwiseConv2d", "ConvTranspose2d"), (15, 16, 18)),
    **dict.fromkeys(("AvgPooling2d", "MaxPooling2d"), (10, 11)),
    **dict.fromkeys(("StaticTranspose", "StaticReshape", "StaticResizeBilinear2D"), (2, 3)),
    **dict.fromkeys(("StaticSlice", "StaticConstantPad"), (3, 4)),
    **dict.fromkeys(
        ("Add", "Multiply", "Subtract", "Div", "Minimum", "Maximum", "BatchMatrixMultiply"), (0, 1, 2)
    ),
    **dict.fromkeys(("Concatenate2", "Concatenate3", "Concatenate4", "Concatenate5"), (1, 2, 5)),
    "FullyConnected": (0, 1, 3),
}
"""Slots of what an operator reads, weights as well, and of what it makes; of all others the first two."""


@dataclass(frozen=True)
class Plan:
    """What the method of a program that is run does.

    Attributes:
        inputs: What goes in.
        outputs: What comes out.
        kernels: Operators outside of every delegate, by name, each as often as it is called.
        delegates: Name of each delegate that is called.
        operators: Those within XNNPACK's graphs, each with the types of what it reads and makes.
        methods: Names of all methods of the program.
    """

    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    kernels: tuple[str, ...]
    delegates: tuple[str, ...]
    operators: tuple[tuple[str, frozenset[str]], ...]
    methods: tuple[str, ...] = (METHOD,)


def describe(path: Path) -> Description:
    """Inputs, outputs, operators and precision of a file.

    Raises:
        ExportError: It is damaged, or no ``.pte`` model.
    """
    plan = read(path.read_bytes())
    names = [*plan.kernels, *(name for name, _ in plan.operators)]
    precision = precision_of(types for name, types in plan.operators if name in _MULTIPLYING)
    operators = dict(sorted(Counter(names).items()))
    return Description(
        plan.inputs, plan.outputs, operators, precision, graphs=len(plan.methods), main_graph=METHOD
    )


def read(content: bytes) -> Plan:
    """The plan of the method of a program that is run; raises ExportError where there is none."""
    if content[4:8] != MAGIC:
        raise ExportError(
            "a .pte file must have ET12 in its first eight bytes, but this one has not: it is damaged, or of "
            "another format"
        )
    try:
        return _plan(content)
    except (LookupError, struct.error, TypeError, UnicodeDecodeError, ValueError) as error:
        raise ExportError(
            f"a .pte file must be one of ExecuTorch, but this one is damaged: {error}"
        ) from error


class _Fields:
    """A table of a flatbuffer: fields by their slots, 0 where they are left out, as the schemas have it."""

    def __init__(self, content: bytes, place: int) -> None:
        self._content, self._place = content, place
        self._slots = place - self._number(place, "i")

    @classmethod
    def root(cls, content: bytes) -> _Fields:
        """That which a buffer begins with."""
        return cls(content, struct.unpack_from("<I", content)[0])

    def number(self, slot: int, kind: str) -> int:
        """A number of a kind of ``struct``."""
        at = self._at(slot)
        return self._number(at, kind) if at else 0

    def text(self, slot: int) -> str:
        return self.bytes(slot).decode()

    def table(self, slot: int) -> _Fields:
        at = self._at(slot)
        if not at:
            raise ValueError(f"field {slot} of a table is missing")
        return _Fields(self._content, at + self._number(at, "I"))

    def numbers(self, slot: int, kind: str) -> tuple[int, ...]:
        return tuple(self._number(at, kind) for at in self._places(slot, struct.calcsize(f"<{kind}")))

    def tables(self, slot: int) -> Iterator[_Fields]:
        for at in self._places(slot, 4):
            yield _Fields(self._content, at + self._number(at, "I"))

    def bytes(self, slot: int) -> bytes:
        places = self._places(slot, 1)
        return self._content[places.start : places.stop]

    def _at(self, slot: int) -> int:
        """Where a field is; 0 for one that is left out."""
        offset = 4 + 2 * slot
        found = self._number(self._slots + offset, "H") if offset < self._number(self._slots, "H") else 0
        return self._place + found if found else 0

    def _places(self, slot: int, width: int) -> range:
        """Where the items of a list are."""
        at = self._at(slot)
        if not at:
            return range(0)
        start = at + self._number(at, "I")
        end = start + 4 + self._number(start, "I") * width
        if end > len(self._content):
            raise ValueError("a list is longer than the file")
        return range(start + 4, end, width)

    def _number(self, place: int, kind: str) -> int:
        if place < 0:
            raise ValueError("a table lies before the file")
        return int(struct.unpack_from(f"<{kind}", self._content, place)[0])


def _plan(content: bytes) -> Plan:
    program = _Fields.root(content)
    plans = {plan.text(0): plan for plan in program.tables(1)}
    if not plans:
        raise ExportError(f"{_MUST_COMPUTE}, but this one has no methods")
    if METHOD not in plans:
        raise ExportError(
            f"a .pte file must have the method {METHOD} to be measured, but this one has "
            f"{', '.join(plans)}: export what is to be measured as {METHOD}"
        )
    plan = plans[METHOD]
    values, kernels = list(plan.tables(2)), [item.text(0) for item in plan.tables(6)]
    delegates = list(plan.tables(7))
    called: list[str] = []
    outside: list[str] = []
    operators: list[tuple[str, frozenset[str]]] = []
    for instruction in (item for chain in islice(plan.tables(5), 1) for item in chain.tables(2)):
        kind = instruction.number(0, "B")
        if kind == _KERNEL_CALL:
            outside.append(kernels[instruction.table(1).number(0, "i")])
        elif kind == _DELEGATE_CALL:
            delegate = delegates[instruction.table(1).number(0, "i")]
            called.append(delegate.text(0))
            if called[-1] == XNNPACK:
                operators += _of_xnnpack(_data(content, program, delegate.table(1)))
    inputs = tuple(_end(f"x{n}", values[index]) for n, index in enumerate(plan.numbers(3, "i")))
    outputs = tuple(_end(f"y{n}", values[index]) for n, index in enumerate(plan.numbers(4, "i")))
    if not (outside or called):
        raise ExportError(f"{_MUST_COMPUTE}, but this one has no operators")
    if not outputs:
        raise ExportError(f"{_MUST_COMPUTE}, but this one has no outputs")
    return Plan(inputs, outputs, tuple(outside), tuple(called), tuple(operators), tuple(plans))


def _end(name: str, value: _Fields) -> Tensor:
    if value.number(0, "B") != _TENSOR:
        return Tensor(name, None, "no tensor")
    tensor = value.table(1)
    return Tensor(name, tensor.numbers(2, "i"), _TYPES.get(tensor.number(0, "B"), "other"))


def _data(content: bytes, program: _Fields, reference: _Fields) -> bytes:
    """A delegate's own, inside of the program or in a segment after it."""
    index = reference.number(1, "I")
    if reference.number(0, "B") == _INLINE:
        return list(program.tables(3))[index].bytes(0)
    if content[8:12] != EXTENDED:
        raise ValueError("it has segments, and no header that says where")
    base = struct.unpack_from("<IQQ", content, 12)[2]
    segment = list(program.tables(4))[index]
    start = base + segment.number(0, "Q")
    return content[start : start + segment.number(1, "Q")]


def _of_xnnpack(data: bytes) -> Iterator[tuple[str, frozenset[str]]]:
    """The operators of a graph."""
    start = 0
    if data[4:8] == b"XH00":
        start, size = struct.unpack_from("<II", data, 10)
        data = data[start : start + size]
    graph = _Fields.root(data)
    types = dict(_value(item) for item in graph.tables(2))
    for item in graph.tables(1):
        kind, node = item.number(0, "B"), item.table(1)
        name = NODES[kind - 1] if 0 < kind <= len(NODES) else f"operator {kind}"
        touched = (types.get(node.number(slot, "I")) for slot in _ENDS.get(name, (0, 1)))
        yield name, frozenset(dtype for dtype in touched if dtype)


def _value(item: _Fields) -> tuple[int, str | None]:
    """A value's number, and what type it is of."""
    tensor = item.table(1)
    if item.number(0, "B") == _QUANTIZED:
        tensor = tensor.table(0)
    return tensor.number(6, "I"), _DATATYPES.get(tensor.number(0, "h"))
