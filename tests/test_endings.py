"""What is said of processes that ended, and of the build of torch that may have ended them."""

from __future__ import annotations

import subprocess
import sys

import pytest

from hwnas.endings import ended, remedy
from hwnas.torch_build import known_fault, torch_build


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (-11, "was killed by SIGSEGV"),
        (139, "was killed by SIGSEGV"),
        (-6, "was killed by SIGABRT"),
        (137, "was killed by SIGKILL"),
        (1, "ended with status 1"),
        (128, "ended with status 128"),
        (255, "ended with status 255"),
        (None, "ended in a way that is not known"),
    ],
)
def test_an_ending_in_words(status, words):
    assert ended(status) == words


def test_the_remedy_fits_the_signal():
    assert "memory" in remedy(-9)
    assert "hwnas doctor" in remedy(-11)
    assert "hwnas doctor" in remedy(134)
    assert remedy(1) == remedy(None) == remedy(-15) == "see what ended it"


@pytest.mark.parametrize(
    ("onednn", "capability", "isa", "crashes"),
    [
        ("3.12.0", "AVX512", "", True),
        ("3.12.0", "AVX512", "AVX512_CORE", True),
        ("3.12.0", "AVX512", "avx2", False),
        ("3.12.0", "AVX2", "", False),
        ("3.11.1", "AVX512", "", False),
        ("", "NEON", "", False),
    ],
)
def test_the_combination_that_is_known_to_crash(onednn, capability, isa, crashes):
    said = known_fault(onednn, capability, isa)
    assert bool(said) == crashes
    assert not said or f"oneDNN {onednn}" in said


def test_the_build_that_is_installed():
    import torch

    build = torch_build()
    assert build.version == torch.__version__
    assert build.capability == torch.backends.cpu.get_cpu_capability()
    assert build.onednn in torch.__config__.show()
    assert bool(build.onednn) == torch.backends.mkldnn.is_available()
    assert build.warning == known_fault(build.onednn, build.capability)


def test_a_crash_of_the_program_itself_says_where():
    code = (
        "import sys, faulthandler\n"
        "from hwnas.cli import app, main\n"
        "@app.command()\n"
        "def crash(): faulthandler._sigsegv()\n"
        "sys.argv = ['hwnas', 'crash']\n"
        "main()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == -11
    assert "Segmentation fault" in done.stderr
    assert "in crash" in done.stderr
