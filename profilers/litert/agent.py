"""Times .tflite models with LiteRT, or with tflite_runtime on a board that has only that."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import sys
import warnings
from collections import Counter
from pathlib import Path

import numpy as np

sys.path.append(str(Path(__file__).resolve().parent.parent))
from pyagent import library_sha256, main, random_input

# Package, distribution, name of the runtime, the library that does the work.
_KNOWN = (
    ("ai_edge_litert", "ai-edge-litert", "litert", "libpywrap_litert_common.so"),
    ("tflite_runtime", "tflite-runtime", "tflite_runtime", "_pywrap_tensorflow_interpreter_wrapper.so"),
)


class Loaded:
    """One interpreter."""

    def __init__(self, interpreter) -> None:
        self._interpreter = interpreter
        self.invoke = interpreter.invoke

    def allocate(self) -> None:
        """Plan the memory and let the delegate take its nodes."""
        self._interpreter.allocate_tensors()

    def fill(self, rng: np.random.Generator) -> None:
        """Random inputs."""
        for detail in self._interpreter.get_input_details():
            value = random_input(rng, detail["shape"], detail["dtype"])
            self._interpreter.set_tensor(detail["index"], value)

    def reshape(self, shapes: dict) -> None:
        """Inputs of other shapes than those of the file."""
        for detail in self._interpreter.get_input_details():
            if detail["name"] in shapes:
                self._interpreter.resize_tensor_input(detail["index"], shapes[detail["name"]])

    def give(self, arrays: dict) -> None:
        """Inputs of the user's."""
        for detail in self._interpreter.get_input_details():
            self._interpreter.set_tensor(detail["index"], arrays[detail["name"]])

    def outputs(self):
        """Bytes of every output."""
        for detail in self._interpreter.get_output_details():
            yield self._interpreter.get_tensor(detail["index"]).tobytes()

    def coverage(self) -> dict:
        """How many nodes the graph has, and which of them the delegate left.

        The list of nodes holds the original ones and the delegates that replaced some of them.
        """
        nodes = self._interpreter._get_ops_details()
        delegates = [node for node in nodes if node["op_name"] == "DELEGATE"]
        original = [node for node in nodes if node["op_name"] != "DELEGATE"]
        outside = self._left(original, delegates) if delegates else original
        return {
            "nodes": len(original),
            "delegate_partitions": len(delegates),
            "delegated_nodes": len(original) - len(outside),
            "undelegated": dict(Counter(map(self._types, outside))),
        }

    def _left(self, original: list, delegates: list) -> list:
        """The nodes that are still run beside delegates.

        They are found by walking back from the outputs, a delegate before what it replaced. A node that
        makes nothing (it assigns a variable) runs if all that it reads is there: what is made within a
        delegate is not.
        """
        producers = {int(tensor): node for node in (*original, *delegates) for tensor in node["outputs"]}
        todo = [int(detail["index"]) for detail in self._interpreter.get_output_details()]
        run: dict = {}
        while todo:
            node = producers.get(todo.pop())
            if node is not None and node["index"] not in run:
                run[node["index"]] = node
                todo += [int(tensor) for tensor in node["inputs"]]
        for node in original:
            made_by = [producers[int(tensor)] for tensor in node["inputs"] if int(tensor) in producers]
            if not len(node["outputs"]) and all(maker["index"] in run for maker in made_by):
                run[node["index"]] = node
        return [node for node in run.values() if node["op_name"] != "DELEGATE"]

    def _types(self, node: dict) -> str:
        """Name of an operation, with the type of what it makes where that is not the usual one."""
        details = {int(detail["index"]): detail for detail in self._interpreter.get_tensor_details()}
        types = [np.dtype(details[int(index)]["dtype"]).name for index in node["outputs"][:1]]
        return " ".join([node["op_name"], *(name for name in types if name != "float32")])


class LiteRT:
    """Whichever of the two packages is installed, the maintained one first."""

    takes = ("shapes", "inputs")

    def __init__(self) -> None:
        found = [known for known in _KNOWN if importlib.util.find_spec(known[0])]
        if not found:
            raise SystemExit(
                "neither ai_edge_litert nor tflite_runtime is installed: pip install ai-edge-litert"
            )
        self._package, self._distribution, self._name, self._library = found[0]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self._module = importlib.import_module(f"{self._package}.interpreter")

    def identity(self) -> dict:
        """Who this is."""
        folder = Path(self._module.__file__).parent
        return {
            "agent": "litert",
            "runtime": self._name,
            "runtime_version": importlib.metadata.version(self._distribution),
            "library_sha256": library_sha256(folder / self._library),
        }

    def open(self, path: str, threads: int) -> Loaded:
        """Load a model; XNNPACK is used where it can."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return Loaded(self._module.Interpreter(model_path=path, num_threads=threads))


if __name__ == "__main__":
    sys.exit(main(LiteRT()))
