"""In the place of LiteRT on a phone: runs MODEL on MODEL.fed, answers in MODEL.answer0, MODEL.answer1, …

Where there are such answers already, they stay: the test gives them.
"""

import sys
from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter

model = sys.argv[1]
if not Path(f"{model}.answer0").exists():
    runner = Interpreter(model)
    runner.allocate_tensors()
    source = runner.get_input_details()[0]
    fed = np.frombuffer(Path(f"{model}.fed").read_bytes(), source["dtype"])
    runner.set_tensor(source["index"], fed.reshape(source["shape"]))
    runner.invoke()
    for number, result in enumerate(runner.get_output_details()):
        Path(f"{model}.answer{number}").write_bytes(runner.get_tensor(result["index"]).tobytes())
