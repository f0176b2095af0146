"""Proves that an exported model computes what PyTorch computes, and that its runtime does so well."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hwnas import runtimes
from hwnas.errors import ExportError, ParityError

if TYPE_CHECKING:
    from torch import nn

    from hwnas.runtimes.base import Host

FP32_TOLERANCE = 1e-4  # of the largest answer; the order of sums alone makes some 1e-6
SQNR_DB = {"int8": 20.0, "16x8": 26.0}
"""What a block must reach: random ones have 24 to 37 in int8 and 39 to 48 in 16x8, faults cost more."""
_SQNR_DB_PER_DOUBLING = 1.5  # of the depth: 14 for a network, where untrained ones have 16 to 30
_BLOCK_DEPTH = 4
_INVISIBLE = 1e-8  # answers this small are nothing to the quantiser


@dataclass(frozen=True)
class ParityReport:
    """What the checks found.

    Attributes:
        runtime: Runtime that answered.
        precision: Of the file.
        images: Number of images that both answered.
        max_error: Largest difference from PyTorch over PyTorch's largest answer.
        sqnr_db: Power of PyTorch's answers over that of the differences, in decibels; None
            where there is no difference at all.
        operators: How often each operator is in the graph that the runtime executes.
        partitions: Delegate partitions; None for runtimes without delegates.
        float_operators: Operators of a model in whole numbers that compute in float all the same.
    """

    runtime: str
    precision: str
    images: int
    max_error: float
    sqnr_db: float | None
    operators: Mapping[str, int]
    partitions: int | None
    float_operators: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """A JSON object."""
        return asdict(self)


def check(
    module: nn.Module,
    model: bytes,
    runtime_name: str,
    precision: str,
    images: np.ndarray,
    *,
    depth: int = _BLOCK_DEPTH,
    structure: bool = True,
) -> ParityReport:
    """Compare a model with the module that it was made from.

    Args:
        module: What was lowered; it is run in eval mode and left as it was.
        model: The lowered model.
        runtime_name: Name of one of ``hwnas.runtimes``.
        precision: Of the file.
        images: Shape (n, channels, height, width); for whole numbers like those of the calibration.
        depth: Weighted layers of the module. Each adds rounding noise, so that the deeper it
            is, the lower the signal-to-noise ratio that whole numbers must reach.
        structure: Whether one partition and no float operator are demanded or only reported.

    Raises:
        ParityError: The answers differ, an operator of a model in whole numbers computes in float, or
            a delegate does not run all of the model in one piece.
    """
    expected = answers(module, images)
    if not np.isfinite(expected).all():
        raise ExportError("PyTorch's answers must be finite, but some are not: check the weights")
    host = runtimes.get(runtime_name, ExportError).host
    actual = runtimes.run(model, runtime_name, images)
    execution = host.execution(model)
    floats = execution.float_operators if precision in SQNR_DB else ()
    max_error, sqnr_db = differences(expected, actual)
    report = ParityReport(
        runtime_name,
        precision,
        len(images),
        max_error,
        sqnr_db,
        execution.operators,
        execution.partitions,
        floats,
    )
    if np.abs(expected).max() <= _INVISIBLE:
        _demand_silence(report, actual, images)
    else:
        _demand_values(report, depth)
    if structure:
        _demand_structure(report, execution.undelegated, host)
    return report


def answers(module: nn.Module, images: np.ndarray) -> np.ndarray:
    """What PyTorch answers in eval mode, float32; the module's own mode is put back."""
    import torch

    device = next((p.device for p in module.parameters()), torch.device("cpu"))
    with _evaluating(module), torch.inference_mode():
        batch = torch.from_numpy(np.ascontiguousarray(images, np.float32)).to(device)
        result: np.ndarray = module(batch).cpu().numpy()
    return result


def differences(expected: np.ndarray, actual: np.ndarray) -> tuple[float, float | None]:
    """Largest error over the largest expected value, and the signal-to-noise ratio in dB.

    Raises:
        ParityError: The shapes differ.
    """
    if expected.shape != actual.shape:
        raise ParityError(f"answers must be of shape {expected.shape}, but got {actual.shape}")
    reference, error = expected.astype(np.float64), actual.astype(np.float64) - expected
    peak, noise = np.abs(reference).max(), np.square(error).sum()
    if not noise:
        return 0.0, None
    smallest = float(np.finfo(np.float32).tiny)
    ratio = max(np.square(reference).sum(), smallest) / max(noise, smallest)
    return float(np.abs(error).max() / max(peak, smallest)), float(10 * np.log10(ratio))


def least_sqnr_db(depth: int, precision: str = "int8") -> float:
    """Signal-to-noise ratio that a model in whole numbers of so many weighted layers must reach."""
    return SQNR_DB[precision] - _SQNR_DB_PER_DOUBLING * float(
        np.log2(max(depth, _BLOCK_DEPTH) / _BLOCK_DEPTH)
    )


def _demand_values(report: ParityReport, depth: int) -> None:
    if report.precision == "fp32" and not report.max_error <= FP32_TOLERANCE:
        raise ParityError(
            f"fp32 answers must be within {FP32_TOLERANCE:g} of PyTorch's largest, but those of "
            f"{report.runtime} differ by {report.max_error:.3g}"
        )
    if report.precision not in SQNR_DB or report.sqnr_db is None:
        return
    least = least_sqnr_db(depth, report.precision)
    if not report.sqnr_db >= least:
        raise ParityError(
            f"{report.precision} answers must have a signal-to-noise ratio of {least:.1f} dB, but those of "
            f"{report.runtime} have {report.sqnr_db:.1f} dB: calibrate with images of the task"
        )


def _demand_silence(report: ParityReport, actual: np.ndarray, images: np.ndarray) -> None:
    """Where PyTorch answers nothing but zeros, the model may answer what rounding leaves."""
    loudest, allowed = float(np.abs(actual).max()), float(np.abs(images).max()) / 255
    if not loudest <= allowed:
        raise ParityError(
            f"answers must be zero as PyTorch's are, but those of {report.runtime} reach {loudest:.3g}"
        )


def _demand_structure(report: ParityReport, undelegated: tuple[str, ...], host: Host) -> None:
    if report.float_operators and host.keeps_int8:
        raise ParityError(
            f"a model in {report.precision} must compute in integers throughout, but these operators are "
            f"float: {', '.join(report.float_operators)}"
        )
    is_delegated = bool(host.delegate) and report.precision not in host.delegate_lacks
    if is_delegated and (report.partitions != 1 or undelegated):
        raise ParityError(
            f"{host.delegate} must run the model in one partition, but there are {report.partitions}, and it "
            f"leaves out {', '.join(undelegated) or 'nothing'}"
        )


@contextmanager
def _evaluating(module: nn.Module) -> Iterator[None]:
    """Eval mode for as long as the context lasts, layer by layer as it was afterwards."""
    training = [layer for layer in module.modules() if layer.training]
    module.eval()
    try:
        yield
    finally:
        for layer in training:
            layer.training = True
