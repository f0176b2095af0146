"""Times .pte models with ExecuTorch on the CPU."""

from __future__ import annotations

import struct
import sys
from collections import Counter
from importlib import metadata
from pathlib import Path

import numpy as np

try:
    import torch
    from executorch.extension.pybindings import _C as executorch
except ImportError:
    raise SystemExit("executorch is not installed: pip install 'hwnas[executorch]'") from None

sys.path.append(str(Path(__file__).resolve().parent.parent))
from pyagent import JobError, library_sha256, main, random_input

_KINDS = {
    0: np.uint8,
    1: np.int8,
    2: np.int16,
    3: np.int32,
    4: np.int64,
    6: np.float32,
    7: np.float64,
    11: np.bool_,
}
_DELEGATE = "XnnpackBackend"
_METHOD = "forward"


class Loaded:
    """One method of a program."""

    def __init__(self, path: str) -> None:
        self._content = Path(path).read_bytes()
        self._program = executorch._load_program_from_buffer(self._content)

    def allocate(self) -> None:
        """Load the method, for which XNNPACK packs its weights."""
        self._method = self._program.load_method(_METHOD)
        self.invoke = self._method.execute

    def fill(self, rng: np.random.Generator) -> None:
        """Random inputs, which the method keeps."""
        meta = self._method.method_meta()
        found = [meta.input_tensor_meta(number) for number in range(meta.num_inputs())]
        if any(item.dtype() not in _KINDS for item in found):
            raise JobError("input", f"inputs must be of a type that numpy has, but are {found}")
        values = [random_input(rng, item.sizes(), _KINDS[item.dtype()]) for item in found]
        self._inputs = [torch.from_numpy(value) for value in values]
        self._method.set_inputs(self._inputs)

    def outputs(self):
        """Bytes of every output."""
        for value in self._method.get_outputs():
            yield value.contiguous().numpy().tobytes()

    def coverage(self) -> dict:
        """What the program calls beside XNNPACK: its file has decided that."""
        calls = Counter(_calls(self._content))
        partitions = calls.pop(_DELEGATE, 0)
        return {
            "nodes": None,
            "delegate_partitions": partitions,
            "delegated_nodes": None,
            "undelegated": dict(calls),
        }


class ExecuTorch:
    """The executorch package."""

    def identity(self) -> dict:
        """Who this is."""
        library = Path(executorch.__file__).parents[2] / "lib"
        libraries = sorted(library.glob("*executorch_backend_xnnpack*"))
        return {
            "agent": "executorch",
            "runtime": "executorch",
            "runtime_version": metadata.version("executorch"),
            "library_sha256": library_sha256(libraries[0]) if libraries else None,
        }

    def open(self, path: str, threads: int) -> Loaded:
        """Read a program; the threads are XNNPACK's in this process."""
        if executorch._threadpool_get_thread_count() != threads:
            executorch._unsafe_reset_threadpool(threads)
        return Loaded(path)


class _Table:
    """A table of a flatbuffer."""

    def __init__(self, content: bytes, place: int) -> None:
        self._content, self._place = content, place
        self._fields = place - self._number(place, "i")

    def _number(self, place: int, kind: str) -> int:
        return struct.unpack_from(f"<{kind}", self._content, place)[0]

    def _at(self, slot: int) -> int:
        """Where a field is; 0 for one that is left out."""
        offset = 4 + 2 * slot
        if offset >= self._number(self._fields, "H"):
            return 0
        found = self._number(self._fields + offset, "H")
        return found and self._place + found

    def number(self, slot: int, kind: str) -> int:
        at = self._at(slot)
        return self._number(at, kind) if at else 0

    def table(self, slot: int) -> _Table:
        at = self._at(slot)
        return _Table(self._content, at + self._number(at, "I"))

    def text(self, slot: int) -> str:
        at = self._at(slot)
        start = at + self._number(at, "I")
        return self._content[start + 4 : start + 4 + self._number(start, "I")].decode()

    def tables(self, slot: int):
        if at := self._at(slot):
            start = at + self._number(at, "I")
            for number in range(self._number(start, "I")):
                place = start + 4 + 4 * number
                yield _Table(self._content, place + self._number(place, "I"))


def _calls(content: bytes):
    """What the method that is run calls, in order: kernels by name, and delegates."""
    program = _Table(content, struct.unpack_from("<I", content)[0])
    plan = next(plan for plan in program.tables(1) if plan.text(0) == _METHOD)
    kernels, delegates = ([item.text(0) for item in plan.tables(slot)] for slot in (6, 7))
    for instruction in next(plan.tables(5)).tables(2):
        kind = instruction.number(0, "B")
        if kind in (1, 2):
            yield (kernels if kind == 1 else delegates)[instruction.table(1).number(0, "i")]


if __name__ == "__main__":
    sys.exit(main(ExecuTorch()))
