"""Runtimes for the programs that ship, which answer what is written beside them."""

from __future__ import annotations

FAKES = {
    "model.onnx": "",
    "model.tflite": "",
    "onnxruntime.py": """
import numpy as np
class SessionOptions:
    def add_session_config_entry(self, key, value): pass
class InferenceSession:
    def __init__(self, path, options): pass
    def get_inputs(self): return [type("Input", (), {"name": "it"})]
    def run(self, _, fed):
        np.save("fed.npy", fed["it"])
        return [np.load("logits.npy")]
""",
    "ai_edge_litert/__init__.py": "",
    "ai_edge_litert/interpreter.py": """
import numpy as np
class Interpreter:
    def __init__(self, path): pass
    def allocate_tensors(self): pass
    def invoke(self): pass
    def get_input_details(self): return [{"index": 0, "quantization": (0.0, 0), "dtype": np.float32}]
    def get_output_details(self): return [{"index": 1, "quantization": (0.0, 0)}]
    def set_tensor(self, index, value): np.save("fed.npy", value.transpose(0, 3, 1, 2))
    def get_tensor(self, index): return np.load("logits.npy").transpose(0, 2, 3, 1)
""",
}
"""Runtimes that note what they are fed, and answer what is written beside them."""
