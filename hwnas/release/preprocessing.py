"""How an image becomes what the models read, as data; the same text lies in every model."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from hwnas import runtimes, tasks
from hwnas.data import Dataset, names

SCHEMA = "hwnas-preprocessing/1"


def describe(
    dataset: Dataset,
    quantization: Mapping[str, Mapping[str, Any]],
    made_for: Iterable[str],
    settled: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The content of ``preprocessing.json``.

    Args:
        dataset: What the network was trained on.
        quantization: By file name, the scale and zero point of input and output of the models
            that read and answer whole numbers.
        made_for: Names of the runtimes that there are models for.
        settled: What ``Task.settled`` said of the network.
    """
    how = tasks.of(dataset).preprocessing(dataset)
    answer = {"answer": {**how.get("answer", {}), **settled}} if settled else {}
    return {
        "schema": SCHEMA,
        **how,
        **answer,
        "layout": {name: runtimes.get(name).format.layout for name in made_for},
        "quantization": dict(quantization),
    }


def embedded_text(preprocessing: Mapping[str, Any], labels: Sequence[str]) -> str:
    """What every model carries: preprocessing and labels."""
    content = {"preprocessing": dict(preprocessing), "labels": list(labels)}
    return json.dumps(content, sort_keys=True, allow_nan=False)


def label_lines(labels: Sequence[str]) -> str:
    """The content of ``labels.txt``: one label a line, in the order of the answers.

    Raises:
        DataError: A label would be several lines or none, or is no text.
    """
    return "".join(f"{names.check_class_name(label)}\n" for label in labels)
