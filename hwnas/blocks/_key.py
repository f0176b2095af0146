"""The text form of a block: its kind, then each field as its tag and value, joined by ``_``."""

from __future__ import annotations

import dataclasses
import re
from typing import Any, TypeVar

from hwnas.errors import SpaceError

ACTIVATIONS = ("none", "relu", "relu6", "hswish")
"""That our own spaces are made of."""

FUNCTIONS = (*ACTIVATIONS, "hsigmoid", "sigmoid", "silu")
"""That networks of others have as well."""

T = TypeVar("T")


PADDINGS = ("half", "same")
"""Of strided kernels: half the kernel on all sides, as PyTorch pads; or as TensorFlow's SAME."""


_NUMBER, _LISTED, _LETTERED = r"[0-9.e+-]+", r"[0-9]+(?:-[0-9]+)+", r"[a-z0-9]+"


def tagged(tag: str, default: Any = dataclasses.MISSING, *, is_usual: bool = False) -> Any:
    """A dataclass field that stands in the key under ``tag``.

    Args:
        tag: Before its value.
        default: Where nothing is given.
        is_usual: Whether the default is left out of the key: for fields that came after keys were
            written. Such fields come last.
    """
    return dataclasses.field(default=default, metadata={"tag": tag, "is_usual": is_usual})


def encode(block: Any) -> str:
    """The key of a block whose fields were all made by ``tagged``."""
    parts = [block.kind]
    for field in dataclasses.fields(block):
        value = getattr(block, field.name)
        if field.metadata["is_usual"] and value == field.default:
            continue
        parts.append(f"{field.metadata['tag']}{_text(value)}")
    return "_".join(parts)


def _text(value: Any) -> str:
    if isinstance(value, tuple):
        return "-".join(map(str, value))
    if isinstance(value, float):
        return f"{value:g}"
    return str(int(value) if isinstance(value, bool) else value)


def decode(cls: type[T], key: str) -> T:
    """The block of kind ``cls`` that a key describes; raises SpaceError on anything else."""
    parts = key.split("_")[1:]
    every = dataclasses.fields(cls)  # type: ignore[arg-type]
    seldom = [f for f in every if f.metadata["is_usual"]]
    fields = [f for f in every if f not in seldom]
    fields += [f for f in seldom if any(part.startswith(f.metadata["tag"]) for part in parts[len(fields) :])]
    if len(parts) != len(fields):
        raise SpaceError(f"a key of {key.split('_')[0]} must have {len(fields)} fields, but got {key!r}")
    values: dict[str, Any] = {}
    for field, part in zip(fields, parts, strict=True):
        tag, kind = field.metadata["tag"], str(getattr(field.type, "__name__", field.type))
        wanted = _LETTERED if kind == "str" else _LISTED if kind.startswith("tuple") else _NUMBER
        matched = re.fullmatch(f"{tag}({wanted})", part)
        if not matched:
            raise SpaceError(f"field {field.name} must read {tag}<value>, but got {part!r} in {key!r}")
        values[field.name] = _convert(kind, matched[1], key)
    block = cls(**values)
    if encode(block) != key:
        raise SpaceError(f"a key must be canonical, but got {key!r} for {encode(block)!r}")
    return block


def _convert(type_name: str, text: str, key: str) -> Any:
    try:
        if type_name == "bool":
            return {"0": False, "1": True}[text]
        if type_name.startswith("tuple"):
            return tuple(map(int, text.split("-")))
        return {"int": int, "float": float, "str": str}[type_name](text)
    except (ValueError, KeyError) as error:
        raise SpaceError(f"a field of type {type_name} must hold one, but got {text!r} in {key!r}") from error


def require(condition: bool, block: Any, invariant: str) -> None:
    """Raise SpaceError naming the invariant and the block that breaks it."""
    if not condition:
        raise SpaceError(f"{invariant}, but got {block}")
