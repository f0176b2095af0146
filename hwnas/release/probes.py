"""Images that need no data, and what PyTorch answered to them: a folder can be checked alone.

The images are waves of several frequencies, computed and not drawn, so that every version of
every library makes the same ones. The answers travel in the shipping folder; a model that was
exchanged for another one gives other answers, however well the hashes were brought up to date.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwnas.errors import SchemaMismatch
from hwnas.runtimes.base import Values, arrays, one_or_several

SCHEMA = "hwnas-probes/1"
COUNT = 8
PYTORCH = "pytorch"
_SEVERAL = "outputs"

_NUMBERS = 512  # of each answer about places, at most


def images(channels: int, height: int, width: int) -> NDArray[np.uint8]:
    """The probes, shape (8, channels, height, width)."""
    k, c, y, x = np.meshgrid(
        np.arange(COUNT), np.arange(channels), np.arange(height), np.arange(width), indexing="ij"
    )
    phase = 2.399963 * (k + 1) + 0.2 * c  # the golden angle: no two alike; channels nearly are
    wave = np.sin(phase + 2 * np.pi * ((1 + k % 3) * x / width + (1 + k // 3) * y / height))
    return np.round(127.5 * (1 + wave * (0.4 + 0.6 * k / (COUNT - 1)))).astype(np.uint8)


def record(answers: Mapping[str, Values]) -> dict[str, Any]:
    """The content of ``probes.json``: who answered what, ``thinned``.

    Args:
        answers: Those of PyTorch by ``PYTORCH``, and those of every int8 model by its file, shape (8, ...).
    """
    kept = {}
    for name, values in answers.items():
        rows = [each.tolist() for each in arrays(thinned(values))]
        kept[name] = {_SEVERAL: rows} if isinstance(values, tuple) else rows[0]
    return {"schema": SCHEMA, "answers": kept}


def thinned(answers: Values) -> Values:
    """What is kept of answers: all of those about whole images, some hundreds about places in them.

    An odd step, so that no row and no column of an image is left out.

    Args:
        answers: Shape (8, numbers) or (8, channels, height, width), or several such.
    """
    return one_or_several([_thinned(each) for each in arrays(answers)])


def _thinned(answers: NDArray[np.float32]) -> NDArray[np.float32]:
    if answers.ndim == 2 or answers[0].size <= _NUMBERS:
        return answers
    rows = answers.reshape(len(answers), -1)
    return rows[:, :: -(-rows.shape[1] // _NUMBERS) | 1]


def answers(recorded: Mapping[str, Any], name: str) -> Values:
    """What ``record`` wrote of one model.

    Raises:
        SchemaMismatch: It is of another version or damaged.
    """
    rows = recorded.get("answers")
    kept = rows.get(name) if isinstance(rows, dict) else None
    try:
        found = [
            np.array(each, np.float32) for each in (kept[_SEVERAL] if isinstance(kept, dict) else [kept])
        ]
    except (TypeError, ValueError, KeyError):
        found = []
    is_whole = found and all(each.ndim > 1 and len(each) == COUNT for each in found)
    if recorded.get("schema") != SCHEMA or not is_whole:
        raise SchemaMismatch(
            f"probes must be {COUNT} rows of numbers for {name}, of schema {SCHEMA}, but got other ones: "
            "export again",
            field="probes",
        )
    return one_or_several(found)
