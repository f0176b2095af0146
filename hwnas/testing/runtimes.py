"""What a runtime must keep."""

from __future__ import annotations

import tempfile
from importlib import resources
from pathlib import Path

from hwnas import files, runtimes
from hwnas.blocks import Conv
from hwnas.device import PRECISIONS, PROCESSORS, Device
from hwnas.errors import ExportError
from hwnas.measure import ProfileOptions, measure
from hwnas.runtimes import Runtime
from hwnas.runtimes.base import arrays
from hwnas.testing.claims import claim, works

_SHAPE = (3, 8, 6)
_QUICK = ProfileOptions(rounds=2, max_rounds=2, samples=2, min_round_s=0.0)


def check_runtime(name: str, device: Device | None = None) -> None:
    """Claim that a runtime has what it names, that models are made for it, and that its agent measures them.

    Args:
        name: Of a runtime that is registered.
        device: Where to measure a small model; nothing is measured without.

    Raises:
        AssertionError: Something does not hold.
    """
    from hwnas.export import lower, random_calibration, random_module

    with works(f"the runtime {name!r}"):
        runtime = runtimes.get(name)
        claim(
            runtime.name == name,
            f"a runtime must be registered by its name, but {name!r} is {runtime.name!r}",
        )
        program = files.shipped("profilers") / runtime.agent / "agent.py"
        claim(program.is_file(), f"the agent of {name} must be there, but {program} is not a file")
        for what, own, known in (
            ("precisions", runtime.precisions, PRECISIONS),
            ("processors", runtime.processors, PROCESSORS),
        ):
            claim(own and set(own) <= set(known), f"the {what} of {name} must be of {known}, but are {own}")
        claim(
            runtime.host.runtime in runtimes.RUNTIMES,
            f"the host of {name} must run a runtime that is known, but names {runtime.host.runtime!r}",
        )
        if runtime.example:
            example = resources.files("hwnas.release.examples") / runtime.example
            claim(example.is_file(), f"the example of {name} must be there, but {runtime.example} is not")
        module, images = random_module([Conv(3, 4)], 0), random_calibration(_SHAPE, 4, 1)
        for precision in runtime.files:
            model = lower(module, _SHAPE, name, precision, calibration=images).model
            found = arrays(runtimes.run(model, name, images))[0].shape
            claim(
                found == (4, 4, 8, 6),
                f"{name} must answer (4, 4, 8, 6) in PyTorch's layout, but answers {found}",
            )
            ends = runtime.host.quantization(model)
            claim(
                not ends or (precision != "fp32" and {"input", "output"} == set(ends)),
                f"{name} must say how both ends of int8 models are quantised, but says {ends} in {precision}",
            )
            _check_description(runtime, precision, model)
            if device is not None:
                for computed in runtime.precisions_on(device.processor):
                    if runtimes.PRECISIONS[computed].file == precision:
                        _check_agent(name, computed, device, model)


def _check_description(runtime: Runtime, precision: str, model: bytes) -> None:
    """A file says what goes in, what comes out, and what it computes in."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"model{runtime.format.suffix}"
        path.write_bytes(model)
        found = runtime.host.describe(path)
        path.write_bytes(b"no model")
        try:
            runtime.host.describe(path)
            is_refused = False
        except ExportError:
            is_refused = True
    claim(
        found.precision == precision and len(found.inputs) == len(found.outputs) == 1 and found.operators,
        f"{runtime.name} must describe a convolution in {precision}, but says {found}",
    )
    claim(is_refused, f"{runtime.name} must refuse to describe what is no model by ExportError, but does not")


def _check_agent(name: str, precision: str, device: Device, model: Path | bytes) -> None:
    """The agent speaks the protocol, through the engine that measures everything else."""
    found = measure(device, device.target(name, precision), {"small": model}, options=_QUICK)["small"]
    claim(found.latency_ms > 0, f"{name} must take some time, but took {found.latency_ms} ms in {precision}")
