"""Small models for agents."""

from __future__ import annotations

from pathlib import Path

import pytest
from installed import installed, works

from hwnas import export
from hwnas.measure.plan import ANCHOR

RUNTIMES = (
    "litert",
    "onnxruntime",
    *installed("openvino", "executorch"),
    *filter(works, ["onnxruntime_openvino"]),
)


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], Path]:
    """The anchor for each runtime and precision, really exported."""
    folder = tmp_path_factory.mktemp("models")
    images = export.random_calibration(ANCHOR.input_shape, 2, 0)
    paths = {}
    for runtime in RUNTIMES:
        for precision in ("fp32", "int8"):
            module = export.random_module(ANCHOR.blocks, 0)
            lowered = export.lower(
                module, ANCHOR.input_shape, runtime, precision, calibration=images, check=False
            )
            path = folder / f"{runtime}-{precision}{lowered.suffix}"
            path.write_bytes(lowered.model)
            paths[runtime, precision] = path
    return paths
