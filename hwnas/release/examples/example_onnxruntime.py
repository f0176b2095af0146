"""python example_onnxruntime.py IMAGE [MODEL.onnx]; needs onnxruntime, numpy and pillow."""

import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image, ImageOps

folder = Path(__file__).parent
how = json.loads((folder / "preprocessing.json").read_text("utf-8"))
# the task reads here
model = onnxruntime.InferenceSession(sys.argv[2] if len(sys.argv) > 2 else str(folder / "model.onnx"))

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
batch = values.transpose(2, 0, 1)[np.newaxis].astype(np.float32)  # 1, channels, height, width
found = [values[0] for values in model.run(None, {model.get_inputs()[0].name: batch})]
answers = found if len(found) > 1 else found[0]
# the task prints here
