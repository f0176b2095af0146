"""What tasks on images have in common, for a task to inherit and to say only what differs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from hwnas import known
from hwnas.data import pixels
from hwnas.errors import DataError, SpaceError
from hwnas.tasks.base import COVERING, Estimate, Example, Metric, Section
from hwnas.tasks.recipes import FROM_NOTHING, PRETRAINED, Usual

if TYPE_CHECKING:
    from hwnas.data import Dataset, Split

LABELS = 'labels = (folder / "labels.txt").read_text("utf-8").splitlines()\n\n\n'
"""Reads them, for examples that ship."""
_NUMBERS = '''\
def read(answers, width, height):
    """Every number with its label."""
    return list(zip(answers, labels, strict=True))


def show(found, picture, name):
    """Print them."""
    for answer, label in found:
        print(f"{answer:10.4g}  {label}")
'''


def stretched(height: int, width: int) -> dict[str, Any]:
    """How a picture of any shape is scaled where none of it may be lost: ``resize`` of preprocessing."""
    return {
        "height": height,
        "width": width,
        "filter": "bilinear",
        "method": "stretch to height and width",
        "pillow": "image.resize((width, height), Image.Resampling.BILINEAR)",
    }


class OnImages:
    """A network that is fed pictures, and answers each with one number a label."""

    name: str
    metric: Metric
    takes_auxiliary = False

    def load(self, source: str, **options: Any) -> Dataset:
        """Read images; options as of ``data.load``."""
        raise NotImplementedError

    def network(self, name: str) -> str:
        """The same: a classifier answers as many numbers as are wanted."""
        if known.knows(name) and (decoder := known.named(name).decoder):
            raise SpaceError(
                f"the network of a {self.name} must end in a classifier, but {name} has a decoder: leave out "
                f"+{decoder}, or give another task"
            )
        return name

    def usual(self, *, pretrained: bool) -> Usual:
        """That of classifiers."""
        return PRETRAINED if pretrained else FROM_NOTHING

    def labels(self, data: Dataset) -> tuple[str, ...]:
        """The name of each number that is answered."""
        return data.class_names

    def fits(self, answer: tuple[int, ...], labels: Sequence[str]) -> bool:
        """Whether an answer has one number a label."""
        return answer == (len(labels),)

    def judged(self, answers: tuple[NDArray[Any], ...]) -> Mapping[str, Mapping[int, NDArray[Any]]]:
        """Each output alone."""
        return {}

    def preprocessing(self, data: Dataset) -> dict[str, Any]:
        """Scaled, its centre cut out, standardised channel by channel."""
        _, height, width = data.image_shape
        return {
            "resize": {
                "height": height,
                "width": width,
                "filter": "bilinear",
                "method": "scale until height and width are covered, then cut out the centre",
                "pillow": "ImageOps.fit(image, (width, height), Image.Resampling.BILINEAR)",
            },
            "picture": dict(pixels.RULES),
            "channels": " then ".join(["RGB"] * max(1, data.image_shape[0] // 3)),
            "scale": 1 / 255,
            "mean": list(data.mean),
            "std": list(data.std),
            "formula": "(pixel * scale - mean) / std",
        }

    def settled(self, look: Callable[[], Any]) -> Mapping[str, Any]:
        """Nothing: answers are read as they are."""
        return {}

    @property
    def example(self) -> Example:
        """Prints every number beside its label."""
        return Example(f"{LABELS}{COVERING}{_NUMBERS}")

    def sample(self, data: Dataset, split: str, count: int) -> Split:
        """Random images, classes mixed as in the whole where there are classes."""
        return data.sample(split, count)

    def load_test(self, source: str, resolution: int, labels: Sequence[str]) -> Split:
        """The test split of a source."""
        found = self.load(source, resolution=resolution)
        wanted, there = tuple(labels), self.labels(found)
        if there != wanted:
            raise DataError(
                f"a further test set must have the labels of the network, {', '.join(wanted)}, but {source} "
                f"has {', '.join(there)}: give another one"
            )
        return found.test

    def least_loss(self, loss: float, found: Estimate) -> float:
        """What the better end of the interval leaves of the loss."""
        metric = self.metric
        best = max(map(metric.better, found.interval))
        return loss - (best - metric.better(found.value))

    def merit_interval(self, merit: float, images: int) -> tuple[float, float] | None:
        """Not known."""
        return None

    def fineness(self, images: int) -> str:
        """Not known."""
        return ""

    def sized(self, outputs: int) -> str:
        """Numbers an image."""
        return f"{outputs} number{'' if outputs == 1 else 's'} an image"

    def stated(self, value: float, images: int, split: str) -> str:
        """The metric by its name."""
        return f"{self.metric.name} {self.metric.text(value)} on {images:,} {split} images"

    def remark(self, found: Mapping[str, Any]) -> str:
        """Nothing."""
        return ""

    def mistakes(self, predictions: Any, data: Dataset, split: str) -> Mapping[str, Any] | None:
        """Nothing is kept of single images."""
        return None

    def told(self, found: Mapping[str, Any], mistakes: Mapping[str, Any] | None) -> Iterator[str]:
        """Nothing."""
        return iter(())

    def sections(self, mistakes: Mapping[str, Any]) -> Iterator[Section]:
        """None."""
        return iter(())
