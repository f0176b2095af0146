"""python example_onnxruntime.py [--time ROUNDS] IMAGE... [MODEL.onnx]; by onnxruntime, numpy and pillow."""

import json
import sys
import time
from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image, ImageOps

folder = Path(__file__).parent
chosen = sys.argv[-1] if sys.argv[-1].endswith(".onnx") else str(folder / "model.onnx")
for needed in (folder / "preprocessing.json", Path(chosen)):
    needed.is_file() or sys.exit(
        f"a model must lie beside what it came with, but {needed} is not there: export again"
    )
how = json.loads((folder / "preprocessing.json").read_text("utf-8"))
size = (how["resize"]["width"], how["resize"]["height"])
mean, std = np.float32(how["mean"]), np.float32(how["std"])
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1  # as many as it was measured with; more may be faster
options.add_session_config_entry("session.x64quantprecision", "1")  # or int8 is wrong on x86 without VNNI
model = onnxruntime.InferenceSession(chosen, options)


def prepared(pictures):
    """What the model reads of upright pictures in RGB, mostly one: shape (1, channels, height, width)."""
    pixels = np.concatenate([np.asarray(fitted(picture), np.float32) for picture in pictures], axis=2)
    values = (pixels * how["scale"] - mean) / std
    return np.ascontiguousarray(values.transpose(2, 0, 1)[np.newaxis])


def run(values):
    """What the model answers, as it says it."""
    return model.run(None, {model.get_inputs()[0].name: values})


def answers(outputs):
    """The same, channels first; of several outputs a list."""
    found = [values[0] for values in outputs]
    return found if len(found) > 1 else found[0]


# the functions of the task
# what all programs share
