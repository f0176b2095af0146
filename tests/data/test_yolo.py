"""YOLO's txt: what the YAML file, the lists and the names of files say is taken, refused or counted."""

from __future__ import annotations

import numpy as np
import pytest
from trees import picture

from hwnas.data import detection
from hwnas.errors import DataError

pytest.importorskip("yaml")
NAMES = "names: [cat, dog]\n"
BOX = ".5 .5 .1 .1"


def load(source):
    return detection.load(source, resolution=64)


def write(root, yaml=NAMES, pictures=("a", "b", "c", "d", "e", "f", "g", "h"), label=f"{{}} {BOX}\n"):
    """Pictures by name, of class 0 and 1 in turns."""
    for number, name in enumerate(pictures):
        for folder in ("images", "labels"):
            (root / folder / name).parent.mkdir(parents=True, exist_ok=True)
        picture((32, 32)).save(root / "images" / f"{name}.png")
        (root / "labels" / f"{name}.txt").write_text(label.format(number % 2))
    if yaml:
        (root / "data.yaml").write_text(yaml)
    return root


def sizes(data):
    return [len(data.split(split)) for split in ("train", "val", "test")]


def objects(data):
    """Rows of all splits that are objects."""
    rows = np.concatenate([data.split(s).labels.reshape(-1, 6) for s in ("train", "val", "test")])
    return rows[rows[:, 4] >= 0]


def is_said(data, text):
    return any(text in note for note in data.reading.notes)


def test_keypoints_are_no_polygon(tmp_path):
    data = load(write(tmp_path, NAMES + "kpt_shape: [2, 3]\n", label=f"{{}} {BOX} .9 .9 2 .8 .8 1\n"))
    assert len(objects(data)) == 8
    assert np.allclose(objects(data)[:, :4], [28.8, 28.8, 35.2, 35.2], atol=1e-4)


@pytest.mark.parametrize(
    ("shape", "said"),
    [
        ("[3, 3]", "4 numbers of the box and 9 of keypoints must follow the class, not 10"),
        ("[2, 2]", "and 4 of keypoints"),
        ("[2]", r"kpt_shape must be .* has \[2\]: correct it"),
        ("[2, 4]", r"2 or 3, .* has \[2, 4\]"),
        ("[yes, 3]", r"has \[True, 3\]"),
        ("many", "has 'many'"),
    ],
)
def test_keypoints_of_another_number_are_refused(tmp_path, shape, said):
    write(tmp_path, f"{NAMES}kpt_shape: {shape}\n", label=f"{{}} {BOX} .9 .9 1 .8 .8 1\n")
    with pytest.raises(DataError, match=said):
        load(tmp_path)


@pytest.mark.parametrize("other", ["classes.txt", "labels.txt", "obj.names"])
def test_lists_of_classes_must_agree(tmp_path, other):
    write(tmp_path, yaml=None)
    (tmp_path / "classes.txt").write_text("dog\ncat\n")
    (tmp_path / "labels" / other).write_text("dog\ncat")
    assert load(tmp_path).class_names == ("dog", "cat")
    (tmp_path / "labels" / other).write_text("cat\ndog\n")
    with pytest.raises(DataError, match=f"listed once, but .*classes.txt and .*{other} differ: remove one"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ("[no, yes]", "name 0 in .*data.yaml as False: put it into quotes"),
        ("{0: cat, 1: null}", "name 1 in .* as None"),
        ("[cat, 1.5]", "name 1 in .* as 1.5"),
        ("[2024-01-01, cat]", "as datetime.date"),
        ("[[cat], dog]", r"as \['cat'\]"),
    ],
)
def test_names_that_yaml_reads_as_something_else_are_refused(tmp_path, names, said):
    with pytest.raises(DataError, match=said):
        load(write(tmp_path, f"names: {names}\n"))


def test_quoted_words_and_whole_numbers_are_names(tmp_path):
    assert load(write(tmp_path, "names: ['no', 7]\n")).class_names == ("no", "7")


def test_a_folder_in_a_folder_is_of_its_own_split(tmp_path):
    names = ("a", "b", "c", "d", "e", "val/f", "val/g", "test/h")
    data = load(write(tmp_path, f"{NAMES}train: images\nval: images/val\ntest: images/test\n", names))
    assert sizes(data) == [5, 2, 1]
    assert is_said(data, "2 images are of val and of train by the YAML file, and are used for val alone")
    assert is_said(data, "1 images are of test and of train")


def test_one_folder_of_two_splits_is_of_the_first_and_that_is_said(tmp_path):
    data = load(write(tmp_path, f"{NAMES}train: images\nval: images\n"))
    assert sum(sizes(data)) == 8
    assert is_said(data, "8 images are of train and of val by the YAML file, and are used for train alone")


def listed(root, train, val="images/g.png\n"):
    write(root, f"{NAMES}train: train.txt\nval: val.txt\ntest: images/h.png.txt\n")
    (root / "images/h.png.txt").write_text("h.png\n")
    (root / "train.txt").write_text(train)
    (root / "val.txt").write_text(val)
    return root


TRAIN = "".join(f"images/{name}.png\n" for name in "abcde")


def test_blank_lines_of_a_list_name_nothing(tmp_path):
    data = load(listed(tmp_path, f" \n{TRAIN}\t\n\n"))
    assert sizes(data) == [5, 1, 1]
    assert data.reading.left_out["of no split"] == 1
    assert data.reading.left_out.keys() == {".txt", "of no split"}


def test_listed_pictures_that_are_not_there_are_counted(tmp_path):
    data = load(listed(tmp_path, f"{TRAIN}images/gone.png\nimages/gone2.png\n"))
    assert sizes(data) == [5, 1, 1]
    assert data.reading.left_out["listed, but not there"] == 2
    assert is_said(
        data, "2 of 7 images that train.txt lists for train are not there and are not used (images/g"
    )


def test_lists_of_another_machine_say_no_splits(tmp_path):
    data = load(listed(tmp_path, TRAIN.replace("images", "/elsewhere")))
    assert sum(sizes(data)) == 8
    assert data.reading.left_out["listed, but not there"] == 5
    assert is_said(data, "names no training images that are there: what it says of other splits is not used")


def test_pictures_may_be_called_as_lists_are(tmp_path):
    data = load(write(tmp_path, pictures=("train", "val", "test", "classes", "labels", "f", "g", "h")))
    assert len(objects(data)) == 8
    assert not is_said(data, "no txt file")
    assert not data.reading.left_out


def test_a_list_beside_pictures_is_no_label(tmp_path):
    write(tmp_path, pictures=("train", "b", "c", "d", "e", "f"))
    (tmp_path / "labels/val.txt").write_text("images/f.png\n")
    (tmp_path / "train.txt").write_text("images/f.png\n")
    assert len(objects(load(tmp_path))) == 6


def test_two_txt_of_a_picture_must_agree(tmp_path):
    write(tmp_path)
    (tmp_path / "images/a.txt").write_text(f"0 {BOX}\n")
    assert len(objects(load(tmp_path))) == 8
    (tmp_path / "images/a.txt").write_text(f"1 {BOX}\n")
    with pytest.raises(DataError, match=r"images/a.txt and .*labels/a.txt are of the same and differ"):
        load(tmp_path)


@pytest.mark.parametrize("number", [1000, 200_000, 3_000_000])
def test_numbers_far_beyond_the_boxes_need_names(tmp_path, number):
    write(tmp_path, yaml=None)
    (tmp_path / "labels/a.txt").write_text(f"{number} {BOX}\n")
    with pytest.raises(DataError, match=f"must have names, .* class {number}, 8 objects .* add data.yaml"):
        load(tmp_path)


def test_holes_between_numbers_need_no_names(tmp_path):
    write(tmp_path, yaml=None)
    (tmp_path / "labels/a.txt").write_text(f"90 {BOX}\n")
    assert len(load(tmp_path).class_names) == 91
