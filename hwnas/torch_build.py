"""Which build of PyTorch runs here, and what is known of it."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

_FAULTY_ONEDNN = "3.12."  # seen in 3.12.0, on an Intel Xeon
_SAFE_ISA = ("SSE41", "AVX", "AVX2", "AVX2_VNNI", "AVX2_VNNI_2")


@dataclass(frozen=True)
class TorchBuild:
    """A build of PyTorch on this machine.

    Attributes:
        version: Of PyTorch.
        onednn: Version of oneDNN, which computes its convolutions on CPUs; empty where there is none.
        capability: Widest instructions of the CPU that PyTorch uses, for example "AVX512".
        warning: A crash that is known of the combination; empty where none is.
    """

    version: str
    onednn: str
    capability: str
    warning: str = ""


def torch_build() -> TorchBuild:
    """The build that is installed; takes the seconds that importing it takes."""
    import torch

    found = re.search(r"(?:MKL-DNN|oneDNN) v(\S+)", torch.__config__.show())
    onednn, capability = found[1] if found else "", torch.backends.cpu.get_cpu_capability()
    return TorchBuild(torch.__version__, onednn, capability, known_fault(onednn, capability))


def known_fault(onednn: str, capability: str, isa: str | None = None) -> str:
    """What is known to crash, in a sentence; empty where nothing is.

    Args:
        onednn: Version of oneDNN.
        capability: Of the CPU.
        isa: What oneDNN is limited to; the variable ONEDNN_MAX_CPU_ISA where not given.
    """
    limit = os.environ.get("ONEDNN_MAX_CPU_ISA", "") if isa is None else isa
    faulty = onednn.startswith(_FAULTY_ONEDNN) and capability.startswith("AVX512")
    if not faulty or limit.upper() in _SAFE_ISA:
        return ""
    return (
        f"oneDNN {onednn} on CPUs with AVX-512 crashes in the training of strided 1x1 convolutions: hwnas's "
        "own blocks never run them; for networks of your own set ONEDNN_MAX_CPU_ISA=AVX2"
    )
