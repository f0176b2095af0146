"""A further test set: images that a network was not trained on, with the same classes."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from hwnas.data import loading, sources
from hwnas.data.dataset import Split
from hwnas.data.images import some
from hwnas.data.names import SPLITS, shown
from hwnas.data.reading import line
from hwnas.errors import DataError

_LOG = logging.getLogger(__name__)
_READINGS = logging.getLogger(loading.__name__)


def _other_classes(source: str, found: Sequence[str], known: Sequence[str]) -> DataError:
    more, fewer = sorted(set(found) - set(known)), sorted(set(known) - set(found))
    but = [f"has {some(more, 5)}, which it does not know"] if more else []
    but += [f"lacks {some(fewer, 5)}"] if fewer else []
    return DataError(
        f"a further test set must have the classes of the network, but {source} {' and '.join(but)}: name "
        "its classes as labels.txt of the shipping folder does, remove images of others, and add some of each"
    )


@contextmanager
def held_back() -> Iterator[None]:
    """What is logged of a reading is said at the end, and not at all where that raises."""
    held: list[logging.LogRecord] = []

    def hold(record: logging.LogRecord) -> bool:
        held.append(record)
        return False

    _READINGS.addFilter(hold)
    try:
        yield
    finally:
        _READINGS.removeFilter(hold)
    for record in held:
        _READINGS.handle(record)


def load_test(source: str | Path, *, resolution: int, class_names: tuple[str, ...]) -> Split:
    """Images to test a trained network on: the source's test split, or all images where it has none.

    Which these are is logged, and what is odd as a warning.

    Args:
        source: As for ``load``.
        resolution: Height and width that images are scaled to.
        class_names: The network's, in the order of its answers; the source must have the same.

    Raises:
        DataError: The source cannot be read, or has other classes.
    """
    raw = sources.read(source, resolution, 0, 0.2, 0.2)
    raw.account.close()
    if sorted(raw.class_names) != sorted(class_names):
        raise _other_classes(shown(source), raw.class_names, class_names)
    given = {split: part for split in SPLITS if (part := getattr(raw, split)) is not None}
    used = given if raw.test is None else {"test": raw.test}
    unused = {f"in the {s} split": len(part[1]) for s, part in given.items() if s not in used}
    which = "all images, as there is no test split" if raw.test is None else "its test split"
    counts = {split: len(part[1]) for split, part in used.items()}
    text = line(str(source), raw.class_names, counts, (), raw.account.left_out + Counter(unused))
    _LOG.info("further test set (%s): %s", which, text)
    for note in raw.account.notes:
        _LOG.warning("%s", note)
    images, labels = (np.concatenate(parts) for parts in zip(*used.values(), strict=True))
    places = np.array([class_names.index(name) for name in raw.class_names], np.int64)
    return Split(images, places[labels])
