"""A config that says everything that can be set."""

from __future__ import annotations

import json
import textwrap
from typing import Any

from hwnas.search.settings import STRATEGY
from hwnas.settings import sections
from hwnas.settings.comments import UNUSED
from hwnas.settings.keys import Key

_TITLES = {
    "": "Paths are relative to this file. What is commented out is not set.",
    "profile": "Measuring blocks and networks on the device. A table that is there is continued.",
    "fit": "How the latency of a network is predicted from what was measured.",
    "search": "The network that is best under the budgets.",
    "search.supernet": "One large network that contains all others: they are scored with its weights.",
    "search.settings": "Of the strategy {strategy}; others have others: hwnas init --strategy NAME.",
    "promise": "The best networks are measured on the device before one is trained.",
    "promise.measuring": "How well those are measured.",
    "baseline": "A search to compare with, under the same budgets; its settings: [baseline.settings].",
    "train": "Training from scratch.",
    "export": "TFLite and ONNX, fp32 and int8.",
    "verify": "Measuring what ships.",
}


def template(strategy: str = STRATEGY) -> str:
    """A config with every key, its default and what it means."""
    parts = ["# A whole run of hwnas, from measuring to a network that ships: hwnas run FILE"]
    for section, keys in sections(strategy).items():
        if not keys:
            continue
        title = _TITLES[section].format(strategy=strategy)
        parts.append((f"[{section}]  # {title}" if section else f"# {title}") + "\n")
        parts += [
            _described(key, strategy if (section, key.name) == ("search", "strategy") else None)
            for key in keys
            if key.name not in UNUSED.get(section, ())
        ]
    return "\n".join(parts)


def _described(key: Key, instead: Any) -> str:
    default = key.default if instead is None else instead
    lines = textwrap.wrap(key.doc, 96, initial_indent="# ", subsequent_indent="#   ")
    value = f"# {key.name} =" if default is None else f"{key.name} = {_toml(default)}"
    return "\n".join([*lines, value, ""])


def _toml(value: Any) -> str:
    """TOML of a scalar or a list of them, which JSON has in common with it."""
    return json.dumps(list(value) if isinstance(value, tuple) else value, ensure_ascii=False)
