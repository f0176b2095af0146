"""How images of an imported network are scaled: what its file says, what is asked for, or nothing."""

from __future__ import annotations

import json
from pathlib import Path

import flatbuffers
import numpy as np
import pytest

from hwnas.blocks import Conv, PooledHead
from hwnas.errors import HwnasError
from hwnas.export import _flatbuffer, lower, metadata, random_module
from hwnas.importing import import_model
from hwnas.importing.scaling import InputScale, of_tflite, scale_of

SHAPE = (3, 16, 16)


@pytest.fixture(scope="module")
def models() -> dict[str, bytes]:
    module = random_module((Conv(3, 8, stride=2), PooledHead(8, 0, 4)), 0)
    return {name: lower(module, SHAPE, name, "fp32", check=False).model for name in ("litert", "onnxruntime")}


def googles(mean: list[float], std: list[float], kind: int = 1) -> bytes:
    """Metadata of one input that is normalised, as metadata_schema.fbs has them."""
    builder = flatbuffers.Builder(256)

    def floats(values: list[float]) -> int:
        return builder.CreateNumpyVector(np.asarray(values, np.float32))

    def table(fields: int, **slots: int) -> int:
        builder.StartObject(fields)
        for name, offset in slots.items():
            builder.PrependUOffsetTRelativeSlot(int(name[1:]), offset, 0)
        return builder.EndObject()

    def several(one: int) -> int:
        builder.StartVector(4, 1, 4)
        builder.PrependUOffsetTRelative(one)
        return builder.EndVector()

    options = table(2, s0=floats(mean), s1=floats(std))
    builder.StartObject(2)
    builder.PrependUint8Slot(0, kind, 0)
    builder.PrependUOffsetTRelativeSlot(1, options, 0)
    unit = builder.EndObject()
    image = table(7, s4=several(unit))
    graph = table(7, s2=several(image))
    builder.Finish(table(7, s3=several(graph)), b"M001")
    return bytes(builder.Output())


def test_google_s_metadata_are_of_whole_pixels(models) -> None:
    text = googles([127.5], [127.5])
    assert of_tflite(models["litert"]) is None
    found = of_tflite(_flatbuffer.with_metadata(models["litert"], "TFLITE_METADATA", text))
    assert found == InputScale((0.5,), (0.5,), "file")
    assert scale_of(None, None, found, 3) == InputScale((0.5,) * 3, (0.5,) * 3, "file")
    for other in (googles([127.5], [127.5], kind=2), googles([1.0], [0.0]), text[:40], b"no metadata"):
        assert of_tflite(_flatbuffer.with_metadata(models["litert"], "TFLITE_METADATA", other)) is None


@pytest.mark.parametrize(("runtime", "suffix"), [("litert", ".tflite"), ("onnxruntime", ".onnx")])
def test_a_file_of_ours_says_it(models, runtime: str, suffix: str, tmp_path: Path) -> None:
    how = {"mean": [0.5, 0.4, 0.3], "std": [0.2, 0.2, 0.2]}
    path = tmp_path / f"model{suffix}"
    path.write_bytes(metadata.embed(models[runtime], runtime, json.dumps({"preprocessing": how})))
    found = import_model(path, tmp_path / "run").scale
    assert (list(found.mean), list(found.std), found.said_by) == (how["mean"], how["std"], "file")
    asked = import_model(path, tmp_path / "asked", mean=[0.1], std=[0.5, 0.25, 0.125]).scale
    assert asked == InputScale((0.1,) * 3, (0.5, 0.25, 0.125), "options")
    said = json.loads((tmp_path / "asked" / "import.json").read_text())["scale"]
    assert said == {"mean": [0.1] * 3, "std": [0.5, 0.25, 0.125], "said_by": "options"}


def test_where_nobody_says_it_pixels_are_taken_as_they_are() -> None:
    assert scale_of(None, None, None, 3) == InputScale((0.0,) * 3, (1.0,) * 3, "nobody")
    assert scale_of(None, [0.5], None, 1) == InputScale((0.0,), (0.5,), "options")


@pytest.mark.parametrize(
    ("mean", "std", "said"),
    [
        ([0.1, 0.2], None, "mean must be one number or one for each of the 3 channels .* but got 0.1, 0.2"),
        ([], None, "mean must be one number .* but got none"),
        (None, [0.0], "std must be positive, but got 0"),
        (None, [float("nan")], "std must be one number"),
    ],
)
def test_what_cannot_be_is_refused(mean, std, said: str) -> None:
    with pytest.raises(HwnasError, match=said):
        scale_of(mean, std, None, 3)
