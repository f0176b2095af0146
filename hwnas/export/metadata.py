"""Text inside a model file, for whoever has the file and nothing else. It changes no answer.

TFLite keeps it as a ``metadata`` entry of the flatbuffer, ONNX as a property of the model. An ExecuTorch
program has no such place: there it follows the program, which says itself how long it is.
Google's own ``TFLITE_METADATA`` is not written: its schema would be another dependency.
"""

from __future__ import annotations

from hwnas import runtimes
from hwnas.errors import ExportError
from hwnas.runtimes.base import ONNX, PTE, TFLITE

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


def _into_pte(model: bytes, text: str) -> bytes:
    start, found = _text_of(model)
    program, said = model if found is None else model[:start], text.encode()
    return program + said + len(said).to_bytes(8, "little") + _TRAILER


def _of_pte(model: bytes) -> str | None:
    from hwnas.runtimes import _pte_file

    _pte_file.read(model)
    found = _text_of(model)[1]
    return None if found is None else found.decode(errors="replace")


def _text_of(model: bytes) -> tuple[int, bytes | None]:
    """Where the text after a program begins, and the text; None where there is none."""
    ends = len(model) - len(_TRAILER) - 8
    if ends < 0 or not model.endswith(_TRAILER):
        return len(model), None
    start = ends - int.from_bytes(model[ends : ends + 8], "little")
    return (start, model[start:ends]) if start >= 0 else (len(model), None)


_TRAILER = b"hwnas\0\0\0"
_WRITERS = {TFLITE.name: _into_tflite, ONNX.name: _into_onnx, PTE.name: _into_pte}
_READERS = {TFLITE.name: _of_tflite, ONNX.name: _of_onnx, PTE.name: _of_pte}
