"""Images with boxes: every format reads the same, and what has no plain meaning is refused or counted."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from scenes import scene

from hwnas.data import detection
from hwnas.errors import DataError

SCENES = 12
NAMES = ("cat", "dog")
CARDS = Path(__file__).parents[3] / "shared" / "data" / "cards"
SPLITS = {"train": range(8), "val": range(8, 10), "test": range(10, 12)}


def load(source, **options):
    return detection.load(source, resolution=96, **options)


def objects_of(number):
    """Boxes and classes of a scene; the first shows nothing."""
    return scene(number)[2] if number else []


def picture(number):
    return scene(number)[0] if number else Image.fromarray(np.array(scene(0)[0]) // 4)


def save_pictures(folder, numbers=range(SCENES)):
    folder.mkdir(parents=True, exist_ok=True)
    for number in numbers:
        picture(number).save(folder / f"s{number:02d}.png")


def coco_json(numbers, ids=(3, 7), **more):
    """As exporters write it: categories with holes, sizes, crowds."""
    images = [{"id": 100 + n, "file_name": f"s{n:02d}.png", "width": 48, "height": 32} for n in numbers]
    boxes = [(n, each) for n in numbers for each in objects_of(n)]
    annotations = [
        {"id": i, "image_id": 100 + n, "category_id": ids[c - 1], "bbox": [x, y, r - x, b - y], "iscrowd": 0}
        for i, (n, (x, y, r, b, c)) in enumerate(boxes)
    ]
    categories = [{"id": id_, "name": name} for id_, name in zip(ids, NAMES, strict=True)]
    return {"images": images, "annotations": annotations, "categories": categories} | more


def write_coco(root, splits=SPLITS, images="{}2017", name="annotations/instances_{}2017.json"):
    for split, numbers in splits.items():
        save_pictures(root / images.format(split), numbers)
        file = root / name.format(split)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(coco_json(numbers)))
    return root


def write_voc(root, splits=SPLITS, pictures="JPEGImages", annotations="Annotations"):
    save_pictures(root / pictures)
    (root / annotations).mkdir(parents=True, exist_ok=True)
    for number in range(SCENES):
        boxes = "".join(
            f"<object><name>{NAMES[c - 1]}</name><difficult>{int(number == 5)}</difficult><bndbox>"
            f"<xmin>{x}</xmin><ymin>{y}</ymin><xmax>{r}</xmax><ymax>{b}</ymax></bndbox></object>"
            for x, y, r, b, c in objects_of(number)
        )
        size = "<size><width>48</width><height>32</height><depth>3</depth></size>"
        text = f"<annotation><filename>s{number:02d}.png</filename>{size}{boxes}</annotation>"
        (root / annotations / f"s{number:02d}.xml").write_text(text)
    if splits:
        (root / "ImageSets" / "Main").mkdir(parents=True)
        for split, numbers in splits.items():
            (root / "ImageSets" / "Main" / f"{split}.txt").write_text("".join(f"s{n:02d}\n" for n in numbers))
    return root


def yolo_text(number):
    lines = [
        f"{c - 1} {(x + r) / 96:.6f} {(y + b) / 64:.6f} {(r - x) / 48:.6f} {(b - y) / 32:.6f}\n"
        for x, y, r, b, c in objects_of(number)
    ]
    return "".join(lines)


def write_yolo(root, images="images/{}", labels="labels/{}", splits=SPLITS):
    for split, numbers in splits.items():
        save_pictures(root / images.format(split), numbers)
        (root / labels.format(split)).mkdir(parents=True, exist_ok=True)
        for number in numbers:
            (root / labels.format(split) / f"s{number:02d}.txt").write_text(yolo_text(number))
    (root / "classes.txt").write_text("cat\ndog\n")
    return root


def pack(image):
    file = io.BytesIO()
    image.save(file, "PNG")
    return {"bytes": file.getvalue(), "path": None}


def write_parquet(root, metadata=None, category=int, splits=SPLITS):
    root.mkdir(exist_ok=True)
    for split, numbers in splits.items():
        objects = [
            {
                "bbox": [[float(v) for v in (x, y, r - x, b - y)] for x, y, r, b, _ in objects_of(n)],
                "category": [category(c - 1) for *_, c in objects_of(n)],
            }
            for n in numbers
        ]
        table = pa.table({"image": [pack(picture(n)) for n in numbers], "objects": objects})
        pq.write_table(table.replace_schema_metadata(metadata), root / f"{split}.parquet")
    return root


def rows(data, split):
    """What is said of each image of a split."""
    found = data.split(split)
    return [np.sort(boxes[boxes[:, 4] >= 0], axis=0).round(2).tolist() for boxes in found.labels]


CLASSES = {"classes": json.dumps(NAMES)}
WRITERS = {
    "coco": write_coco,
    "roboflow": lambda root: write_coco(root, images="{}", name="{}/_annotations.coco.json"),
    "label studio": lambda root: write_coco(root, images="{}/images", name="{}/result.json"),
    "voc": write_voc,
    "yolo": write_yolo,
    "yolo by splits": lambda root: write_yolo(root, "{}/images", "{}/labels"),
    "parquet": lambda root: write_parquet(root, CLASSES),
    "parquet of words": lambda root: write_parquet(root, None, NAMES.__getitem__),
}


@pytest.mark.parametrize("name", WRITERS)
def test_all_formats_say_the_same(tmp_path, name):
    data = load(WRITERS[name](tmp_path / "set"))
    assert data.task == "detection"
    assert data.class_names == NAMES
    assert [len(data.split(split)) for split in SPLITS] == [8, 2, 2]
    assert data.train.labels.dtype == np.float32
    assert data.train.labels.shape[1:] == (2, 6)
    for split, numbers in SPLITS.items():
        found = sorted(rows(data, split))
        scale = np.array([2, 3, 2, 3, 1, 0])
        boxes = ([(*box[:4], box[4] - 1, 0) for box in objects_of(n)] for n in numbers)
        expected = [np.sort(np.array(each).reshape(-1, 6) * scale, axis=0) for each in boxes]
        if name == "voc" and split == "train":
            expected[5][:, 5] = 1  # difficult
        expected = sorted(map(np.ndarray.tolist, expected))
        assert [len(each) for each in found] == [len(each) for each in expected]
        for one, other in zip(found, expected, strict=True):
            assert np.allclose(one, other, atol=0.01)
    assert not data.reading.left_out


def test_a_box_lies_where_its_picture_shows_the_thing(tmp_path):
    data = load(write_coco(tmp_path))
    for image, boxes in zip(data.train.images, data.train.labels, strict=True):
        for left, top, right, bottom, number, _ in boxes[boxes[:, 4] >= 0].astype(int):
            inner = image[:2, top + 3 : bottom - 3, left + 3 : right - 3]
            assert (inner[number] > 150).all()
            assert (inner[1 - number] < 100).all()


def test_without_splits_they_are_drawn(tmp_path):
    data = load(write_voc(tmp_path, None, ".", "."))
    assert [len(data.split(split)) for split in SPLITS] == [8, 2, 2]
    assert load(tmp_path).fingerprint == data.fingerprint


def coco_of(root, **more):
    save_pictures(root / "images")
    (root / "result.json").write_text(json.dumps(coco_json(range(SCENES), **more)))
    return root


def changed(root, change):
    """A COCO folder with something changed in its json."""
    coco_of(root)
    said = json.loads((root / "result.json").read_text())
    change(said)
    (root / "result.json").write_text(json.dumps(said))
    return root


def test_boxes_are_clipped_left_out_and_counted(tmp_path):
    def change(said):
        for box, annotation in zip(
            ([-10, 4, 20, 10], [60, 0, 5, 5], [5, 5, -3, 4]), said["annotations"], strict=False
        ):
            annotation["bbox"] = box
        said["annotations"][3]["iscrowd"] = 1

    data = load(changed(tmp_path, change))
    assert data.reading.left_out["boxes without area"] == 2
    assert any("1 boxes reach beyond" in note for note in data.reading.notes)
    assert any("2 boxes have no area" in note for note in data.reading.notes)
    boxes = np.concatenate([split.labels.reshape(-1, 6) for split in (data.train, data.val, data.test)])
    assert boxes[:, :4].min() >= 0
    assert boxes[:, :4].max() <= 96
    assert boxes[:, 5].sum() == 1


def test_one_class_and_a_supercategory_that_nothing_is_of(tmp_path):
    def change(said):
        for annotation in said["annotations"]:
            annotation["category_id"] = 3
        said["categories"] = [{"id": 0, "name": "pets"}, {"id": 3, "name": "cat", "supercategory": "pets"}]

    assert load(changed(tmp_path, change)).class_names == ("cat",)


def test_a_category_that_is_its_own_supercategory_is_an_ordinary_one(tmp_path):
    bird = {"id": 9, "name": "bird", "supercategory": "bird"}
    data = load(changed(tmp_path, lambda said: said["categories"].append(bird)))
    assert data.class_names == ("cat", "dog", "bird")


@pytest.mark.parametrize("above", ["cat", "pets"])
def test_a_category_that_only_validation_shows_is_a_class_of_all_splits(tmp_path, above):
    write_coco(tmp_path)
    for file in (tmp_path / "annotations").iterdir():
        said = json.loads(file.read_text())
        said["categories"] = [
            {"id": 3, "name": "cat", "supercategory": "none"},
            {"id": 7, "name": "dog", "supercategory": above},
            {"id": 8, "name": above + "s", "supercategory": above + "s"},
        ]
        for each in said["annotations"]:
            each["category_id"] = 3 if "val" in file.name else 7
        file.write_text(json.dumps(said))
    assert load(tmp_path).class_names == ("cat", "dog", above + "s")


def test_pictures_that_are_not_there_or_not_listed_are_counted(tmp_path):
    coco_of(tmp_path)
    (tmp_path / "images" / "s04.png").rename(tmp_path / "images" / "more.png")
    data = load(tmp_path)
    assert data.reading.left_out == {"listed, but not there": 1, "listed in no json": 1}
    assert any(
        "1 images are listed in no json file" in n and "images/more.png" in n for n in data.reading.notes
    )


def named(folders):
    """Changes the folders that images are said to be in."""

    def change(said):
        for number, image in enumerate(said["images"]):
            image["file_name"] = folders(number) + image["file_name"]

    return change


@pytest.mark.parametrize(
    ("folders", "out"),
    [
        (lambda number: "images/", {}),
        (lambda number: "/home/me/pictures/", {}),
        (lambda number: "C:\\pictures\\", {}),
        (
            lambda number: "right/" if number == 7 else "images/",
            {"listed, but not there": 1, "listed in no json": 1},
        ),
    ],
)
def test_a_picture_in_another_folder_is_taken_only_where_no_folder_is_as_listed(tmp_path, folders, out):
    assert load(changed(tmp_path, named(folders))).reading.left_out == out


def test_a_picture_that_is_listed_is_not_taken_for_another(tmp_path):
    def change(said):
        said["images"][7]["file_name"] = "right/s06.png"

    left_out = load(changed(tmp_path, change)).reading.left_out
    assert left_out == {"listed, but not there": 1, "listed in no json": 1}


def test_ids_of_images_are_compared_by_what_they_say(tmp_path):
    def change(said):
        for each in said["annotations"]:
            each["image_id"] = str(each["image_id"])
        said["annotations"][0]["image_id"] = "0100"

    data = load(changed(tmp_path, change))
    assert data.reading.left_out == {"boxes of no listed image": 1}


@pytest.mark.parametrize(("said", "crowds"), [(1, 1), (True, 1), (1.0, 1), (0, 0), (False, 0), (None, 0)])
def test_iscrowd_is_a_number_or_a_truth(tmp_path, said, crowds):
    data = load(changed(tmp_path, lambda found: found["annotations"][0].update(iscrowd=said)))
    assert sum(data.split(split).labels[..., 5].sum() for split in SPLITS) == crowds


def test_of_cocos_own_files_the_instances_are_read(tmp_path):
    write_coco(tmp_path)
    for kind in ("person_keypoints", "captions"):
        again = (tmp_path / "annotations/instances_train2017.json").read_text()
        (tmp_path / f"annotations/{kind}_train2017.json").write_text(again)
    data = load(tmp_path)
    assert len(data.train) == 8
    assert data.reading.left_out == {".json": 2}


def test_a_class_that_training_does_not_show_is_said(tmp_path):
    data = load(changed(tmp_path, lambda said: said["categories"].append({"id": 9, "name": "horse"})))
    assert data.class_names == ("cat", "dog", "horse")
    assert any("train split shows nothing of horse" in note for note in data.reading.notes)


def test_yolo_takes_names_and_splits_from_yaml_and_polygons(tmp_path):
    pytest.importorskip("yaml")
    write_yolo(tmp_path, "pool/images/{}", "pool/labels/{}", {"a": range(8), "b": range(8, 12)})
    (tmp_path / "classes.txt").unlink()
    said = "train: ../pool/images/a\nval: pool/images/b\nnames:\n  0: Katze\n  1: Hund\n"
    (tmp_path / "data.yaml").write_text(said)
    (tmp_path / "pool/labels/b/s08.txt").write_text("1 0.1 0.2 0.5 0.1 0.25 0.75\n")
    data = load(tmp_path)
    assert data.class_names == ("Katze", "Hund")
    assert len(data.val) == 4
    assert any(np.allclose(box, [9.6, 9.6, 48, 72, 1, 0], atol=1e-3) for box in data.val.labels[:, 0])


def test_pictures_without_txt_show_nothing_and_whole_splits_without_are_left_out(tmp_path):
    write_yolo(tmp_path)
    (tmp_path / "labels/train/s01.txt").unlink()
    for number in SPLITS["test"]:
        (tmp_path / f"labels/test/s{number:02d}.txt").unlink()
    data = load(tmp_path)
    assert data.reading.left_out["without labels"] == 2
    assert any("1 images have no txt file" in note for note in data.reading.notes)
    assert len(data.train) + len(data.test) == 8


def test_places_of_the_yaml_that_are_not_there_are_said(tmp_path):
    write_yolo(tmp_path, "images", "labels", {"train": range(SCENES)})
    (tmp_path / "data.yaml").write_text("train: images\nval: elsewhere\nnames: [cat, dog]\n")
    data = load(tmp_path)
    assert any("not there and are not used (val: elsewhere)" in note for note in data.reading.notes)


@pytest.mark.parametrize("ending", ["", " 1", "  -1", " 0"])
def test_voc_lists_name_pictures_with_spaces(tmp_path, ending):
    write_voc(tmp_path, None)
    for file in (*tmp_path.glob("*/*.png"), *tmp_path.glob("*/*.xml")):
        file.rename(file.with_stem(f"my {file.stem} 1"))
    (tmp_path / "ImageSets/Main").mkdir(parents=True)
    for split, numbers in SPLITS.items():
        lines = "".join(f"my s{n:02d} 1{ending}\n" for n in numbers)
        (tmp_path / "ImageSets/Main" / f"{split}.txt").write_text(lines + "gone 2\n")
    data = load(tmp_path)
    assert [len(data.split(split)) for split in SPLITS] == [8, 2, 2]
    assert data.reading.left_out == {"listed, but not there": 3}
    assert any("1 of 9 listed train images are not there" in note for note in data.reading.notes)
    assert any("(gone 2)" in note for note in data.reading.notes)


def test_two_xml_of_a_picture_must_agree(tmp_path):
    write_voc(tmp_path)
    (tmp_path / "labels").mkdir()
    again = (tmp_path / "Annotations/s03.xml").read_text()
    (tmp_path / "labels/s03.xml").write_text(again)
    assert load(tmp_path).reading.left_out == {}
    (tmp_path / "labels/s03.xml").write_text(again.replace("<xmin>", "<xmin>1"))
    with pytest.raises(DataError, match=r"Annotations/s03.xml and .*labels/s03.xml .* differ: remove one"):
        load(tmp_path)


def of_yolo(text):
    def write(root):
        write_yolo(root)
        (root / "labels/train/s03.txt").write_text(text)

    return write


def of_yaml(text):
    def write(root):
        pytest.importorskip("yaml")
        write_yolo(root)
        (root / "data.yaml").write_text(text)

    return write


def of_xml(text):
    def write(root):
        write_voc(root)
        (root / "Annotations/s03.xml").write_text(text)

    return write


def twice(root):
    coco_of(root)
    (root / "again.json").write_text((root / "result.json").read_text())


def of_coco(change):
    return lambda root: changed(root, change)


def blind(said):
    said["annotations"].clear()


def other_size(said):
    for image in said["images"]:
        image["width"], image["height"] = 32, 48


def unlisted(said):
    said["annotations"][0]["category_id"] = 55


def as_text(said):
    said["annotations"][0]["category_id"] = "3"


def again(kind):
    return lambda said: said[kind][1].update(id=said[kind][0]["id"])


def without(key):
    return lambda said: said.pop(key)


def crowded(said):
    for each in said["annotations"]:
        each["iscrowd"] = 1


def short(said):
    said["annotations"][0]["bbox"] = [1, 2, 3]


def infinite(said):
    said["annotations"][0]["bbox"] = [1, 2, float("nan"), 4]


def first(kind, **values):
    return of_coco(lambda said: said[kind][0].update(values))


def of_no_image(said):
    for each in said["annotations"]:
        each["image_id"] = f"s{each['image_id']}.png"


def mixed(*ids):
    def change(said):
        said["categories"] += [{"id": id_, "name": f"more {id_}"} for id_ in ids]

    return of_coco(change)


def lacking(file, *keys):
    """COCO of splits whose validation lacks lists."""

    def write(root):
        write_coco(root, name=file)
        said = json.loads((root / file.format("val")).read_text())
        left = {key: value for key, value in said.items() if key not in keys}
        (root / file.format("val")).write_text(json.dumps(left))

    return write


def of_texts(root):
    write_parquet(root)
    objects = [{"bbox": [["1", "2", "3", "4"]], "category": [0]}] * 8
    table = pa.table({"image": [pack(picture(n)) for n in range(8)], "objects": objects})
    pq.write_table(table, root / "train.parquet")


def of_crowds(root):
    write_parquet(root)
    objects = [{"bbox": [[1.0, 2.0, 3.0, 4.0]], "category": [0], "iscrowd": ["0"]}] * 8
    table = pa.table({"image": [pack(picture(n)) for n in range(8)], "objects": objects})
    pq.write_table(table, root / "train.parquet")


def emptied(*splits):
    """Parquet files, of which some have no rows."""

    def write(root):
        write_parquet(root)
        for split in splits:
            file = root / f"{split}.parquet"
            pq.write_table(pq.read_table(file).slice(0, 0), file)

    return write


_HEIGHT = "<size><width>48</width><height>nan</height></size>"


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (
            first("images", width=float("nan")),
            "size of a picture must be two numbers, but .*s00.png .* nanx32",
        ),
        (first("images", height=float("inf")), "size of a picture must be two numbers, but .* 48xinf"),
        (of_xml(f"<annotation>{_HEIGHT}</annotation>"), "size of a picture must be two .*s03.png .* 48xnan"),
        (first("images", width=10**400), "but in .* one has not .OverflowError"),
        (first("images", id=None), "but in .* one has not .TypeError: None is no id"),
        (first("annotations", image_id=[1]), r"but in .* one has not .TypeError: \[1\] is no id"),
        (first("annotations", image_id=True), "but in .* one has not .TypeError: True is no id"),
        (first("annotations", bbox=[1, 2, 10**400, 4]), "bbox .* but in .* one has not .OverflowError"),
        (first("annotations", bbox="1234"), "bbox .* one has not .TypeError: '1234' is no list"),
        *(
            (first("annotations", iscrowd=said), f"iscrowd must be 0 or 1, .* has {shown}: correct it")
            for said, shown in (("0", "'0'"), ("false", "'false'"), (2, "2"), ([], r"\[\]"))
        ),
        (of_crowds, "iscrowd must be 0 or 1, .* row 0 of .*train.parquet has '0': correct it"),
        (mixed("9"), "ids of categories must be all numbers or all texts, but .* has 3, 7, '9': export"),
        (mixed(None), "ids of categories must be all numbers or all texts, but .* has 3, 7, None: export"),
        (
            of_coco(of_no_image),
            "no object of .* is: .* an image_id of 's10[0-9].png', its images an id of 100: ex",
        ),
        (
            lacking("annotations/instances_{}.json", "categories"),
            "instances_val.json has no list of categories",
        ),
        (lacking("annotations/instances_{}.json", "images", "categories"), "no list of images, categories"),
        (
            lacking("{}/_annotations.coco.json", "annotations"),
            "val/_ann.* has no list of annotations: export",
        ),
        (of_texts, r"but row 0 of .* is not: boxes must be of numbers, but it has \['1', '2', '3', '4'\]"),
        (emptied("val"), "every split must have images, but .* has none for val: add"),
        (emptied("val", "test"), "every split must have images, but .* has none for val and test: add"),
        (emptied(*SPLITS), "at least 5 training images, but .* has 0"),
        (of_coco(blind), "must show objects to be found, but .* has none"),
        (of_coco(other_size), "as it is seen, but .* 48x32 .* 32x48"),
        (of_coco(unlisted), "listed category, but .* 55"),
        (of_coco(as_text), "listed category, but .* has objects of '3'"),
        (of_coco(again("images")), "images must have an id each, but several in .* have 100: export"),
        (of_coco(again("categories")), "categories must have an id each, but several in .* have 3: export"),
        *(
            (of_coco(without(key)), f"has no list of {key}")
            for key in ("images", "annotations", "categories")
        ),
        (of_coco(crowded), "only crowds"),
        (of_coco(short), "bbox of x, y, width, height"),
        (of_coco(infinite), "boxes must be numbers"),
        (twice, "listed once, but 12"),
        (of_yolo("0 0.5 0.5\n"), "line 1 of .*s03.txt is not"),
        (of_yolo("0 20 10 30 20\n"), "shares of the picture's sides"),
        (of_yolo("9 0.5 0.5 0.1 0.1\n"), "objects of class 9 and 2 names"),
        (of_yaml("names: 5"), "names must be a list of texts, .* has 5"),
        (of_yaml("names: {cat: 0}"), "names must be a list of texts"),
        (of_yaml("names: [cat]"), "objects of class 1 and 1 names"),
        (of_yaml("names: ["), "must be YAML, .*: correct it"),
        (of_xml("<annotation><object><name>cat</name></object></annotation>"), "no bndbox/xmin"),
        (of_xml("<annotation>"), "must be xml"),
        (of_xml("<html/>"), "s03.xml is not: its root is html, not annotation"),
        (of_xml('<!DOCTYPE a [<!ENTITY b "c">]><annotation/>'), "no entities"),
        (lambda root: write_parquet(root, {"classes": '["cat"]'}), "has 1 and 1 names"),
        (lambda root: save_pictures(root), "holds none of these"),
        (lambda root: write_coco(root, {"train": range(3)}), "at least 5 training images"),
        (lambda root: write_coco(root, {"val": range(8)}), "there is only val"),
    ],
)
def test_what_has_no_plain_meaning_is_refused(tmp_path, make, said):
    make(tmp_path / "set")
    with pytest.raises(DataError, match=said):
        load(tmp_path / "set")


@pytest.mark.skipif(not CARDS.is_dir(), reason="../shared/data/cards is not there")
def test_cards():
    data = detection.load(CARDS, resolution=64)
    assert data.class_names == ("ace", "jack", "king", "nine", "queen", "ten")
    assert (len(data.train), len(data.val), len(data.test)) == (237, 59, 67)
    assert data.train.labels[..., :4].min() >= 0
    assert data.train.labels[..., :4].max() <= 64
