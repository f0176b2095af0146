"""Proves that an exported model computes what PyTorch computes, and that its runtime does so well."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hwnas import runtimes
from hwnas.errors import ExportError, ParityError
from hwnas.runtimes.base import Values, arrays, one_or_several

if TYPE_CHECKING:
    from torch import nn

    from hwnas.export._layers import Mixed
    from hwnas.runtimes.base import Host

FP32_TOLERANCE = 1e-4  # of the largest answer; the order of sums alone makes some 1e-6
SQNR_DB = {"int8": 20.0, "16x8": 26.0}
"""What a block must reach: random ones have 24 to 37 in int8 and 39 to 48 in 16x8, faults cost more."""
_SQNR_DB_PER_DOUBLING = 1.5  # of the depth: 14 for a network, where untrained ones have 16 to 30
_BLOCK_DEPTH = 4
_INVISIBLE = 1e-8  # answers this small are nothing to the quantiser
_SMALLEST = float(np.finfo(np.float32).tiny)
_LEAST_ALONE_DB = 6.0  # of one output of several that are judged together: under it, a fault has most of it

Judged = Mapping[str, Mapping[int, np.ndarray]]
"""Outputs that are one thing: by its name the numbers of the outputs, and how much their values count.

Arrays of how much values count have the shape of the output, or one that can be broadcast to it.
"""
Judge = Callable[[tuple[np.ndarray, ...]], Judged]
"""Says of PyTorch's answers which outputs are judged together."""


@dataclass(frozen=True)
class ParityReport:
    """What the checks found, of several outputs on the worst.

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
    images: Values,
    *,
    depth: int = _BLOCK_DEPTH,
    structure: bool = True,
    judge: Judge | None = None,
    mixed: Mixed | None = None,
) -> ParityReport:
    """Compare a model with the module that it was made from.

    Args:
        module: What was lowered; it is run in eval mode and left as it was.
        model: The lowered model.
        runtime_name: Name of one of ``hwnas.runtimes``.
        precision: Of the file.
        images: Shape (n, channels, height, width), of several inputs a tuple of such; for whole numbers like
            those of the calibration.
        depth: Weighted layers of the module. Each adds rounding noise, so that the deeper it
            is, the lower the signal-to-noise ratio that whole numbers must reach.
        structure: Whether one partition and no float operator are demanded or only reported.
        judge: Says which outputs are judged together in whole numbers, and how much their values count;
            without it each is judged alone, and all values count alike.
        mixed: Which parts of a model in several precisions must be in whole numbers all the same.

    Raises:
        ParityError: The answers differ, an operator of a model in whole numbers computes in float, or
            a delegate does not run all of the model in one piece.
    """
    expected = answers(module, images)
    if not all(np.isfinite(each).all() for each in arrays(expected)):
        raise ExportError("PyTorch's answers must be finite, but some are not: check the weights")
    host = runtimes.get(runtime_name, ExportError).host
    actual = runtimes.run(model, runtime_name, images)
    execution = host.execution(model)
    floats = execution.float_operators if precision in SQNR_DB else ()
    max_error, sqnr_db = differences(expected, actual)
    judged = judge(arrays(expected)) if judge is not None and precision in SQNR_DB else {}
    report = ParityReport(
        runtime_name,
        precision,
        len(arrays(images)[0]),
        max_error,
        sqnr_db,
        execution.operators,
        execution.partitions,
        floats,
    )
    together = {number for members in judged.values() for number in members}
    pairs = list(zip(arrays(expected), arrays(actual), strict=True))
    least_db = least_sqnr_db(depth, precision) if precision in SQNR_DB else None
    for number, (right, found) in enumerate(pairs):
        who = runtime_name if len(pairs) == 1 else f"{runtime_name}'s output {number}"
        if np.abs(right).max() <= _INVISIBLE:
            _demand_silence(who, found, max(float(np.abs(each).max()) for each in arrays(images)))
            continue
        alone_db = _LEAST_ALONE_DB if number in together else least_db
        _demand_values(who, precision, _difference(right, found), alone_db)
    for name, members in judged.items():
        parts = [(*pairs[number], weights) for number, weights in members.items()]
        _demand_values(f"{runtime_name}'s {name}", precision, (0.0, _together_db(parts)), least_db)
    if structure:
        _demand_structure(report, execution.undelegated, host, mixed)
    return report


def answers(module: nn.Module, images: Values) -> Values:
    """What PyTorch answers in eval mode, float32; the module's own mode is put back."""
    import torch

    device = next((p.device for p in module.parameters()), torch.device("cpu"))
    with _evaluating(module), torch.inference_mode():
        given = (torch.from_numpy(np.ascontiguousarray(each, np.float32)) for each in arrays(images))
        made = module(*(batch.to(device) for batch in given))
    return one_or_several(
        [each.cpu().numpy() for each in (made if isinstance(made, tuple | list) else [made])]
    )


def differences(expected: Values, actual: Values) -> tuple[float, float | None]:
    """Largest error over the largest expected value, and the signal-to-noise ratio in dB.

    Of several outputs, that of the worst.

    Raises:
        ParityError: The shapes differ.
    """
    pair = arrays(expected), arrays(actual)
    if len(pair[0]) != len(pair[1]):
        raise ParityError(f"there must be {len(pair[0])} outputs, but there are {len(pair[1])}")
    found = [_difference(*each) for each in zip(*pair, strict=True)]
    ratios = [ratio for _, ratio in found if ratio is not None]
    return max(error for error, _ in found), min(ratios, default=None)


def _difference(expected: np.ndarray, actual: np.ndarray) -> tuple[float, float | None]:
    if expected.shape != actual.shape:
        raise ParityError(f"answers must be of shape {expected.shape}, but got {actual.shape}")
    reference, error = expected.astype(np.float64), actual.astype(np.float64) - expected
    ratio_db = decibels(np.square(reference).sum(), np.square(error).sum())
    if ratio_db is None:
        return 0.0, None
    return float(np.abs(error).max() / max(np.abs(reference).max(), _SMALLEST)), ratio_db


def _together_db(parts: list[tuple[np.ndarray, np.ndarray, np.ndarray]]) -> float | None:
    """Signal-to-noise ratio of several outputs: what is right, what was answered, how much values count."""
    power = noise = 0.0
    for right, found, weights in parts:
        power += float((weights * np.square(right.astype(np.float64))).sum())
        noise += float((weights * np.square(found.astype(np.float64) - right)).sum())
    return decibels(power, noise)


def decibels(power: float, noise: float) -> float | None:
    """Ratio of signal to noise; None where there is no noise at all."""
    return float(10 * np.log10(max(power, _SMALLEST) / max(noise, _SMALLEST))) if noise else None


def least_sqnr_db(depth: int, precision: str = "int8") -> float:
    """Signal-to-noise ratio that a model in whole numbers of so many weighted layers must reach."""
    return SQNR_DB[precision] - _SQNR_DB_PER_DOUBLING * float(
        np.log2(max(depth, _BLOCK_DEPTH) / _BLOCK_DEPTH)
    )


def _demand_values(
    who: str, precision: str, found: tuple[float, float | None], least_db: float | None
) -> None:
    max_error, sqnr_db = found
    if precision == "fp32" and not max_error <= FP32_TOLERANCE:
        raise ParityError(
            f"fp32 answers must be within {FP32_TOLERANCE:g} of PyTorch's largest, but those of {who} differ "
            f"by {max_error:.3g}"
        )
    if least_db is not None and sqnr_db is not None and not sqnr_db >= least_db:
        raise ParityError(
            f"{precision} answers must have a signal-to-noise ratio of {least_db:.1f} dB, but those of {who} "
            f"have {sqnr_db:.1f} dB: calibrate with images of the task, or train longer where "
            "the network has learnt little (its answers hardly differ, and rounding is most of that)"
        )


def _demand_silence(who: str, actual: np.ndarray, most: float) -> None:
    """Where PyTorch answers nothing but zeros, the model may answer what rounding leaves of the inputs."""
    loudest = float(np.abs(actual).max())
    if not loudest <= most / 255:
        raise ParityError(f"answers must be zero as PyTorch's are, but those of {who} reach {loudest:.3g}")


def _demand_structure(
    report: ParityReport, undelegated: tuple[str, ...], host: Host, mixed: Mixed | None
) -> None:
    odd = [name for name in report.float_operators if name.split(" (")[0] not in host.float_in_int8]
    if mixed is not None:  # labels are "TYPE (tensor)"
        odd = [name for name in odd if name.partition(" (")[2].removesuffix(")") in mixed.whole]
    if odd and host.keeps_int8:
        raise ParityError(
            f"a model in {report.precision} must compute in integers throughout, but these operators are "
            f"float: {', '.join(odd)}"
        )
    precisions = {report.precision, *(mixed.precisions if mixed else ())}
    is_delegated = bool(host.delegate) and not precisions & set(host.delegate_lacks)
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
