"""Text inside a model file, for whoever has the file and nothing else. It changes no answer.

TFLite keeps it as a ``metadata`` entry of the flatbuffer, ONNX as a property of the model.
Google's own ``TFLITE_METADATA`` is not written: its schema would be another dependency.
"""

from __future__ import annotations

from hwnas import runtimes
from hwnas.errors import ExportError
from hwnas.runtimes.base import ONNX, TFLITE

KEY = "hwnas"


def embed(model: bytes, runtime: str, text: str) -> bytes:
    """The same model with a text in it; what was embedded before is replaced.

    Args:
        model: A TFLite or ONNX file.
        runtime: Name of the runtime that it is for.
        text: Any text; the same one gives the same bytes.
    """
    return _WRITERS[runtimes.get(runtime, ExportError).format.name](model, text)


def embedded(model: bytes, runtime: str) -> str | None:
    """What ``embed`` put into a model, or None.

    Raises:
        ExportError: The file cannot be read as a model of this runtime.
    """
    return _READERS[runtimes.get(runtime, ExportError).format.name](model)


def _into_tflite(model: bytes, text: str) -> bytes:
    from hwnas.export import _flatbuffer

    return _flatbuffer.with_metadata(model, KEY, text.encode())


def _of_tflite(model: bytes) -> str | None:
    from hwnas.export import _flatbuffer

    found = _flatbuffer.metadata(model).get(KEY)
    return None if found is None else found.decode(errors="replace")


def _into_onnx(model: bytes, text: str) -> bytes:
    import onnx

    loaded = onnx.load_model_from_string(model)
    others = {entry.key: entry.value for entry in loaded.metadata_props if entry.key != KEY}
    onnx.helper.set_model_props(loaded, others | {KEY: text})
    content: bytes = loaded.SerializeToString(deterministic=True)
    return content


def _of_onnx(model: bytes) -> str | None:
    from hwnas.runtimes.onnxruntime import session

    text: str | None = session(model).get_modelmeta().custom_metadata_map.get(KEY)
    return text


_WRITERS = {TFLITE.name: _into_tflite, ONNX.name: _into_onnx}
_READERS = {TFLITE.name: _of_tflite, ONNX.name: _of_onnx}
