"""Text inside a model file, for whoever has the file and nothing else. It changes no answer.

TFLite keeps it as a ``metadata`` entry of the flatbuffer, ONNX as a property of the model.
Google's own ``TFLITE_METADATA`` is not written: its schema would be another dependency.
"""

from __future__ import annotations

from hwnas.errors import ExportError
from hwnas.export import RUNTIMES

KEY = "hwnas"


def embed(model: bytes, runtime: str, text: str) -> bytes:
    """The same model with a text in it; what was embedded before is replaced.

    Args:
        model: A TFLite or ONNX file.
        runtime: "litert" or "onnxruntime".
        text: Any text; the same one gives the same bytes.
    """
    _require_known(runtime)
    if runtime == "litert":
        from hwnas.export import _flatbuffer

        return _flatbuffer.with_metadata(model, KEY, text.encode())
    import onnx

    loaded = onnx.load_model_from_string(model)
    others = {entry.key: entry.value for entry in loaded.metadata_props if entry.key != KEY}
    onnx.helper.set_model_props(loaded, others | {KEY: text})
    content: bytes = loaded.SerializeToString(deterministic=True)
    return content


def embedded(model: bytes, runtime: str) -> str | None:
    """What ``embed`` put into a model, or None.

    Raises:
        ExportError: The file cannot be read as a model of this runtime.
    """
    _require_known(runtime)
    if runtime == "litert":
        from hwnas.export import _flatbuffer

        found = _flatbuffer.metadata(model).get(KEY)
        return None if found is None else found.decode(errors="replace")
    from hwnas.export.runtime import session

    text: str | None = session(model).get_modelmeta().custom_metadata_map.get(KEY)
    return text


def _require_known(runtime: str) -> None:
    if runtime not in RUNTIMES:
        raise ExportError(f"a runtime must be one of {RUNTIMES}, but got {runtime!r}")
