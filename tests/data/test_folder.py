"""A folder of images is read as a person means it, or refused with what was seen."""

from __future__ import annotations

import os
import re
import shutil
import struct
import zlib

import numpy as np
import pytest
from PIL import Image
from trees import fill, picture, tree

from hwnas import data
from hwnas.data import formats, names, pixels, sources
from hwnas.errors import DataError


def load(root):
    return data.load(root, resolution=8)


def counts(found):
    return len(found.train), len(found.val), len(found.test)


NAMES = [
    ("train", "val", "test"),
    ("Train", "Valid", "Test"),
    ("TRAINING", "VALIDATION", "TESTING"),
    ("training_set", "dev_set", "test_set"),
    ("train2017", "val2017", "test2017"),
    ("trainset", "valset", "testset"),
    ("train_images", "validation_images", "tests"),
    ("TrainData", "ValidationData", "TestData"),
    ("seg_train", "seg_val", "seg_test"),
    ("train-64x64", "valid-64x64", "test-64x64"),
    ("train", "dev", "eval"),
    ("train", "eval", "test"),
    ("1_train", "2_val", "3_test"),
    ("01 - Train", "02 - Validation", "03 - Test"),
    ("a) train", "b) val", "c) test"),
    ("1_seg_train", "2_seg_val", "3_seg_test"),
    ("train", "2_val", "test (1)"),
]


@pytest.mark.parametrize("splits", NAMES)
def test_splits_are_known_by_their_usual_names(tmp_path, splits):
    for split, number in zip(splits, (7, 3, 2), strict=True):
        tree(tmp_path / split, cat=number, dog=number + 1)
    found = load(tmp_path)
    assert found.class_names == ("cat", "dog")
    assert counts(found) == (15, 7, 5)
    assert found.reading.line.endswith("images: 15 training, 7 validation, 5 test; left out: nothing")


@pytest.mark.parametrize("val", ["val", "valid", "Validation", "eval", "dev"])
def test_a_validation_split_is_used_and_a_missing_test_split_is_drawn(tmp_path, val):
    tree(tmp_path / "train", cat=10, dog=10)
    tree(tmp_path / val, cat=3, dog=4)
    found = load(tmp_path)
    assert counts(found) == (16, 7, 4)
    assert "16 training, 7 validation, 4 test (drawn)" in found.reading.line
    expected = [
        pixels.square(pixels.decode(file, "x").image, 8) for file in sorted((tmp_path / val).rglob("*.png"))
    ]
    assert {image.tobytes() for image in found.val.images} == {image.tobytes() for image in expected}


def test_train_and_test_leave_validation_to_be_drawn_as_ever(tmp_path):
    tree(tmp_path, train__cat=10, train__dog=10, test__cat=3, test__dog=4)
    found = load(tmp_path)
    assert counts(found) == (16, 4, 7)
    assert "4 validation (drawn), 7 test;" in found.reading.line


def test_a_lone_train_folder_is_a_split(tmp_path):
    found = load(tree(tmp_path, train__cat=10, train__dog=10))
    assert found.class_names == ("cat", "dog")
    assert counts(found) == (12, 4, 4)


@pytest.mark.parametrize("wrapper", ["images", "my data", "pets/images", "Dataset/pets"])
def test_folders_around_the_classes_are_seen_through(tmp_path, wrapper):
    tree(tmp_path / wrapper, cat=6, dog=6)
    (tmp_path / "README.md").write_text("pets")
    assert load(tmp_path).class_names == ("cat", "dog")


@pytest.mark.parametrize("inner", ["seg_{}", "images", "{}"])
def test_folders_within_splits_are_seen_through(tmp_path, inner):
    for split, number in (("train", 6), ("test", 2)):
        tree(tmp_path / f"seg_{split}" / inner.format(split), cat=number, dog=number)
    found = load(tmp_path)
    assert found.class_names == ("cat", "dog")
    assert len(found.test) == 4


def test_pictures_in_folders_within_a_class_are_of_that_class(tmp_path):
    root = tree(tmp_path, cat__images=6, dog__images=3, dog__extra__2024=3)
    found = load(root)
    assert found.class_names == ("cat", "dog")
    assert sum(counts(found)) == 12


@pytest.mark.parametrize(
    "name",
    ["train", "Train", "training", "trainset", "tr", "val", "valid", "Validation", "dev", "eval", "tests"],
)
@pytest.mark.parametrize("inside", ["", "__cars"])
def test_a_folder_named_like_a_split_beside_classes_is_refused_and_the_advice_works(tmp_path, name, inside):
    root = tree(tmp_path, bus=6, car=6, **{f"{name}{inside}": 6})
    with pytest.raises(DataError, match=f"holds '{name}'.*beside bus, car") as error:
        load(root)
    if not inside:
        renamed = re.search(r"for example to '(\w+)'", str(error.value))[1]
        (root / name).rename(root / renamed)
        assert load(root).class_names == tuple(sorted(("bus", "car", renamed)))


@pytest.mark.parametrize("name", ["train", "Test", "validation"])
def test_an_empty_folder_named_like_a_split_is_not_a_class(tmp_path, name):
    found = load(tree(tmp_path, bus=6, car=6, **{name: 0}))
    assert found.class_names == ("bus", "car")
    assert any(
        f"{name} in " in note and "holds no images and is not used" in note for note in found.reading.notes
    )


def test_what_only_begins_like_a_split_is_a_class(tmp_path):
    assert load(tree(tmp_path / "a", trains=6, bus=6)).class_names == ("bus", "trains")
    assert load(tree(tmp_path / "b", test_tube=6, beaker=6)).class_names == ("beaker", "test_tube")
    assert load(tree(tmp_path / "c", train__train=6, train__bus=6)).class_names == ("bus", "train")
    numbered = tree(tmp_path / "d", **{"089.tractor": 6, "090.train": 6, "1_bus": 6, "2_train": 6})
    assert load(numbered).class_names == ("089.tractor", "090.train", "1_bus", "2_train")


REFUSED = {
    "splits without classes": ({"train": 6, "test": 6}, r"train \(6 images\), test|test \(6 images\), train"),
    "ordered splits without classes": (
        {"1_train": 6, "2_test": 4},
        r"splits must be train and.*has 1_train \(6 images\), 2_test \(4 images\)",
    ),
    "no train": ({"val__cat": 6, "val__dog": 6, "test__cat": 6, "test__dog": 6}, "splits must be train and"),
    "test alone": ({"test__cat": 6, "test__dog": 6}, "splits must be train and"),
    "two for validation": (
        {"train__cat": 6, "train__dog": 6, "val__cat": 2, "valid__cat": 2, "val__dog": 2, "valid__dog": 2},
        "val, valid are all for val",
    ),
    "splits below classes": (
        {"cat__train": 6, "cat__test": 6, "dog__train": 6, "dog__test": 6},
        "cat, dog in .* all hold the sub-folders test, train",
    ),
    "one split below classes": ({"cat__train": 6, "dog__train": 6}, "all hold the sub-folders train"),
    "classes below groups": (
        {"monday__ok": 6, "monday__bad": 6, "tuesday__ok": 6, "tuesday__bad": 6, "tuesday__unclear": 1},
        "all hold the sub-folders bad, ok",
    ),
    "a split beside classes": (
        {"train__cat": 6, "train__dog": 6, "bird": 6},
        "holds 'train', which looks like a split, beside bird",
    ),
    "pictures to be tested beside classes": (
        {"cat": 6, "dog": 6, "test": 6},
        "holds 'test', which is hardly a class, beside cat, dog",
    ),
    "a validation split beside classes": (
        {"cat": 6, "dog": 6, "valid__cat": 6, "valid__dog": 6},
        "holds 'valid', which is hardly a class, beside cat, dog",
    ),
    "images and masks": ({"JPEGImages": 6, "Masks": 6}, "which is hardly a class, and masks: .*segmentation"),
    "images and masks of VOC": (
        {"JPEGImages": 6, "SegmentationClass": 6},
        "which is hardly a class, and masks: .*segmentation",
    ),
    "images of another task": ({"images": 6}, r"two classes.*: where images are no classes, .* detection"),
    "images and boxes": (
        {"images": 6, "labels": 0},
        "'labels' in .* has 0: where images, labels are no clas",
    ),
    "splits of detection": ({"images__train": 6, "images__val": 6}, "images has train .*, val"),
    "splits in names of classes": (
        {"train_cat": 6, "train_dog": 6, "test_cat": 2, "test_dog": 2},
        "are all for (train|test): put them together",
    ),
    "another split with the same classes": (
        {"train__cat": 6, "train__dog": 6, "test__cat": 2, "test__dog": 2, "holdout__cat": 2},
        "holds 'train', which looks like a split, beside holdout: call them train, val and test",
    ),
    "folds": (
        {"fold1__train__cat": 6, "fold1__val__cat": 6, "fold2__train__cat": 6, "fold2__val__cat": 6},
        "all hold the sub-folders train, val",
    ),
    "splits within what would be a class": (
        {"dataset__v1__train__cat": 6, "dataset__v1__test__cat": 6, "dataset__notes": 6},
        r"'v1' in .* holds the splits test, train \(in .*dataset/v1\): give .*/v1 alone",
    ),
    "one split deep within what would be a class": (
        {"archive__data__training__cat": 6, "archive__data__training__dog": 6, "notes": 6},
        "'archive' in .* holds the splits training",
    ),
    "splits below classes of a split": (
        {"train__cat": 6, "train__dog": 6, "test__cat__val": 6, "test__cat__test": 6, "test__dog": 6},
        "'cat' in .*test holds the splits test, val",
    ),
    "splits below classes in other words": (
        {"cat__train": 6, "cat__test": 6, "dog__Train": 6, "dog__Test": 6, "bird__training": 6},
        "bird, cat, dog in .* all hold the sub-folders Test, Train, test",
    ),
    "one split below classes in other words": (
        {"cat__train": 6, "dog__TRAINING": 6, "bird__train_set": 6},
        "bird, cat, dog in .* all hold the sub-folders TRAINING, train, train_set",
    ),
    "groups beside an odd one": (
        {"real__cat": 6, "real__dog": 6, "sketch__cat": 6, "sketch__dog": 6, "extra__bird": 6},
        r"real, sketch in .* all hold the sub-folders cat, dog \(beside 1 others\)",
    ),
    "another language": (
        {"Entrenamiento__a": 6, "Entrenamiento__b": 6, "Prueba__a": 2, "Prueba__b": 2},
        "Entrenamiento, Prueba in .* all hold the sub-folders a, b",
    ),
    "an unknown class in test": (
        {"train__cat": 6, "train__dog": 6, "test__cat": 2, "test__cow": 2},
        r"same classes.*\(test\) has cow, which training does not have: rename or remove it",
    ),
    "an unknown class in validation": (
        {"train__cat": 6, "train__dog": 6, "val__Cat": 2, "val__dog": 2},
        r"same classes.*\(val\) has Cat, which training calls cat: rename one of them",
    ),
    "an empty class": ({"cat": 6, "dog": 6, "cow": 0}, "'cow' in .* has 0"),
    "nothing": ({}, "one sub-folder a class with images in it, but .* has none"),
    "one class": ({"cat": 6}, r"at least two classes, but .* has \['cat'\]"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_may_be_meant_otherwise_is_refused_with_what_was_seen(tmp_path, kind):
    folders, message = REFUSED[kind]
    with pytest.raises(DataError, match=message):
        load(tree(tmp_path, **folders))


ALIKE = {
    "masks": ({"cat": 6, "cat__masks": 6, "dog": 6, "dog__masks": 6, "owl": 6}, ["12 masks cat, dog"]),
    "spelled otherwise": (
        {"cat": 6, "cat__Thumbs": 2, "dog": 6, "dog__thumbs": 3},
        ["5 Thumbs, thumbs cat, dog"],
    ),
    "deep": (
        {"cat__images__a": 6, "cat__images__a__gt": 4, "dog__images": 6, "dog__images__gt": 5},
        ["9 gt cat, dog"],
    ),
    "beside own images in one": ({"cat": 6, "cat__old": 1, "dog__old": 6}, ["7 old cat, dog"]),
    "shared by few": ({"a__x": 6, "b__x": 6, "c__y": 6, "d__z": 6}, ["12 x a, b"]),
    "in one class": ({"cat": 6, "cat__old": 6, "dog": 6, "dog__new": 6}, []),
    "names that say nothing": ({"cat": 6, "cat__images": 6, "dog": 6, "dog__images": 6}, []),
}


@pytest.mark.parametrize("kind", ALIKE)
def test_folders_of_one_name_in_several_classes_are_said(tmp_path, kind):
    folders, expected = ALIKE[kind]
    found = [
        re.fullmatch(
            r"(\d+) images are in the sub-folders (.+) of \d class folders in \S+ \((.+)\) and .*",
            note,
        )
        for note in load(tree(tmp_path, **folders)).reading.notes
    ]
    assert [" ".join(match.groups()) for match in found] == expected


def test_pictures_without_class_folders_are_refused(tmp_path):
    with pytest.raises(DataError, match="holds 6 images directly: sort them into folders"):
        load(fill(tmp_path))


def test_a_split_that_lacks_a_class_is_said(tmp_path, caplog):
    found = load(tree(tmp_path, train__cat=6, train__dog=6, train__cow=6, test__cat=2, val__dog=2))
    assert (
        "the test split has no image of cow, dog: what it says is not of those classes" in found.reading.notes
    )
    assert (
        "the val split has no image of cat, cow: what it says is not of those classes" in found.reading.notes
    )


def test_images_of_a_test_folder_without_labels_are_left_out_and_said(tmp_path):
    root = tree(tmp_path, train__cat=6, train__dog=6, test=5, val__images=4)
    found = load(root)
    assert "left out: 9 without labels" in found.reading.line
    assert any("the 5 images in" in note and "not used" in note for note in found.reading.notes)
    ordered = load(tree(tmp_path / "ordered", **{"1_train__cat": 6, "1_train__dog": 6, "2_test": 5}))
    assert ordered.class_names == ("cat", "dog")
    assert "left out: 5 without labels" in ordered.reading.line
    assert counts(found) == (8, 2, 2)


CLUTTER = (
    *("__MACOSX/cat/._1.png", "cat/@eaDir/1.png/SYNOPHOTO_THUMB_M.jpg", "cat/.ipynb_checkpoints/1.png"),
    *("cat/._1.png", "dog/.hidden.png", ".thumbnails/large/1.png", "cat/Thumbs.db", "dog/desktop.ini"),
    *(".DS_Store", "#recycle/dog/2.png", "#recycle/cat/5.png", "$RECYCLE.BIN/3.png", "lost+found/4.png"),
    *(".git/config", ".git/objects/ab/1", ".git/objects/ab/2"),
)


def test_what_systems_leave_behind_is_never_an_image(tmp_path):
    root = tree(tmp_path, cat=6, dog=6)
    for name in CLUTTER:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        picture().save(root / name, "PNG")
    (root / ".cache" / "empty").mkdir(parents=True)
    found = load(root)
    assert found.class_names == ("cat", "dog")
    assert sum(counts(found)) == 12
    assert f"left out: {len(CLUTTER)} hidden" in found.reading.line  # files, not folders


@pytest.mark.parametrize(
    ("suffix", "format"),
    [
        *(
            (".JPG", "JPEG"),
            (".jfif", "JPEG"),
            (".Jpeg", "JPEG"),
            (".jpe", "JPEG"),
            ("", "PNG"),
            ("", "WEBP"),
        ),
        *((".dat", "PNG"), (".png", "JPEG"), (".jpg", "WEBP"), (".qoi", "QOI"), (".jp2", "JPEG2000")),
        *((".PnG", "PNG"), (".tiff", "TIFF"), (".img", "BMP"), (".1", "GIF"), ("", "TIFF")),
    ],
)
def test_pictures_are_known_by_what_is_in_them(tmp_path, suffix, format):
    root = tree(tmp_path, cat=6, dog=3)
    for number in range(5):
        picture().save(root / "dog" / f"x{number}{suffix}", format)
    found = load(root)
    assert sum(counts(found)) == 14
    assert found.reading.line.endswith("left out: nothing")


def test_avif_is_read_by_its_content(tmp_path):
    if "AVIF" not in formats.readable():
        pytest.skip("this Pillow reads no AVIF")
    root = tree(tmp_path, cat=6, dog=6)
    picture((32, 32)).save(root / "dog" / "x.bin", "AVIF")
    assert sum(counts(load(root))) == 13


def test_what_is_left_out_is_counted_by_suffix(tmp_path):
    root = tree(tmp_path, cat=6, dog=6)
    for number in range(3):
        (root / "cat" / f"{number}.txt").write_text("cat")
    (root / "labels.CSV").write_text("1,cat")
    (root / "dog" / "LICENSE").write_text("free")
    (root / "dog" / "raw.NEF").write_bytes(b"II*\0" + bytes(40))
    (root / "dog" / "gone.png").symlink_to(root / "nowhere.png")
    os.mkfifo(root / "dog" / "pipe.png")
    found = load(root)
    assert sum(counts(found)) == 12
    assert found.reading.line == (
        f"{root.resolve()}: 2 classes (cat, dog); images: 8 training, 2 validation (drawn), 2 test (drawn); "
        "left out: 1 .csv, 1 .nef, 3 .txt, 1 broken links, 1 special files, 1 without suffix"
    )
    assert found.reading.left_out[".txt"] == 3


def test_pictures_beside_the_classes_are_said(tmp_path):
    root = tree(tmp_path, cat=6, dog=6)
    picture().save(root / "contact-sheet.png")
    found = load(root)
    assert "1 in no class folder" in found.reading.line
    assert "contact-sheet.png" in found.reading.notes[0]


HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(100)


def test_pictures_that_need_a_plugin_are_refused_not_left_out(tmp_path, monkeypatch):
    root = tree(tmp_path, cat=6, dog=6)
    for number in range(40):
        (root / "dog" / f"IMG_{number}.{'HEIC' if number else 'jpg'}").write_bytes(HEIC)
    monkeypatch.setattr(formats, "readable", lambda: ("PNG", "JPEG"))
    with pytest.raises(DataError, match=r"40 in .* are HEIF \(IMG_0\.jpg\).*pip install pillow-heif"):
        load(root)


def test_linked_folders_and_files_count(tmp_path):
    elsewhere = tree(tmp_path / "elsewhere", cat=6, more=2)
    root = tree(tmp_path / "pets", dog=6)
    (root / "cat").symlink_to(elsewhere / "cat", target_is_directory=True)
    (root / "dog" / "more").symlink_to(elsewhere / "more", target_is_directory=True)
    found = load(root)
    assert found.class_names == ("cat", "dog")
    assert sum(counts(found)) == 14


def test_links_that_lead_in_circles_end(tmp_path):
    root = tree(tmp_path, cat=6, dog=6)
    (root / "cat" / "up").symlink_to(root, target_is_directory=True)
    (root / "dog" / "self").symlink_to("self")
    found = load(root)
    assert sum(counts(found)) == 12
    assert "1 links to a folder above" in found.reading.line


def test_a_run_among_its_images_is_refused(tmp_path):
    """It would be a class without images when they are read again."""
    root = tree(tmp_path / "photos", cat=6, dog=6)
    for inside, where in (("", "is the folder of"), ("runs/one", "is in the folder of")):
        with pytest.raises(DataError, match=f"{where} the images.*: give another folder"):
            sources.require_apart(root / inside, root)
    for apart in (tmp_path / "photos-run", tmp_path, root / ".runs" / "one"):
        sources.require_apart(apart, root)
    sources.require_apart(root / "run", "digits")
    (root / "train.parquet").write_bytes(b"")
    sources.require_apart(root / "run", root)  # only files are read there


def test_a_stray_parquet_file_does_not_switch_the_reader(tmp_path):
    root = tree(tmp_path, cat=6, dog=6)
    (root / "train.parquet").write_bytes(b"PAR1 and no more")
    (root / "cat" / "index.parquet").write_bytes(b"")
    found = load(root)
    assert found.class_names == ("cat", "dog")
    assert "left out: 2 .parquet" in found.reading.line


@pytest.mark.parametrize(
    "name",
    [
        *(f"cat{letter}".encode() for letter in "\u200b\u202e\u200d\ufeff\u00ad"),
        b"two\nlines",
        b"tab\there",
        b"esc\x1b[31m",
        "paragraph\u2029end".encode(),
        b"caf\xe9",
    ],
)
def test_names_that_cannot_ship_are_refused_when_data_are_read(tmp_path, name):
    root = tree(tmp_path, cat=6)
    fill(root / os.fsdecode(name))
    with pytest.raises(
        DataError, match=r"a class name must be (one line|UTF-8|text that can be seen).*: rename the class"
    ) as caught:
        load(root)
    assert str(caught.value).isprintable()


def test_names_that_look_the_same_are_refused(tmp_path):
    root = tree(tmp_path, cat=6)
    fill(root / "caf\u00e9")
    fill(root / "cafe\u0301")
    with pytest.raises(DataError, match="look the same"):
        load(root)


def test_names_of_files_that_are_no_text_are_no_obstacle(tmp_path):
    root = tree(tmp_path, cat=6, dog=6)
    picture().save(root / "cat" / os.fsdecode(b"caf\xe9.png"))
    assert sum(counts(load(root))) == 13


def test_pictures_that_are_in_two_splits_are_named(tmp_path):
    root = tree(tmp_path, train__cat=6, train__dog=6, test__cat=2, test__dog=2, val__cat=2, val__dog=2)
    first = sorted((root / "train" / "cat").iterdir())[0]
    with Image.open(first) as image:  # the same pixels in another file
        image.save(root / "test" / "cat" / "again.webp", lossless=True)
    shutil.copy(first, root / "val" / "cat" / "copy.png")
    notes = load(root).reading.notes
    named = f"train/cat/{first.name}"
    assert any(
        f"1 of 5 test images are also train images, pixel by pixel (test/cat/again.webp = {named})" in n
        for n in notes
    )
    assert any(
        f"1 of 5 val images are also train images, pixel by pixel (val/cat/copy.png = {named})" in n
        for n in notes
    )
    assert any("test images are also val images" in n for n in notes)


def test_copies_that_a_drawn_split_tears_apart_are_named(tmp_path):
    root = tree(tmp_path, cat=20, dog=20)
    for file in sorted((root / "cat").iterdir()):
        shutil.copy(file, file.with_name(f"copy of {file.name}"))
    notes = load(root).reading.notes
    assert any("of 12 test images are also train images" in note for note in notes)


def test_a_picture_under_two_classes_is_named(tmp_path):
    root = tree(tmp_path, cat=6, dog=6)
    first = sorted((root / "cat").iterdir())[0]
    shutil.copy(first, root / "dog" / "b.png")
    notes = load(root).reading.notes
    assert any(f"cat/{first.name} = dog/b.png" in n or f"dog/b.png = cat/{first.name}" in n for n in notes)


def test_without_copies_nothing_is_said(tmp_path):
    assert load(tree(tmp_path, cat=10, dog=10)).reading.notes == ()


def test_animations_are_counted(tmp_path):
    root = tree(tmp_path, cat=6, dog=6)
    picture().save(root / "cat" / "a.gif", save_all=True, append_images=[picture(), picture()])
    assert (
        "1 files hold several frames or pages, of which the first was taken (cat/a.gif)"
        in load(root).reading.notes
    )


def test_pictures_of_sixteen_bits_that_use_four_of_them_less_are_refused(tmp_path):
    root = tree(tmp_path, cat=6, dog=6)
    dark = np.random.default_rng(0).integers(0, 4096, (8, 8)).astype(np.uint16)
    Image.fromarray(dark).save(root / "dog" / "x.png")
    with pytest.raises(
        DataError, match=r"must use their range of 0 to 65535, but the brightest value of 1 is 4\d\d\d"
    ):
        load(root)


@pytest.mark.parametrize("kind", [2, 4, 6])
def test_colour_of_sixteen_bits_that_uses_twelve_is_refused(tmp_path, kind):
    channels = {2: 3, 4: 2, 6: 4}[kind]
    values = np.random.default_rng(0).integers(0, 4096, (8, 8, channels)).astype(">u2")
    values[0, 0] = 4095
    if channels != 3:
        values[..., -1] = 65535
    root = tree(tmp_path, cat=6, dog=6)
    path = root / "dog" / "x.png"
    path.write_bytes(png_of_sixteen_bits(values, kind))
    with pytest.raises(
        DataError, match=r"the brightest value of 1 is 4095 \(train, val and test: dog/x.png\)"
    ):
        load(root)
    path.write_bytes(png_of_sixteen_bits(values * 16, kind))
    assert load(root).reading.notes == ()


def png_of_sixteen_bits(values, kind):
    """A PNG of values (height, width, channels); Pillow writes none of colour."""
    parts = {
        b"IHDR": struct.pack(">IIBBBBB", values.shape[1], values.shape[0], 16, kind, 0, 0, 0),
        b"IDAT": zlib.compress(b"".join(b"\0" + row.tobytes() for row in values)),
        b"IEND": b"",
    }
    chunks = (
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in parts.items()
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def test_dark_pictures_among_others_of_sixteen_bits_are_said(tmp_path):
    root = tree(tmp_path, cat=0, dog=0)
    for number in range(16):
        grey = np.random.default_rng(number).integers(0, 4096 if number % 4 else 65536, (8, 8))
        Image.fromarray(grey.astype(np.uint16)).save(root / ("cat", "dog")[number % 2] / f"{number}.png")
    assert any(
        "12 of 16 train, val and test images of 16 bits use less than" in note
        for note in load(root).reading.notes
    )


@pytest.mark.parametrize("levels", [2, 10])
def test_dark_pictures_of_eight_bits_are_said(tmp_path, levels):
    root = tree(tmp_path, cat=0, dog=0)
    for number in range(16):
        dark = np.random.default_rng(number).integers(0, levels, (8, 8, 3)).astype(np.uint8)
        Image.fromarray(dark).save(root / ("cat", "dog")[number % 2] / f"{number}.png")
    assert any(
        f"16 of 16 train, val and test images are nearly black: the brightest value in them is {levels - 1}"
        in note
        for note in load(root).reading.notes
    )


def test_the_built_in_set_says_that_a_folder_of_its_name_was_not_read(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert load("digits").reading.notes == ()
    tree(tmp_path / "digits", zero=6, one=6)
    found = load("digits")
    assert found.num_classes == 10
    assert "what lies at ./digits was not read: give ./digits for that" in found.reading.notes[0]
    assert load("./digits").class_names == ("one", "zero")


def test_what_was_read_is_logged_and_what_is_odd_is_a_warning(tmp_path, caplog):
    with caplog.at_level("INFO", logger="hwnas"):
        found = load(tree(tmp_path, train__cat=6, train__dog=6, test__cat=2))
    assert [(r.levelname, r.getMessage()) for r in caplog.records] == [
        ("INFO", found.reading.line),
        ("WARNING", found.reading.notes[0]),
    ]


@pytest.mark.parametrize(
    ("name", "split"),
    [
        *(("train-00000-of-00002", "train"), ("Test", "test"), ("validation", "val"), ("devset", "val")),
        *(
            ("trainer", None),
            ("0000", None),
            ("contest", None),
            ("testament", None),
            ("", None),
            ("traindata", "train"),
        ),
    ],
)
def test_names_of_files_say_their_split(name, split):
    assert names.split_of_file(name) == split
