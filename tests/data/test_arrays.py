"""Arrays and parquet files: labels of every kind, damaged files, sizes that are only claimed."""

from __future__ import annotations

import io
import json
import re
import shutil
import zipfile

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
from trees import picture, tree

from hwnas import data
from hwnas.data import images as memory
from hwnas.data import labels
from hwnas.errors import DataError

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (40, 8, 8, 3)).astype(np.uint8)
LABELS = np.arange(40) % 4


def load(path):
    return data.load(path, resolution=8)


def npz(path, **arrays):
    np.savez(path, **arrays)
    return path


def pixels_of(found):
    """All images as a set of bytes."""
    return {i.tobytes() for split in (found.train, found.val, found.test) for i in split.images}


PLAIN = {image.transpose(2, 0, 1).tobytes() for image in IMAGES}


@pytest.mark.parametrize(
    "keys",
    [
        *(("x_train", "y_train", "x_val", "y_val", "x_test", "y_test"),),
        *(("train_images", "train_labels", "val_images", "val_labels", "test_images", "test_labels"),),
        *(("X_Train", "Y_Train", "X_Valid", "Y_Valid", "X_Test", "Y_Test"),),
        *(("data_training", "target_training", "data_dev", "target_dev", "data_testing", "target_testing"),),
        *(("images", "labels", "validation_images", "validation_labels", "x_test", "y_test"),),
    ],
)
def test_arrays_of_given_splits_are_used_as_such(tmp_path, keys):
    parts = [IMAGES, LABELS, 255 - IMAGES[:8], LABELS[:8], IMAGES[:12] // 2, LABELS[:12]]
    found = load(npz(tmp_path / "x.npz", **dict(zip(keys, parts, strict=True))))
    np.testing.assert_array_equal(found.val.images, 255 - IMAGES[:8].transpose(0, 3, 1, 2))
    np.testing.assert_array_equal(found.test.labels, LABELS[:12])
    assert (len(found.train), len(found.val), len(found.test)) == (40, 8, 12)
    assert "40 training, 8 validation, 12 test; left out: nothing" in found.reading.line


def test_a_validation_array_without_a_test_array(tmp_path):
    found = load(
        npz(tmp_path / "x.npz", x_train=IMAGES, y_train=LABELS, x_val=IMAGES[:8] // 2, y_val=LABELS[:8])
    )
    assert (len(found.train), len(found.val), len(found.test)) == (32, 8, 8)


SAME = {
    "uint8": IMAGES,
    "uint16": IMAGES.astype(np.uint16) * 257,
    "uint16 of the other byte order": IMAGES.astype(">u2") * 257,
    "floats to 1": IMAGES / 255,
    "half floats to 1": (IMAGES / np.float16(255)).astype(np.float16),
    "floats to 255": IMAGES.astype(np.float32),
    "int64": IMAGES.astype(np.int64),
    "alpha": np.concatenate([IMAGES, np.full((40, 8, 8, 1), 255, np.uint8)], axis=3),
}


@pytest.mark.parametrize("kind", SAME)
def test_numbers_of_any_type_mean_the_same_pixels(tmp_path, kind):
    assert pixels_of(load(npz(tmp_path / "x.npz", images=SAME[kind], labels=LABELS))) == PLAIN


def test_truth_values_are_black_and_white(tmp_path):
    found = load(npz(tmp_path / "x.npz", images=IMAGES[..., 0] > 99, labels=LABELS))
    assert set(np.unique(found.train.images)) == {0, 255}


def test_alpha_in_arrays_is_laid_on_white(tmp_path):
    clear = np.concatenate([IMAGES, np.zeros((40, 8, 8, 1), np.uint8)], axis=3)
    clear[:, :4, :, 3] = 255
    found = load(npz(tmp_path / "x.npz", images=clear, labels=LABELS))
    assert (found.train.images[:, :, 4:] == 255).all()
    assert found.train.images[:, :, :4].mean() < 200


REFUSED_IMAGES = {
    "16 levels": (IMAGES / 255 * 16, "float64 from 0 to 16: scale them"),
    "minus one to one": (IMAGES / 127.5 - 1, "from -1 to 1: scale them"),
    "normalised": (IMAGES.astype(float) - 127, "from -127 to 128"),
    "bytes in 16 bits": (IMAGES.astype(np.uint16), "uint16 from 0 to 255"),
    "12 bits": (IMAGES.astype(np.uint16) * 16, "uint16 from 0 to 4080"),
    "large numbers": (IMAGES.astype(np.int32) * 9, "int32 from 0 to 2295"),
    "NaN": (np.where(IMAGES == 7, np.nan, IMAGES / 255), "NaN or infinity"),
    "infinity": (np.where(IMAGES == 7, np.inf, IMAGES / 255), "NaN or infinity"),
    "words": (IMAGES.astype(str), "must be uint8 or other numbers"),
    "complex": (IMAGES.astype(complex), "must be uint8 or other numbers"),
    "channels first": (IMAGES.transpose(0, 3, 1, 2), r"\(40, 3, 8, 8\): images.transpose\(0, 2, 3, 1\)"),
    "flat": (IMAGES.reshape(40, -1), r"shape \(40, 192\)"),
    "five sides": (IMAGES[..., None], r"shape \(40, 8, 8, 3, 1\)"),
    "no height": (IMAGES[:, :0], r"shape \(40, 0, 8, 3\)"),
    "a number": (np.uint8(3), "0 images and 40 labels"),
}


@pytest.mark.parametrize("kind", REFUSED_IMAGES)
def test_numbers_without_a_plain_meaning_are_refused(tmp_path, kind):
    images, message = REFUSED_IMAGES[kind]
    with pytest.raises(DataError, match=message):
        load(npz(tmp_path / "x.npz", images=images, labels=LABELS))


def test_dark_bytes_are_said(tmp_path):
    notes = load(npz(tmp_path / "x.npz", images=IMAGES // 16, labels=LABELS)).reading.notes
    assert any("nearly black: the brightest value in" in note and "15 of 255" in note for note in notes)


def test_each_split_is_judged_by_itself(tmp_path):
    unit, own = IMAGES / 255, {"y_train": LABELS, "y_test": LABELS}
    for train, test, seen in (
        (unit, IMAGES.astype(float), "train goes from 0 to 1, test goes from 0 to 255"),
        (IMAGES.astype(float), unit, "train goes from 0 to 255, test goes from 0 to 1"),
    ):
        with pytest.raises(DataError, match=f"same scale, but in .* {seen}: scale them alike"):
            load(npz(tmp_path / "x.npz", x_train=train, x_test=test, **own))
    for test, dark in ((unit / 255, 1), (unit / 100, 3), (unit * 0, 0)):
        notes = load(npz(tmp_path / "x.npz", x_train=unit, x_test=test, **own)).reading.notes
        assert [note for note in notes if "nearly black" in note] == [
            f"40 of 40 test images are nearly black: the brightest value in them is {dark} of 255 (row 0 of "
            "test, row 1 of test, row 2 of test, …); scale them if they are to be seen"
        ]
    black = load(npz(tmp_path / "x.npz", x_train=IMAGES.astype(float), x_test=unit * 0, **own))
    assert black.train.images.max() > 200  # black is black on every scale
    wide = IMAGES.astype(np.uint16)
    with pytest.raises(DataError, match=r"x\.npz \(test\) has uint16 from 0 to 4080"):
        load(npz(tmp_path / "x.npz", x_train=wide * 257, x_test=wide * 16, **own))
    light = load(npz(tmp_path / "x.npz", images=255 - IMAGES // 16, labels=LABELS)).reading.notes
    assert any("nearly white: the darkest value in them is 240 of 255" in note for note in light)


@pytest.mark.parametrize(
    ("colours", "alpha"),
    [
        (IMAGES, np.uint8(1)),
        (IMAGES.astype(float), 1.0),
        (IMAGES / 255, 255.0),
        (IMAGES.astype(np.uint16) * 257, np.uint16(255)),
    ],
)
def test_alpha_of_another_scale_is_refused(tmp_path, colours, alpha):
    images = np.concatenate([colours, np.full((*IMAGES.shape[:3], 1), alpha)], axis=3)
    assert images.dtype == colours.dtype
    with pytest.raises(DataError, match="alpha must use the same scale as colours"):
        load(npz(tmp_path / "x.npz", images=images, labels=LABELS))


def test_alpha_hides_no_darkness(tmp_path):
    images = np.concatenate([IMAGES.astype(np.uint16) * 16, np.full((*IMAGES.shape[:3], 1), 65535)], axis=3)
    with pytest.raises(DataError, match="uint16 from 0 to 4080"):
        load(npz(tmp_path / "x.npz", images=images.astype(np.uint16), labels=LABELS))


def test_numbers_are_told_with_the_digits_that_matter(tmp_path):
    images = (IMAGES / IMAGES.max()).astype(np.float32) * np.float32(1.0000002)
    with pytest.raises(DataError, match=r"float32 from 0 to 1\.000000238418579: scale them"):
        load(npz(tmp_path / "x.npz", images=images, labels=LABELS))


WORDS = np.array(["cat", "cow", "dog", "owl"])
GOOD_LABELS = {
    "from 0": (LABELS, "0 1 2 3"),
    "from 1": (LABELS + 1, "1 2 3 4"),
    "with gaps": (np.array([0, 7, 900, 2_000_000_000])[LABELS], "0 7 900 2000000000"),
    "one column": (LABELS[:, None].astype(np.uint8), "0 1 2 3"),
    "whole floats": (LABELS.astype(float), "0 1 2 3"),
    "one-hot": (np.eye(4, dtype=np.float32)[LABELS], "0 1 2 3"),
    "words": (WORDS[LABELS], "cat cow dog owl"),
    "bytes": (WORDS.astype("S")[LABELS], "cat cow dog owl"),
    "truth": (LABELS > 1, "False True"),
    "uint64": (LABELS.astype(np.uint64), "0 1 2 3"),
}


@pytest.mark.parametrize("kind", GOOD_LABELS)
def test_labels_of_every_kind_keep_their_classes(tmp_path, kind):
    given, expected = GOOD_LABELS[kind]
    names, found = labels.encode({"train": given}, "x")
    assert list(names) == expected.split()
    wanted = LABELS > 1 if kind == "truth" else LABELS
    np.testing.assert_array_equal(found["train"], wanted.astype(int))
    assert load(npz(tmp_path / "x.npz", images=IMAGES, labels=given)).class_names == names


def spoilt(row, value):
    given = LABELS.astype(type(value) if not isinstance(value, int) else np.int64)
    given[row] = value
    return given


BAD_LABELS = {
    "huge": (spoilt(3, 2_000_000_000), "'2000000000' in .* has 1: add images"),
    "negative": (spoilt(3, -1), r"1 others \(row 3 is -1\)"),
    "fraction": (spoilt(3, 1.5), r"1 others \(row 3 is 1\.5\)"),
    "null": (spoilt(3, float("nan")), r"1 without \(row 3 is nan\)"),
    "infinite": (spoilt(3, float("inf")), r"1 without \(row 3 is inf\)"),
    "beyond": (LABELS.astype(np.uint64) + np.uint64(2**63), "whole numbers from 0"),
    "soft": (np.full((40, 4), 0.25), "one for each image"),
    "two at once": (np.eye(4, dtype=int)[LABELS] | 1 * (np.arange(40)[:, None] == 5), "row 5 .* is of"),
    "none at all": (np.eye(4, dtype=int)[LABELS] * (np.arange(40)[:, None] != 5), "row 5 .* is of 0"),
    "dates": (LABELS.astype("datetime64[D]"), "whole numbers from 0, or words"),
    "too few": (LABELS[:39], "40 images and 39 labels"),
    "a number": (np.int64(3), "40 images and 0 labels"),
    "none": (LABELS[:0], "40 images and 0 labels"),
    "line breaks": (np.array(["a\nb", "c", "d", "e"])[LABELS], "one line of text"),
    "empty words": (np.array(["", "c", "d", "e"])[LABELS], "one line of text"),
    "no UTF-8": (np.array([b"caf\xe9", b"c", b"d", b"e"])[LABELS], "must be UTF-8"),
    "one class": (LABELS * 0, "at least two classes"),
}


@pytest.mark.parametrize("kind", BAD_LABELS)
def test_labels_that_are_none_are_refused_by_row(tmp_path, kind):
    given, message = BAD_LABELS[kind]
    with pytest.raises(DataError, match=message):
        load(npz(tmp_path / "x.npz", images=IMAGES, labels=given))


def test_labels_of_test_must_occur_in_training(tmp_path):
    arrays = {"x_train": IMAGES, "y_train": LABELS, "x_test": IMAGES[:4] // 2, "y_test": LABELS[:4] + 2}
    with pytest.raises(
        DataError, match=r"test labels must occur in training, but .* has 2 that do not \(4, 5\)"
    ):
        load(npz(tmp_path / "x.npz", **arrays))
    arrays["y_test"] = LABELS[:4] * 0
    found = load(npz(tmp_path / "y.npz", **arrays))
    assert (
        "the test split has no image of 1, 2, 3: what it says is not of those classes" in found.reading.notes
    )
    arrays["y_test"] = WORDS[LABELS[:4]]
    with pytest.raises(DataError, match="mixes them"):
        load(npz(tmp_path / "z.npz", **arrays))


def test_arrays_that_mean_nothing_or_the_same_are_said(tmp_path):
    found = load(npz(tmp_path / "x.npz", images=IMAGES, labels=LABELS, ids=np.arange(40), mean=np.zeros(3)))
    assert found.reading.line.endswith("left out: 2 arrays")
    with pytest.raises(DataError, match="are the same"):
        load(npz(tmp_path / "y.npz", images=IMAGES, labels=LABELS, x=IMAGES))
    with pytest.raises(DataError, match="must hold images and labels"):
        load(npz(tmp_path / "z.npz", x_test=IMAGES, y_test=LABELS))
    with pytest.raises(DataError, match="must hold images and labels"):
        load(npz(tmp_path / "w.npz", images=IMAGES, labels=LABELS, x_test=IMAGES))


def raw_npz(path, shape, content=b"", claimed=None):
    """An npz file whose images claim a shape."""
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, {"descr": "|u1", "fortran_order": False, "shape": shape})
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("images.npy", buffer.getvalue() + content)
        other = io.BytesIO()
        np.save(other, LABELS)
        archive.writestr("labels.npy", other.getvalue())
    return path


@pytest.mark.parametrize("shape", [(2**40, 8, 8), (40, 8, 8, 3), (2**70, 2**70), (10**6, 10**6, 3)])
def test_arrays_that_claim_more_than_there_is_are_refused_before_memory_is_taken(tmp_path, shape):
    with pytest.raises(DataError, match=r"must be whole, but images\.npy claims"):
        load(raw_npz(tmp_path / "x.npz", shape))


def test_arrays_that_do_not_fit_in_memory_are_refused(tmp_path, monkeypatch):
    path = npz(tmp_path / "x.npz", images=IMAGES, labels=LABELS)
    monkeypatch.setattr("hwnas.data.arrays.memory_bytes", lambda: 9000)
    with pytest.raises(DataError, match="half of this machine's memory"):
        load(path)
    monkeypatch.setattr(memory, "memory_bytes", lambda: 9000)
    with pytest.raises(DataError, match="images must fit in"):
        load(tree(tmp_path / "pets", cat=20, dog=20))


def test_damaged_files_are_refused_in_one_sentence(tmp_path):
    path = npz(tmp_path / "x.npz", images=IMAGES, labels=LABELS)
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    for number in range(60):
        content = bytearray(whole[: rng.integers(0, len(whole))] if number % 2 else whole)
        for place in rng.integers(0, max(1, len(content)), 8) if content else ():
            content[place] = rng.integers(0, 256)
        path.write_bytes(content)
        assert read_or_refused(path)
    for _ in range(60):  # the directory and the headers, where structure is
        content = bytearray(whole)
        for place in (int(rng.integers(0, 200)), len(whole) - int(rng.integers(1, 200))):
            content[place] = rng.integers(0, 256)
        path.write_bytes(content)
        assert read_or_refused(path)


def read_or_refused(path):
    try:
        return len(load(path).train) > 0
    except DataError as error:
        return str(path) in str(error) and "\n" not in str(error)


@pytest.mark.parametrize("name", ["x.npz", "X.NPZ", "x.npy", "x", "x.zip"])
def test_files_are_known_by_what_is_in_them(tmp_path, name):
    with (tmp_path / name).open("wb") as file:
        np.savez(file, images=IMAGES, labels=LABELS)
    assert pixels_of(load(tmp_path / name)) == PLAIN


def test_other_files_are_named_for_what_they_are(tmp_path):
    np.save(tmp_path / "x.npy", IMAGES)
    (tmp_path / "x.npy").rename(tmp_path / "x.npz")
    with pytest.raises(DataError, match=r"it is a single array \(npy\): np\.savez"):
        load(tmp_path / "x.npz")
    (tmp_path / "empty.npz").touch()
    with pytest.raises(DataError, match="it is damaged, or no npz file"):
        load(tmp_path / "empty.npz")
    with zipfile.ZipFile(tmp_path / "pets.zip", "w") as archive:
        archive.writestr("cat/1.png", b"")
    with pytest.raises(DataError, match="it is an archive: unpack it first"):
        load(tmp_path / "pets.zip")
    (tmp_path / "dir.npz").mkdir()
    with pytest.raises(DataError, match="an image folder must have one sub-folder a class"):
        load(tmp_path / "dir.npz")
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(DataError, match="it is no npz file"):
        load(tmp_path / "notes.txt")
    with pytest.raises(DataError, match="there is no such path"):
        load(tmp_path / "nothing.npz")
    with pytest.raises(DataError, match="neither a file nor a folder"):
        load("/dev/null")
    with pytest.raises(DataError, match="readable path"):
        load("x" * 5000)
    with pytest.raises(DataError, match=r"readable path|no such path"):
        load("a\0b")


def blob(image=None):
    buffer = io.BytesIO()
    (image or picture()).save(buffer, "PNG")
    return buffer.getvalue()


def parquet(path, given, metadata=None, cells=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    cells = cells or [{"bytes": blob(), "path": None} for _ in given]
    table = pyarrow.table({"image": cells, "label": given})
    pyarrow.parquet.write_table(table.replace_schema_metadata(metadata), path)
    return path


TWENTY = [0, 1] * 10


def hugging_face(names):
    return {"huggingface": json.dumps({"info": {"features": {"label": {"names": names}}}})}


@pytest.mark.parametrize(
    ("train", "val", "test"),
    [
        ("train.parquet", "validation.parquet", "test.parquet"),
        (
            "data/train-00000-of-00001.parquet",
            "data/validation-00000-of-00001.parquet",
            "data/test-0.parquet",
        ),
        ("default/train/0000.parquet", "default/validation/0000.parquet", "default/test/0000.parquet"),
        ("Training.PARQUET", "Dev.parquet", "Testing.parquet"),
    ],
)
def test_parquet_files_of_given_splits_are_used_as_such(tmp_path, train, val, test):
    parquet(tmp_path / train, TWENTY)
    parquet(tmp_path / val, [0, 1, 1])
    parquet(tmp_path / test, [1, 0])
    found = load(tmp_path)
    assert (len(found.train), len(found.val), len(found.test)) == (20, 3, 2)
    assert found.val.labels.tolist() == [0, 1, 1]


def test_one_parquet_file_is_a_source(tmp_path):
    assert (
        sum(len(load(parquet(tmp_path / "pets.parquet", TWENTY)).split(s)) for s in ("train", "val", "test"))
        == 20
    )


def test_parquet_files_of_no_split_are_said(tmp_path):
    parquet(tmp_path / "train.parquet", TWENTY)
    parquet(tmp_path / "extra.parquet", TWENTY)
    found = load(tmp_path)
    assert "1 parquet files of no split" in found.reading.line
    assert "the names of extra.parquet say no split: not used" in found.reading.notes
    (tmp_path / "extra.parquet").unlink()
    parquet(tmp_path / "partial-train" / "0000.parquet", TWENTY)
    assert "the names of partial-train/0000.parquet say no split: not used" in load(tmp_path).reading.notes
    shutil.rmtree(tmp_path / "partial-train")
    parquet(tmp_path / "extra.parquet", TWENTY)
    (tmp_path / "train.parquet").unlink()
    with pytest.raises(DataError, match=r"must hold train\*\.parquet, but .* \(it has extra\.parquet\)"):
        load(tmp_path)


def test_parquet_files_that_are_joined_are_said_with_their_folders(tmp_path):
    parquet(tmp_path / "fine" / "train" / "0000.parquet", TWENTY)
    shutil.copytree(tmp_path / "fine", tmp_path / "coarse")
    notes = load(tmp_path).reading.notes
    assert any("the train files of 2 folders were joined (coarse, fine)" in note for note in notes)
    named = r"row \d+ of (coarse|fine)/train/0000\.parquet"
    assert any(re.search(f"{named} = {named}", note) for note in notes)
    assert load(tmp_path / "fine").reading.notes == ()


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["dog", "cat"] * 10, ("cat", "dog")),
        (pyarrow.array(["dog", "cat"] * 10).dictionary_encode(), ("cat", "dog")),
        ([True, False] * 10, ("False", "True")),
        ([[0.0, 1.0], [1.0, 0.0]] * 10, ("0", "1")),
        (pyarrow.array([0.0, 1.0] * 10), ("0", "1")),
    ],
)
def test_parquet_labels_of_every_kind(tmp_path, given, expected):
    assert load(parquet(tmp_path / "train.parquet", given)).class_names == expected


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([0, 1, None] * 10, r"10 without \(row 2\)"),
        ([0.0, 1.0, 0.5] * 10, r"row 2 is 0\.5"),
        ([0.0, 1.0, float("nan")] * 10, "row 2 is nan"),
        ([0, 1, -1] * 10, "row 2 is -1"),
        ([*TWENTY, 2_000_000_000], "'2000000000' in .* has 1"),
        ([{"a": 1}] * 20, "whole numbers from 0, or words"),
        ([[0, 1], [1]] * 10, "or words, one for each image, but"),
        (["x" * 300, "y"] * 10, "or words, one for each image, but"),
    ],
)
def test_parquet_labels_that_are_none_are_refused(tmp_path, given, message):
    with pytest.raises(DataError, match=message):
        load(parquet(tmp_path / "train.parquet", given))


def test_names_in_the_metadata_are_used_and_checked(tmp_path):
    path = tmp_path / "train.parquet"
    assert load(parquet(path, TWENTY, hugging_face(["cat", "dog"]))).class_names == ("cat", "dog")
    assert load(parquet(path, TWENTY, {"classes": '["cat", "dog"]'})).class_names == ("cat", "dog")
    for names, message in (
        (["cat", "cat"], "look the same"),
        (["cat"], "label 1 and 1 names"),
        (["cat", "dog", "cow"], "'cow' in .* has 0"),
        (["cat", "do\ng"], "one line of text"),
    ):
        with pytest.raises(DataError, match=message):
            load(parquet(path, TWENTY, hugging_face(names)))
    for odd in ("{", "[]", '{"info": 3}', '{"info": {"features": {"label": {"names": "ab"}}}}'):
        assert load(parquet(path, TWENTY, {"huggingface": odd})).class_names == ("0", "1")
    parquet(path, TWENTY, hugging_face(["cat", "dog"]))
    parquet(tmp_path / "test.parquet", [0, 1], hugging_face(["dog", "cat"]))
    with pytest.raises(DataError, match="must state the same class names"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ({"bytes": None, "path": "a.png"}, "row 0 of .* has none: write the images into the file"),
        ({"bytes": b"", "path": ""}, "every image must be readable, but row 0"),
        ({"bytes": b"no picture", "path": ""}, "every image must be readable, but row 0"),
        ({"bytes": b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "path": ""}, "is HEIF: pip install pillow-heif"),
    ],
)
def test_parquet_cells_without_a_picture_are_refused_by_row(tmp_path, monkeypatch, cell, message):
    monkeypatch.setattr("hwnas.data.formats.readable", lambda: ("PNG",))
    with pytest.raises(DataError, match=message):
        load(parquet(tmp_path / "train.parquet", TWENTY, cells=[cell] * 20))


def test_a_claim_of_too_many_rows_is_refused_before_they_are_read(tmp_path, monkeypatch):
    path = parquet(tmp_path / "train.parquet", TWENTY)
    monkeypatch.setattr(memory, "memory_bytes", lambda: 5000)
    with pytest.raises(DataError, match="images must fit in"):
        load(path)


def test_groups_of_rows_that_do_not_fit_in_memory_are_refused(tmp_path, monkeypatch):
    path = parquet(tmp_path / "train.parquet", TWENTY)
    monkeypatch.setattr("hwnas.data.table.memory_bytes", lambda: 5000)
    with pytest.raises(DataError, match="group of rows must fit in half of this machine's memory"):
        load(path)


def test_damaged_parquet_is_refused_in_one_sentence(tmp_path):
    path = parquet(tmp_path / "train.parquet", TWENTY, hugging_face(["cat", "dog"]))
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    for number in range(60):
        content = bytearray(whole[: rng.integers(8, len(whole))] if number % 3 == 0 else whole)
        for place in rng.integers(0, len(content), 4):
            content[place] = rng.integers(0, 256)
        path.write_bytes(content)
        assert read_or_refused(path)
