"""Alignment of ELF segments: files of a real linker, headers written by hand, damaged ones."""

from __future__ import annotations

import struct
import subprocess

import programs
import pytest

from hwnas.errors import AgentError
from hwnas.transport import _bundle, _elf


def elf(*segments, bits=64, order="<"):
    """A file that is nothing but headers; a segment is (type, offset, address, alignment)."""
    wide = bits == 64
    head = b"\x7fELF" + bytes([2 if wide else 1, 1 if order == "<" else 2, 1]) + bytes(9)
    if wide:
        head += struct.pack(order + "HHIQQQIHHHHHH", 3, 183, 1, 0, 64, 0, 0, 64, 56, len(segments), 0, 0, 0)
        rows = [struct.pack(order + "IIQQQQQQ", k, 5, o, a, a, 1, 1, al) for k, o, a, al in segments]
    else:
        head += struct.pack(order + "HHIIIIIHHHHHH", 3, 40, 1, 0, 52, 0, 0, 52, 32, len(segments), 0, 0, 0)
        rows = [struct.pack(order + "IIIIIIII", k, o, a, a, 1, 1, 5, al) for k, o, a, al in segments]
    return head + b"".join(rows)


@pytest.mark.parametrize("bits", [32, 64])
@pytest.mark.parametrize("order", ["<", ">"])
def test_the_least_aligned_segment_to_load_counts(bits, order):
    small, large, other = (1, 0x4000, 0x8000, 0x4000), (1, 0, 0, 0x10000), (2, 0, 0, 8)
    assert _elf.alignment(elf(large, other, small, bits=bits, order=order)) == 0x4000
    assert _elf.alignment(elf(large, other, bits=bits, order=order)) == 0x10000


def test_what_a_header_claims_must_be_true_of_its_place():
    assert _elf.alignment(elf((1, 0x1000, 0x2000, 0x4000))) == 0x1000


def test_what_is_no_elf_file_has_no_alignment():
    assert _elf.alignment(b'{"schema": 1}') is None
    assert _elf.alignment(b"") is None


@pytest.mark.parametrize("content", [b"\x7fELF", elf((1, 0, 0, 4096))[:80], elf(), elf((2, 0, 0, 8))])
def test_a_damaged_file_is_refused(content):
    with pytest.raises(AgentError, match="an ELF file must have"):
        _elf.alignment(content)


@pytest.mark.parametrize("size", [4096, 16384, 65536])
def test_what_a_linker_makes(tmp_path, size):
    compiler = programs.need("cc", "gcc", "clang")
    (tmp_path / "a.c").write_text("int main(void) { return 0; }\n")
    subprocess.run(
        [compiler, f"-Wl,-z,max-page-size={size}", "-o", tmp_path / "a", tmp_path / "a.c"], check=True
    )
    assert _elf.alignment((tmp_path / "a").read_bytes()) == size


def test_a_bundle_for_phones_must_fit_large_pages(tmp_path):
    (tmp_path / "manifest.json").write_text("{}")
    (tmp_path / "agent").write_bytes(elf((1, 0, 0, 0x10000)))
    assert _bundle.require_aligned(tmp_path, "arm64") == 0x10000
    (tmp_path / "libc.so.6").write_bytes(elf((1, 0, 0, 0x1000)))
    with pytest.raises(AgentError, match=r"pages of 16384 bytes, but those of libc.so.6 are aligned to 4096"):
        _bundle.require_aligned(tmp_path, "arm64")
    assert _bundle.require_aligned(tmp_path, "x86-64") == 0x1000
    with pytest.raises(AgentError, match="pages of 16384"):
        _bundle.require_aligned(tmp_path, "x86-64", 16384)


def test_our_own_program_fits_large_pages(bundle):
    assert _elf.alignment((bundle.folder / "agent").read_bytes()) >= 16384
