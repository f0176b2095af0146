"""What is said of a network that tells classes, and what ships with it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from hwnas import data as images_of
from hwnas.statistics.intervals import paired_difference
from hwnas.tasks.base import COVERING, Estimate, Example, Section
from hwnas.tasks.common import LABELS
from hwnas.tasks.mistakes import section
from hwnas.tasks.shares import OfShares

if TYPE_CHECKING:
    from hwnas.data import Split

_WORST = 8  # classes that are named after a training
_LIKELIEST = '''\
def read(answers, width, height):
    """The three likeliest classes with their shares."""
    shares = np.exp(answers - answers.max())
    return [(shares[index] / shares.sum(), labels[index]) for index in np.argsort(-shares)[:3]]


def show(found, picture, name):
    """Print them."""
    for share, label in found:
        print(f"{share:6.1%}  {label}")
'''


class NamedClasses(OfShares):
    """Everything about classes that takes no answers of a network."""

    @property
    def example(self) -> Example:
        """Prints the likeliest classes."""
        return Example(f"{LABELS}{COVERING}{_LIKELIEST}")

    def load_test(self, source: str, resolution: int, labels: Sequence[str]) -> Split:
        """As ``data.load_test``: the test split of a source of the same classes, or all of it."""
        return images_of.load_test(source, resolution=resolution, class_names=tuple(labels))

    def least_loss(self, loss: float, found: Estimate) -> float:
        """As if every image that was lost were lost for good, and none gained."""
        return paired_difference(round(loss * found.images), 0, found.images)[0]

    def fineness(self, images: int) -> str:
        """What one image is."""
        return f"One of the {images:,} test images is {100 / images:.3g} points."

    def sized(self, outputs: int) -> str:
        """Classes."""
        return f"{outputs} classes"

    def stated(self, value: float, images: int, split: str) -> str:
        """Which share of the images is right."""
        return f"{value:.1%} of {images:,} {split} images are right"

    def remark(self, found: Mapping[str, Any]) -> str:
        """Balanced accuracy with its interval, where classes are unevenly frequent."""
        if not found.get("is_uneven"):
            return ""
        low, high = found["balanced_interval"]
        balanced = found["balanced_accuracy"] if "balanced_accuracy" in found else found["balanced"]
        return f"balanced accuracy {balanced:.2%} ({low:.1%} to {high:.1%})"

    def told(self, found: Mapping[str, Any], mistakes: Mapping[str, Any] | None) -> Iterator[str]:
        """Balanced accuracy and the worst classes, where classes are unevenly frequent."""
        if not found["is_uneven"]:
            return
        low, high = found["balanced_interval"]
        yield (
            f"balanced accuracy {found['balanced_accuracy']:.2%} (95 %: {low:.1%} to {high:.1%} on "
            f"{found['images']:,} images): classes are unevenly frequent"
        )
        if mistakes is None:
            return
        names = [str(name) for name in mistakes["class_names"]]
        known = [(recall, name) for recall, name in zip(found["recalls"], names, strict=True)]
        worst = sorted((item for item in known if item[0] is not None), key=lambda item: item[0])[:_WORST]
        listed = ", ".join(f"{name} {recall:.0%}" for recall, name in worst)
        yield f"right by class, the worst first: {listed}"

    def sections(self, mistakes: Mapping[str, Any]) -> Iterator[Section]:
        """What is taken for what."""
        yield section(mistakes)
