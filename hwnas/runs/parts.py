"""Parts that several records of a run have: what their images, targets and metrics are described by."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hwnas.shapes import COUNT, SHARE, SOME
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
}
TARGET = {"device": str, "runtime": str, "precision": str}
METRIC = {"name": str, "is_higher_better": bool, "is_share": bool}


def metric_of(record: Mapping[str, Any]) -> Metric:
    """What the numbers of a record of training, a manifest or a verification are; accuracy in older ones."""
    found = record.get("metric")
    return ACCURACY if found is None else Metric(**{name: found[name] for name in METRIC})
