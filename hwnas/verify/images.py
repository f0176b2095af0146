"""Which images a verification looks at: the network's own, a further test set, or both."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hwnas import data, release
from hwnas.errors import DataError, HwnasError
from hwnas.verify.folder import CheckedFolder

if TYPE_CHECKING:
    from hwnas.data import Dataset, Split


@dataclass(frozen=True)
class VerifiedImages:
    """What is looked at.

    Attributes:
        own: What the network was trained on; None where it is not at hand, or is not to be looked at.
        further: Name and images of another test set; None where none was given.
        said: Why the own ones are not at hand, or what of the others was left out; empty for nothing.
    """

    own: Dataset | None = None
    further: tuple[str, Split] | None = None
    said: str = ""


def find(checked: CheckedFolder, source: str | None) -> VerifiedImages:
    """The images of a source: the network's own, or else a further test set of the same labels.

    Args:
        checked: The shipping folder.
        source: Where they are; None looks for the network's own where they were at training.

    Raises:
        DataError: They cannot be read, or are of other labels.
        HwnasError: All of them were trained on.
    """
    record = checked.manifest.data
    if source is None:
        own, missing = release.find_data(checked.path, record)
        return VerifiedImages(own, None, missing)
    try:
        with data.held_back():
            return VerifiedImages(release.load_data(record, source))
    except DataError:  # not the same: then they must at least be for the same network
        split = checked.task.load_test(source, record["resolution"], checked.labels)
    own, said = release.find_data(checked.path, record)
    if own is not None:
        count, split = len(split), release.unseen(split, own)
        if len(split) < count:
            said = f"{count - len(split)} of its {count} images were trained on: left out"
        if not len(split):
            raise HwnasError(f"a further test set must have images that were not trained on, but {said}")
    return VerifiedImages(own, (release.public_name(source), split), said)
