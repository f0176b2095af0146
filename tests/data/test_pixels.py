"""Pictures of every kind become the same pixels in training and in what ships."""

from __future__ import annotations

import ast
import io
import struct
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from hwnas import tasks
from hwnas.data import formats, pixels
from hwnas.errors import DataError
from hwnas.release import shipping

RGB = np.random.default_rng(0).integers(0, 256, (20, 12, 3)).astype(np.uint8)
DEEP = np.random.default_rng(1).integers(0, 65536, (20, 12)).astype(np.uint16)
SMOOTH = (np.indices((20, 12)).sum(axis=0)[..., None] * [8, 5, 3]).astype(np.uint8)  # JPEG keeps it


def saved(path, image, **options):
    image.save(path, **options)
    return path


def oriented(number):
    exif = Image.Exif()
    exif[274] = number
    return exif


def with_alpha(mode):
    image = Image.fromarray(RGB).convert("RGBA" if mode == "RGBA" else "LA")
    image.putalpha(Image.fromarray(np.arange(240).reshape(20, 12).astype(np.uint8)))
    return image


def palette():
    image = Image.fromarray(RGB).quantize(16)
    image.info["transparency"] = bytes(range(0, 256, 16))
    return image


def animated(path, **options):
    frames = [Image.fromarray(np.roll(RGB, shift, axis=0)) for shift in (0, 5, 9)]
    frames[0].save(path, save_all=True, append_images=frames[1:], **options)
    return path


def chunk(kind, content):
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(values, colour, depth=16):
    """A PNG of a kind that Pillow does not write; values as their bytes stand in a line."""
    header = struct.pack(">IIBBBBB", 12, len(values), depth, colour, 0, 0, 0)
    lines = b"".join(b"\0" + line.tobytes() for line in values)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        (chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(lines)), chunk(b"IEND", b""))
    )


def written(path, content):
    path.write_bytes(content)
    return path


DEEP_COLOUR = np.random.default_rng(2).integers(0, 65536, (20, 12, 4)).astype(">u2")

MAKERS = {
    "grey.png": lambda p: saved(p, Image.fromarray(RGB[..., 0])),
    "one-bit.png": lambda p: saved(p, Image.fromarray(RGB[..., 0]).convert("1")),
    "rgb.png": lambda p: saved(p, Image.fromarray(RGB)),
    "rgba.png": lambda p: saved(p, with_alpha("RGBA")),
    "la.png": lambda p: saved(p, with_alpha("LA")),
    "palette.png": lambda p: saved(p, palette()),
    "palette-plain.gif": lambda p: saved(p, Image.fromarray(RGB).quantize(16)),
    "key.png": lambda p: saved(p, Image.fromarray(RGB), transparency=tuple(RGB[3, 4].tolist())),
    "grey-key.png": lambda p: saved(p, Image.fromarray(RGB[..., 0]), transparency=int(RGB[3, 4, 0])),
    "deep.png": lambda p: saved(p, Image.fromarray(DEEP)),
    "deep-rgb.png": lambda p: written(p, png(DEEP_COLOUR[..., :3], 2)),
    "deep-rgba.png": lambda p: written(p, png(DEEP_COLOUR, 6)),
    "deep-la.png": lambda p: written(p, png(DEEP_COLOUR[..., :2], 4)),
    "two-bit.png": lambda p: written(p, png(RGB[:, :3, 0], 0, depth=2)),
    "deep.tif": lambda p: saved(p, Image.fromarray(DEEP)),
    "deep-big-endian.tif": lambda p: saved(p, Image.fromarray(DEEP.astype(">u2"))),
    "deep.pgm": lambda p: saved(p, Image.fromarray(DEEP)),
    "cmyk.jpg": lambda p: saved(p, Image.fromarray(SMOOTH).convert("CMYK")),
    "cmyk.tif": lambda p: saved(p, Image.fromarray(RGB).convert("CMYK")),
    "lab.tif": lambda p: saved(p, Image.fromarray(np.dstack([RGB] * 1)).convert("LAB")),
    "turned.jpg": lambda p: saved(p, Image.fromarray(SMOOTH), exif=oriented(6)),
    "turned.webp": lambda p: saved(p, with_alpha("RGBA"), exif=oriented(5), lossless=True),
    "turned.tif": lambda p: saved(p, Image.fromarray(RGB), exif=oriented(8)),
    "animated.gif": lambda p: animated(p),
    "animated.png": lambda p: animated(p),
    "pages.tif": lambda p: animated(p),
    "rgb.avif": lambda p: saved(p, Image.fromarray(SMOOTH)),
    "rgb.jp2": lambda p: saved(p, Image.fromarray(RGB)),
}


def read(path):
    return np.asarray(pixels.decode(path, path.name).image)


def shipped(name, path, side):
    """The pixels that a shipped example feeds, by its own functions."""
    text = shipping.program(f"example_{name}.py", tasks.get("classification").example)
    functions = [n for n in ast.parse(text).body if getattr(n, "name", "") in ("upright", "fitted")]
    told = {"Image": Image, "ImageOps": ImageOps, "np": np, "sys": sys, "size": (side, side)}
    exec(compile(ast.Module(functions, []), name, "exec"), told)
    return np.asarray(told["fitted"](told["upright"](str(path))))


@pytest.mark.parametrize("example", ["litert", "onnxruntime"])
@pytest.mark.parametrize("kind", MAKERS)
def test_what_ships_reads_a_picture_as_training_did(tmp_path, kind, example):
    if kind == "rgb.avif" and "AVIF" not in formats.readable():
        pytest.skip("this Pillow reads no AVIF")
    path = MAKERS[kind](tmp_path / kind)
    square = pixels.square(pixels.decode(path, kind).image, 10)
    assert square.shape == (3, 10, 10)
    np.testing.assert_array_equal(shipped(example, path, 10).transpose(2, 0, 1), square)
    assert square.std() > 5, "neither black nor white"


@pytest.mark.parametrize("kind", ["deep.png", "deep.tif", "deep-big-endian.tif", "deep.pgm"])
def test_sixteen_bits_become_eight_by_their_type(tmp_path, kind):
    found = read(MAKERS[kind](tmp_path / kind))
    np.testing.assert_array_equal(found, np.rint(DEEP / 257).astype(np.uint8)[..., None].repeat(3, axis=2))


def test_colour_of_sixteen_bits_becomes_its_high_byte(tmp_path):
    found = read(MAKERS["deep-rgb.png"](tmp_path / "x.png"))
    np.testing.assert_array_equal(found, DEEP_COLOUR[..., :3] >> 8)


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"\0\0\0\x1cftypavif\0\0\0\0mif1avif", "AVIF"),
        (b"\0\0\0\x1cftypmif1\0\0\0\0mif1avif", "AVIF"),
        (b"\0\0\0\x1cftypmif1\0\0\0\0mif1heic", "HEIF"),
        (b"\0\0\0\x18ftypheix\0\0\0\0mif1heix", "HEIF"),
        (b"\0\0\0\x1cftypisom\0\0\0\0isomavc1", None),
        (b"\xff\x0a\xfa\x1f", "JXL"),
        (b"RIFF\x10\0\0\0WAVEfmt ", None),
        (b"BMW is a maker of cars", None),
        (b"", None),
    ],
)
def test_formats_are_told_by_their_beginning(head, kind):
    assert formats.of_content(head) == kind


def test_alpha_is_laid_on_white_and_hides_its_colours(tmp_path):
    hidden = np.zeros((4, 4, 4), np.uint8)
    hidden[..., :3] = 200, 10, 60
    hidden[0, 0, 3] = 255
    hidden[0, 1, 3] = 51
    found = read(saved(tmp_path / "x.png", Image.fromarray(hidden)))
    assert (found[1:] == 255).all()
    assert found[0, 0].tolist() == [200, 10, 60]
    assert found[0, 1].tolist() == [244, 206, 216]  # 255 + (colour - 255) / 5
    keyed = read(saved(tmp_path / "key.png", Image.fromarray(RGB), transparency=tuple(RGB[3, 4].tolist())))
    assert keyed[3, 4].tolist() == [255, 255, 255]
    assert keyed[0, 0].tolist() == RGB[0, 0].tolist()


@pytest.mark.parametrize("number", range(1, 9))
@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_pictures_are_turned_upright(tmp_path, number, suffix):
    """By the definition of the tag: where row 0 and column 0 of what is stored lie."""
    path = saved(tmp_path / f"x.{suffix}", Image.fromarray(RGB), exif=oriented(number))
    upright = {
        1: RGB,
        2: RGB[:, ::-1],
        3: RGB[::-1, ::-1],
        4: RGB[::-1],
        5: RGB.transpose(1, 0, 2),
        6: RGB[::-1].transpose(1, 0, 2),
        7: RGB[::-1, ::-1].transpose(1, 0, 2),
        8: RGB[:, ::-1].transpose(1, 0, 2),
    }[number]
    np.testing.assert_array_equal(read(path), upright)


@pytest.mark.parametrize("kind", ["animated.gif", "animated.png", "pages.tif"])
def test_the_first_frame_counts_and_the_others_are_counted(tmp_path, kind):
    path = MAKERS[kind](tmp_path / kind)
    found = pixels.decode(path, kind)
    assert found.frames == 3
    with Image.open(path) as image:
        np.testing.assert_array_equal(np.asarray(found.image), np.asarray(image.convert("RGB")))


@pytest.mark.parametrize("dtype", [np.int32, np.float32])
@pytest.mark.parametrize("example", ["reader", "litert", "onnxruntime"])
def test_numbers_without_a_stated_range_are_refused(tmp_path, dtype, example):
    path = saved(tmp_path / "x.tif", Image.fromarray(RGB[..., 0].astype(dtype)))
    with pytest.raises(DataError if example == "reader" else SystemExit, match="8 or 16 bits a channel"):
        read(path) if example == "reader" else shipped(example, path, 10)


def png_of(width, height):
    """A PNG that claims a size and holds next to nothing."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 9))


@pytest.mark.parametrize("side", [14_000, 60_000, 2**31 - 1])
def test_a_picture_that_claims_to_be_huge_is_refused_before_memory_is_taken(side):
    with pytest.raises(DataError, match=r"at most 179 million pixels, but bomb\.png claims more"):
        pixels.decode(io.BytesIO(png_of(side, side)), "bomb.png")


@pytest.mark.parametrize("format", ["PNG", "JPEG", "GIF", "TIFF", "WEBP", "BMP", "PPM", "QOI"])
def test_a_truncated_picture_is_refused_by_name_unless_all_its_pixels_are_there(format):
    buffer = io.BytesIO()
    Image.fromarray(RGB).save(buffer, format)
    whole = buffer.getvalue()
    pixels_of_whole = np.asarray(pixels.decode(io.BytesIO(whole), "whole").image)
    refused = 0
    for end in {*range(0, len(whole), max(1, len(whole) // 20)), len(whole) - 1}:
        try:
            found = pixels.decode(io.BytesIO(whole[:end]), "x.img").image
        except DataError as error:
            refused += "x.img" in str(error)
        else:
            np.testing.assert_array_equal(np.asarray(found), pixels_of_whole)
    assert refused >= 20


def test_damaged_pictures_are_read_or_refused_by_name():
    """A few bytes changed: pixels may differ, errors are ours."""
    rng = np.random.default_rng(0)
    for format in ("PNG", "JPEG", "GIF", "TIFF", "WEBP", "BMP", "PPM", "QOI", "JPEG2000"):
        buffer = io.BytesIO()
        Image.fromarray(RGB).save(buffer, format)
        for _ in range(25):
            content = bytearray(buffer.getvalue())
            for place in rng.integers(0, len(content), 3):
                content[place] = rng.integers(0, 256)
            assert decoded_or_refused(content)


def decoded_or_refused(content):
    try:
        return pixels.decode(io.BytesIO(content), "x.img").image.mode == "RGB"
    except DataError as error:
        return "x.img" in str(error)


def test_what_a_file_is_instead_is_said(tmp_path):
    page, empty = tmp_path / "page.jpg", tmp_path / "empty.jpg"
    page.write_text("<!DOCTYPE html>\n<html>Not found</html>\n")
    empty.touch()
    with pytest.raises(
        DataError, match=r"page\.jpg is not: its format is not known \(it is text: '<!DOCTYPE"
    ):
        pixels.decode(page, "page.jpg")
    with pytest.raises(DataError, match="the file is empty"):
        pixels.decode(empty, "empty.jpg")


def test_the_rules_are_the_ones_of_the_snippet_in_kotlin():
    """It cannot be run here; at least it says the same."""
    page = (Path(__file__).parents[2] / "docs" / "guides" / "android.md").read_text("utf-8")
    kotlin = page.split("```kotlin")[1].split("```")[0]
    assert pixels.RULES["alpha"] == "laid on white"
    assert "drawColor(Color.WHITE)" in kotlin
    assert "EXIF" in kotlin
