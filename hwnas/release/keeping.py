"""Which layers an int8 file keeps in fp32, so that it loses no more than was allowed.

Remedies that cost nothing come first. Then layers are ranked by the noise that their int8 brings to the
answers, over the latency that fp32 adds; as many of the first as are needed are kept, and of these,
those that turn out not to be needed are given back, the dearest first. Every step is a file that its runtime
scores on validation images. It is a search along one ranking: a cheaper set may exist.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from hwnas import runtimes, tasks
from hwnas.errors import ExportError
from hwnas.export import lower
from hwnas.export.noise import LayerNoise, of_layers
from hwnas.release.images import predicted, predicted_by
from hwnas.statistics.metric import ACCURACY, Metric

if TYPE_CHECKING:
    from torch import nn

    from hwnas.data import Dataset, Split
    from hwnas.release.layer_costs import Added
    from hwnas.space import Shape

REMEDIES: tuple[tuple[str, ...], ...] = ((), ("bias",), ("equalise", "bias"))
"""What is tried before any layer is kept, the least first."""
IN = "fp32"
_IMAGES = 2000
_NOISELESS = 1e-12  # share of noise by a layer that brings none: it is kept last


@dataclass(frozen=True)
class KeptLayers:
    """What an int8 file of a runtime keeps in fp32.

    Attributes:
        runtime: What runs the file.
        allowed: What it may lose, in points of a share, in percent of another metric.
        fp32: The metric in PyTorch.
        int8: That of the file without remedies and with no layer kept.
        value: That of the file as it is.
        lost: By how much it is worse than fp32, in the unit of ``allowed``.
        remedies: What was done to its weights.
        layers: Names of those that are kept.
        of: How many layers there are.
        macs_share: Share of the multiply-adds that is kept.
        added_ms: What keeping them adds by measured rows; None where multiply-adds stood for it.
        cost: What stood for latency, in words.
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
    layers: tuple[str, ...]
    of: int
    macs_share: float
    added_ms: float | None
    cost: str
    images: int
    tried: int
    metric: Metric = field(default=ACCURACY)

    @property
    def precisions(self) -> dict[str, str]:
        """As ``lower`` takes them."""
        return dict.fromkeys(self.layers, IN)

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
        if not self.layers:
            return f"{text}; no layer is kept in fp32"
        added = (
            f"which adds {self.added_ms:.3g} ms by {self.cost}" if self.added_ms is not None else self.cost
        )
        return (
            f"{text}; {len(self.layers)} of {self.of} layers stay in fp32, {self.macs_share:.0%} of the "
            f"multiply-adds ({added}): {', '.join(self.layers)}"
        )

    def to_json(self) -> dict[str, Any]:
        """A JSON object; the manifest says which metric it is."""
        names = [name for name in self.__dataclass_fields__ if name != "metric"]
        told = {name: getattr(self, name) for name in names}
        return {**told, "remedies": list(self.remedies), "layers": list(self.layers), "said": self.said}


_NAMES = {"bias": "corrected biases", "equalise": "equalised channels"}


Plan = tuple[tuple[str, ...], tuple[str, ...]]
"""Remedies, and layers that are kept."""


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
            on_step: Called with what is about to be done.
        """
        self._task = tasks.of(dataset)
        self._split: Split = self._task.sample(dataset, "val", _IMAGES)
        self._rounded, self._shape = rounded, input_shape
        self._dataset, self._calibration = dataset, calibration
        self._allowed, self._on_step = allowed, on_step
        self._fp32 = predicted(module, dataset, self._split).value
        self._noise: dict[tuple[str, ...], tuple[LayerNoise, ...]] = {}

    def find(self, runtime: str, added: Callable[[Sequence[LayerNoise]], Added]) -> KeptLayers:
        """What the file of a runtime keeps.

        Args:
            runtime: Its name.
            added: What fp32 adds to the latency of each layer.

        Raises:
            ExportError: All layers in fp32 lose more than is allowed, or the runtime keeps none.
        """
        values: dict[Plan, float] = {}

        def lost(plan: Plan) -> float:
            if plan not in values:
                values[plan] = self._value(runtime, plan)
            return self._points(values[plan])

        plans: list[Plan] = [(remedies, ()) for remedies in REMEDIES]
        enough = next((plan for plan in plans if lost(plan) <= self._allowed), None)
        told: dict[str, Any] = {"of": 0, "macs_share": 0.0, "added_ms": None, "cost": ""}
        if enough is None:
            best = min(plans, key=lost)
            if IN not in runtimes.get(runtime, ExportError).mixes:
                raise self._refused(runtime, lost(best), "and its files can keep no layer in fp32")
            noise = self._noise_of(best[0])
            costs = added(noise)
            layers = self._fewest(lambda layers: lost((best[0], layers)), noise, costs, runtime)
            enough = best[0], layers
            told = {
                "of": len(noise),
                "macs_share": sum(n.macs for n in noise if n.layer in layers) / sum(n.macs for n in noise),
                "added_ms": costs.ms(layers),
                "cost": costs.said,
            }
        return KeptLayers(
            runtime=runtime,
            allowed=self._allowed,
            fp32=self._fp32,
            int8=values[plans[0]],
            value=values[enough],
            lost=lost(enough),
            remedies=enough[0],
            layers=enough[1],
            images=len(self._split.images),
            tried=len(values),
            metric=self._task.metric,
            **told,
        )

    def _fewest(
        self,
        lost: Callable[[tuple[str, ...]], float],
        noise: Sequence[LayerNoise],
        costs: Added,
        runtime: str,
    ) -> tuple[str, ...]:
        """Layers that are kept, in running order: the first of a ranking, without those it does without."""
        order = [item.layer for item in noise]

        def kept(chosen: Sequence[str]) -> tuple[str, ...]:
            return tuple(name for name in order if name in chosen)

        ranked = sorted(noise, key=lambda item: max(item.share, _NOISELESS) / costs.each[item.layer])
        names = [item.layer for item in reversed(ranked)]
        if (least := lost(kept(names))) > self._allowed:
            raise self._refused(runtime, least, "with every layer in fp32")
        fails, enough = 0, len(names)
        while enough - fails > 1:
            middle = (fails + enough) // 2
            if lost(kept(names[:middle])) <= self._allowed:
                enough = middle
            else:
                fails = middle
        chosen = names[:enough]
        for name in sorted(chosen, key=lambda name: -costs.each[name]):
            rest = [other for other in chosen if other != name]
            if rest and lost(kept(rest)) <= self._allowed:
                chosen = rest
        return kept(chosen)

    def _value(self, runtime: str, plan: Plan) -> float:
        """The metric of an int8 file on the validation images, through its runtime."""
        remedies, layers = plan
        said = f", {len(layers)} layers in {IN}" if layers else ""
        self._on_step(f"{self._task.metric.name} of int8 through {runtime}{said}")
        lowered = lower(
            self._rounded,
            self._shape,
            runtime,
            "int8",
            calibration=self._calibration,
            kept=dict.fromkeys(layers, IN),
            remedies=remedies,
            check=False,
        )
        return predicted_by(lowered.model, runtime, self._dataset, self._split).value

    def _noise_of(self, remedies: tuple[str, ...]) -> tuple[LayerNoise, ...]:
        if remedies not in self._noise:
            self._noise[remedies] = of_layers(
                self._rounded,
                self._shape,
                self._calibration,
                remedies=remedies,
                on_layer=lambda name: self._on_step(f"noise of int8 in {name}"),
            )
        return self._noise[remedies]

    def _points(self, value: float) -> float:
        return 100 * self._task.metric.lost(value, self._fp32)

    def _refused(self, runtime: str, lost: float, why: str) -> ExportError:
        return ExportError(
            f"int8 through {runtime} must lose at most {self._task.metric.limit(self._allowed / 100)}, but "
            f"loses {lost:.2f} {why}: allow more with --keep-int8-loss, or fine-tune with --qat-if-worse"
        )
