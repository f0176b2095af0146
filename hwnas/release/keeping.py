"""Which layers an int8 file keeps in another precision, so that it loses no more than was allowed.

Remedies that cost nothing come first. Then a strategy of ``hwnas.bits`` chooses precisions of layers; every
step is a file that its runtime scores on validation images.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from hwnas import bits, runtimes, tasks
from hwnas.bits.rows import FINEST
from hwnas.errors import ExportError
from hwnas.export import lower
from hwnas.export.mixed import layers_of
from hwnas.export.noise import LayerNoise, of_layers
from hwnas.release.images import predicted, predicted_by
from hwnas.statistics.metric import ACCURACY, Metric

if TYPE_CHECKING:
    from torch import nn

    from hwnas.data import Dataset, Split
    from hwnas.space import Shape

REMEDIES: tuple[tuple[str, ...], ...] = ((), ("bias",), ("equalise", "bias"))
"""What is tried before any layer is kept, the least first."""
_IMAGES, _GLANCED = 2000, 500
"""Validation images that a file is scored on; and those of one of many."""
_ALL, _PART = 0, 1


@dataclass(frozen=True)
class KeptLayers:
    """What an int8 file of a runtime keeps in other precisions.

    Attributes:
        runtime: What runs the file.
        allowed: What it may lose, in points of a share, in percent of another metric.
        fp32: The metric in PyTorch.
        int8: That of the file without remedies and with no layer kept.
        value: That of the file as it is.
        lost: By how much it is worse than fp32, in the unit of ``allowed``.
        remedies: What was done to its weights.
        precisions: Of the layers that are kept, in running order, as ``lower`` takes them.
        of: How many layers there are.
        macs_share: Share of the multiply-adds that is kept.
        added_ms: What keeping them adds by measured rows; None where multiply-adds stood for it.
        cost: What stood for latency, in words.
        by: Strategy that chose them; empty where none had to.
        images: Validation images that files were scored on.
        tried: How many files were.
        metric: What the values are.
    """

    runtime: str
    allowed: float
    fp32: float
    int8: float
    value: float
    lost: float
    remedies: tuple[str, ...]
    precisions: Mapping[str, str]
    of: int
    macs_share: float
    added_ms: float | None
    cost: str
    by: str
    images: int
    tried: int
    metric: Metric = field(default=ACCURACY)

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of those that are kept."""
        return tuple(self.precisions)

    @property
    def said(self) -> str:
        """One sentence."""
        done = " and ".join(_NAMES[name] for name in self.remedies)
        with_it = f" with {done}" if done else ""
        text = (
            f"int8 through {self.runtime}: {self.metric.name} {self.metric.text(self.value, 2)}{with_it}, "
            f"{self.metric.text(self.int8, 2)} without, {self.metric.text(self.fp32, 2)} in fp32 "
            f"({self.images:,} validation images)"
        )
        if not self.precisions:
            return f"{text}; no layer is kept in {FINEST}"
        added = (
            f"which adds {self.added_ms:.3g} ms by {self.cost}" if self.added_ms is not None else self.cost
        )
        kinds = list(dict.fromkeys(self.precisions.values()))
        named = [
            name if len(kinds) == 1 else f"{name} ({precision})"
            for name, precision in self.precisions.items()
        ]
        return (
            f"{text}; {len(named)} of {self.of} layers stay in {' or '.join(kinds)} by {self.by}, "
            f"{self.macs_share:.0%} of the multiply-adds ({added}): {', '.join(named)}"
        )

    def to_json(self) -> dict[str, Any]:
        """A JSON object; the manifest says which metric it is."""
        names = [name for name in self.__dataclass_fields__ if name != "metric"]
        told = {name: getattr(self, name) for name in names}
        return {
            **told,
            "remedies": list(self.remedies),
            "precisions": dict(self.precisions),
            "layers": list(self.layers),
            "said": self.said,
        }


_NAMES = {"bias": "corrected biases", "equalise": "equalised channels"}

_NOTHING: Mapping[str, str] = MappingProxyType({})


def require_strategy(name: str) -> None:
    """Raise ExportError where no strategy chooses precisions under this name."""
    if name not in bits.STRATEGIES:
        raise ExportError(f"keep_by must be one of {', '.join(bits.NAMES)}, but got {name!r}")


class Keeper:
    """Finds what the int8 files of a network keep; what several runtimes need is made once."""

    def __init__(
        self,
        module: nn.Module,
        rounded: nn.Module,
        input_shape: Shape,
        dataset: Dataset,
        calibration: np.ndarray,
        allowed: float,
        *,
        remedies: Sequence[tuple[str, ...]] | None = None,
        by: str = bits.NAMES[0],
        on_step: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Of a trained network.

        Args:
            module: The network as it was trained.
            rounded: What int8 files are made of: the same, or one that was fine-tuned for int8.
            input_shape: Of one image.
            dataset: What it was trained on; its validation split is looked at, at most 2,000 images of it.
            calibration: Normalised training images that int8 ranges come from.
            allowed: See ``KeptLayers``.
            remedies: What is tried before any layer is kept, the least first, which is none; ``REMEDIES`` by
                default.
            by: Of ``bits.STRATEGIES``.
            on_step: Called with what is about to be done.
        """
        self._task = tasks.of(dataset)
        self._rounded, self._shape = rounded, input_shape
        self._dataset, self._calibration = dataset, calibration
        self._allowed, self._by, self._on_step = allowed, by, on_step
        self._remedies = REMEDIES if remedies is None else remedies
        counts = (_IMAGES, _GLANCED)[: 1 + (len(dataset.val.images) > _GLANCED)]
        self._splits = [self._task.sample(dataset, "val", count) for count in counts]
        self._fp32 = [predicted(module, dataset, split).value for split in self._splits]
        self._noise: dict[tuple[tuple[str, ...], str], tuple[LayerNoise, ...]] = {}

    def find(self, runtime: str, prices: bits.PricesOf) -> KeptLayers:
        """What the file of a runtime keeps.

        Args:
            runtime: Its name.
            prices: What precisions of layers cost.

        Raises:
            ExportError: All layers in fp32 lose more than is allowed, or the runtime keeps none.
        """
        values: dict[tuple[Any, ...], float] = {}

        def lost(remedies: tuple[str, ...], kept: Mapping[str, str] = _NOTHING, part: int = _ALL) -> float:
            part = min(part, len(self._splits) - 1)
            plan = remedies, tuple(kept.items()), part
            if plan not in values:
                values[plan] = self._value(runtime, remedies, kept, self._splits[part])
            return 100 * self._task.metric.lost(values[plan], self._fp32[part])

        def found(remedies: tuple[str, ...], kept: Mapping[str, str], **told: Any) -> KeptLayers:
            return KeptLayers(
                runtime=runtime,
                allowed=self._allowed,
                fp32=self._fp32[_ALL],
                int8=values[(), (), _ALL],
                value=values[remedies, tuple(kept.items()), _ALL],
                lost=lost(remedies, kept),
                remedies=remedies,
                precisions=kept,
                images=len(self._splits[_ALL].images),
                tried=len(values),
                metric=self._task.metric,
                **{"of": 0, "macs_share": 0.0, "added_ms": None, "cost": "", "by": ""} | told,
            )

        enough = next((each for each in self._remedies if lost(each) <= self._allowed), None)
        if enough is not None:
            return found(enough, _NOTHING)
        best = min(self._remedies, key=lost)
        if FINEST not in runtimes.get(runtime, ExportError).mixes:
            raise self._refused(runtime, lost(best), "and its files can keep no layer in fp32")
        subject = self._subject(runtime, best, prices, lost)
        if (least := subject.lost(subject.finest)) > self._allowed:
            raise self._refused(runtime, least, "with every layer in fp32")
        indices = bits.STRATEGIES[self._by](subject).choose()
        kept = subject.kept(indices)
        macs = {layer.name: layer.workload.macs for layer in subject.layers}
        return found(
            best,
            kept,
            of=len(macs),
            macs_share=sum(macs[name] for name in kept) / sum(macs.values()),
            added_ms=subject.prices.added_ms(indices),
            cost=subject.prices.said,
            by=self._by,
        )

    def _subject(
        self, runtime: str, remedies: tuple[str, ...], prices: bits.PricesOf, lost: Callable[..., float]
    ) -> bits.BitSubject:
        """What a strategy is given; the test split is none of its business."""
        layers = layers_of(self._rounded, self._shape)
        subject = bits.BitSubject(
            layers,
            prices(layers),
            self._allowed,
            lost=lambda indices: lost(remedies, subject.kept(indices)),
            glance=lambda indices: lost(remedies, subject.kept(indices), _PART),
            noise=lambda precision: self._noise_of(remedies, precision),
            network=self._rounded,
            images=self._calibration,
            runtime=runtime,
            tell=self._on_step,
        )
        return subject

    def _value(self, runtime: str, remedies: tuple[str, ...], kept: Mapping[str, str], split: Split) -> float:
        """The metric of an int8 file on validation images, through its runtime."""
        said = f", {len(kept)} layers kept" if kept else ""
        self._on_step(f"{self._task.metric.name} of int8 through {runtime}{said}")
        lowered = lower(
            self._rounded,
            self._shape,
            runtime,
            "int8",
            calibration=self._calibration,
            kept=kept,
            remedies=remedies,
            check=False,
        )
        return predicted_by(lowered.model, runtime, self._dataset, split).value

    def _noise_of(self, remedies: tuple[str, ...], precision: str) -> tuple[LayerNoise, ...]:
        if (remedies, precision) not in self._noise:
            self._noise[remedies, precision] = of_layers(
                self._rounded,
                self._shape,
                self._calibration,
                precision=precision,
                remedies=remedies,
                on_layer=lambda text: self._on_step(f"noise of {precision}, {text}"),
            )
        return self._noise[remedies, precision]

    def _refused(self, runtime: str, lost: float, why: str) -> ExportError:
        return ExportError(
            f"int8 through {runtime} must lose at most {self._task.metric.limit(self._allowed / 100)}, but "
            f"loses {lost:.2f} {why}: allow more with --keep-int8-loss, or fine-tune with --qat-if-worse"
        )
