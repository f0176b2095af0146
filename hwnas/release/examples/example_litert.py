"""python example_litert.py IMAGE [MODEL.tflite]; needs ai-edge-litert, numpy and pillow."""

import json
import sys
from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from PIL import Image, ImageOps

folder = Path(__file__).parent
how = json.loads((folder / "preprocessing.json").read_text("utf-8"))
# the task reads here
model = Interpreter(sys.argv[2] if len(sys.argv) > 2 else str(folder / "model.tflite"))
model.allocate_tensors()
source = model.get_input_details()[0]

size = (how["resize"]["width"], how["resize"]["height"])
opened = Image.open(sys.argv[1])
if opened.mode == "F" or (opened.mode == "I" and opened.format not in ("PPM", "PNG")):
    sys.exit(f"a picture must have 8 or 16 bits a channel, but {sys.argv[1]} has 32: convert it")
picture = ImageOps.exif_transpose(opened)  # upright
if picture.mode.startswith("I"):  # 16 bits become 8
    picture = Image.fromarray(np.rint(np.asarray(picture) / 257).astype(np.uint8))
elif picture.has_transparency_data:  # on white
    white = Image.new("RGBA", picture.size, "white")
    picture = Image.alpha_composite(white, picture.convert("RGBA"))
# the task resizes here
values = (np.asarray(picture) * how["scale"] - how["mean"]) / how["std"]  # height, width, channels
scale, zero_point = source["quantization"]
if scale:  # a model in whole numbers; for others it is 0
    limits = np.iinfo(source["dtype"])
    values = np.clip(np.rint(values / scale) + zero_point, limits.min, limits.max)
model.set_tensor(source["index"], values[np.newaxis].astype(source["dtype"]))
model.invoke()
found = []
for result in model.get_output_details():
    scale, zero_point = result["quantization"]
    values = (model.get_tensor(result["index"])[0].astype(float) - zero_point) * (scale or 1)
    found.append(np.moveaxis(values, -1, 0))  # channels first
answers = found if len(found) > 1 else found[0]
# the task prints here
