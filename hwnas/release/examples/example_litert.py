"""python example_litert.py [--time ROUNDS] IMAGE... [MODEL.tflite]; by ai-edge-litert, numpy and pillow."""

import json
import sys
import time
from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from PIL import Image, ImageOps

folder = Path(__file__).parent
chosen = sys.argv[-1] if sys.argv[-1].endswith(".tflite") else str(folder / "model.tflite")
for needed in (folder / "preprocessing.json", Path(chosen)):
    needed.is_file() or sys.exit(
        f"a model must lie beside what it came with, but {needed} is not there: export again"
    )
how = json.loads((folder / "preprocessing.json").read_text("utf-8"))
size = (how["resize"]["width"], how["resize"]["height"])
mean, std = np.float32(how["mean"]), np.float32(how["std"])
model = Interpreter(chosen)
model.allocate_tensors()
source, results = model.get_input_details()[0], model.get_output_details()


def prepared(pictures):
    """What the model reads of upright pictures in RGB, mostly one: shape (1, height, width, channels)."""
    pixels = np.concatenate([np.asarray(fitted(picture), np.float32) for picture in pictures], axis=2)
    values = (pixels * how["scale"] - mean) / std
    scale, zero_point = source["quantization"]
    if scale:  # a model in whole numbers; for others it is 0
        limits = np.iinfo(source["dtype"])
        values = np.clip(np.rint(values / scale) + zero_point, limits.min, limits.max)
    return values[np.newaxis].astype(source["dtype"])


def run(values):
    """What the model answers, as it says it."""
    model.set_tensor(source["index"], values)
    model.invoke()
    return [model.get_tensor(result["index"]) for result in results]


def answers(outputs):
    """The same as floats, channels first; of several outputs a list."""
    found = []
    for result, values in zip(results, outputs, strict=True):
        scale, zero_point = result["quantization"]
        values = (values[0].astype(np.float32) - zero_point) * (scale or 1)
        found.append(np.ascontiguousarray(np.moveaxis(values, -1, 0)))
    return found if len(found) > 1 else found[0]


# the functions of the task
# what all programs share
