"""Parts that several records of a run have: what their images, targets and metrics are described by."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hwnas.errors import SchemaMismatch, in_words
from hwnas.shapes import COUNT, SHARE, SOME, Items
from hwnas.statistics.metric import ACCURACY, Metric

DATA = {
    "source": str,
    "fingerprint": str,
    "resolution": SOME,
    "seed": COUNT,
    "val_share": SHARE,
    "test_share": SHARE,
    "flip": bool,
    "task?": str,
    "classes?": SOME,
    "images?": {str: COUNT},
    "mean?": [float],
    "std?": [float],
    "picture_size?": Items(SOME, 2, 2),
}
TARGET = {"device": str, "runtime": str, "precision": str}
METRIC = {"name": str, "is_higher_better": bool, "is_share": bool}


def metric_of(record: Mapping[str, Any]) -> Metric:
    """What the numbers of a record of training, a manifest or a verification are; accuracy in older ones."""
    found = record.get("metric")
    return ACCURACY if found is None else Metric(**{name: found[name] for name in METRIC})


def pair_of(found: Sequence[float]) -> tuple[float, float]:
    """Both ends of an interval or a range."""
    low, high = found
    return float(low), float(high)


def interval_of(data: Mapping[str, Any], name: str = "interval_ms") -> tuple[float, float] | None:
    """An interval of a record; None where there is none."""
    return None if data.get(name) is None else pair_of(data[name])


@contextmanager
def as_written(what: str, path: Path, remedy: str, field: str) -> Iterator[None]:
    """Whatever is odd in here about a record that has its shape becomes one sentence.

    Args:
        what: The record, for the message.
        path: Of its file.
        remedy: What makes it anew: the end of a sentence.
        field: Short name of the record.

    Raises:
        SchemaMismatch: Something is odd.
    """
    try:
        yield
    except (TypeError, ValueError, LookupError, AttributeError) as error:
        raise SchemaMismatch(
            f"{what} must be as hwnas writes it, but {path} is not: {in_words(error)}: {remedy}", field=field
        ) from error
