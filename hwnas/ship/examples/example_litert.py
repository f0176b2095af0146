"""python example_litert.py IMAGE [MODEL.tflite]; needs ai-edge-litert, numpy and pillow."""

import json
import sys
from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from PIL import Image, ImageOps

folder = Path(__file__).parent
how = json.loads((folder / "preprocessing.json").read_text("utf-8"))
labels = (folder / "labels.txt").read_text("utf-8").splitlines()
model = Interpreter(sys.argv[2] if len(sys.argv) > 2 else str(folder / "model.tflite"))
model.allocate_tensors()
source, result = model.get_input_details()[0], model.get_output_details()[0]

picture = Image.open(sys.argv[1]).convert("RGB")
size = (how["resize"]["width"], how["resize"]["height"])
pixels = np.asarray(ImageOps.fit(picture, size, Image.Resampling.BILINEAR), np.float32)
values = (pixels * how["scale"] - how["mean"]) / how["std"]  # height, width, channels
if source["dtype"] == np.int8:
    scale, zero_point = source["quantization"]
    values = np.clip(np.rint(values / scale) + zero_point, -128, 127)
model.set_tensor(source["index"], values[np.newaxis].astype(source["dtype"]))
model.invoke()
answers = model.get_tensor(result["index"])[0].astype(np.float32)
if result["dtype"] == np.int8:
    scale, zero_point = result["quantization"]
    answers = (answers - zero_point) * scale

shares = np.exp(answers - answers.max()) / np.exp(answers - answers.max()).sum()
for index in np.argsort(-shares)[:3]:
    print(f"{shares[index]:6.1%}  {labels[index]}")
