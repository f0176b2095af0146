"""Images with masks: all layouts and kinds of masks read the same; what has no plain meaning is refused."""

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

from hwnas.data import segmentation
from hwnas.errors import DataError

SCENES = 12
NUCLEI = Path(__file__).parents[3] / "shared" / "data" / "nuclei"
PALETTE = [0, 0, 0, 128, 0, 0, 0, 128, 0] + [0] * 756 + [224, 224, 192]


def as_index(mask):
    return Image.fromarray(mask)


def as_palette(mask):
    image = Image.fromarray(mask).convert("P")
    image.frombytes(mask.tobytes())
    image.putpalette(PALETTE)
    return image


def as_colours(mask):
    return as_palette(mask).convert("RGB")


def save(root, make=as_index, images="images", masks="masks", numbers=range(SCENES), ending=""):
    """Scenes as files; returns how the masks look at 16 pixels."""
    (root / images).mkdir(parents=True)
    (root / masks).mkdir(parents=True)
    for number in numbers:
        picture, mask, _ = scene(number)
        picture.save(root / images / f"s{number:02d}.png")
        make(mask).save(root / masks / f"s{number:02d}{ending}.png")
    return root


def load(source, **options):
    return segmentation.load(source, resolution=16, **options)


def pairs(data):
    """Every image with its mask, whatever its split."""
    splits = (data.train, data.val, data.test)
    return {i.tobytes(): m for s in splits for i, m in zip(s.images, s.labels, strict=True)}


def expected(number):
    """The mask of a scene at 16 pixels: a pixel of 48x32 becomes one of 3x2, by its middle."""
    return scene(number)[1][1::2, 1::3]


def test_images_and_masks_are_read_stretched_and_split(tmp_path):
    data = load(save(tmp_path))
    assert data.task == "segmentation"
    assert data.class_names == ("background", "class 1", "class 2")
    assert (len(data.train), len(data.val), len(data.test)) == (8, 2, 2)
    assert data.train.images.shape == (8, 3, 16, 16)
    assert data.train.labels.dtype == np.uint8
    assert data.flip
    found = {mask.tobytes() for mask in pairs(data).values()}
    assert found == {expected(number).tobytes() for number in range(SCENES)}
    assert load(tmp_path).fingerprint == data.fingerprint != load(tmp_path, seed=1).fingerprint


def test_a_mask_lies_where_its_picture_shows_the_thing(tmp_path):
    for image, mask in pairs(load(save(tmp_path))).items():
        pixels = np.frombuffer(image, np.uint8).reshape(3, 16, 16)
        inner = (mask[1:-1, 1:-1] == 1) & (mask[:-2, 1:-1] == 1) & (mask[2:, 1:-1] == 1)
        inner &= (mask[1:-1, :-2] == 1) & (mask[1:-1, 2:] == 1)
        assert (pixels[0, 1:-1, 1:-1][inner] > 150).all()


@pytest.mark.parametrize(
    ("make", "listed", "names"),
    [
        (as_index, "# mine\nsky\ncat\ndog\n", ("sky", "cat", "dog")),
        (as_palette, None, ("background", "class 1", "class 2")),
        (as_colours, "sky 0 0 0\ncat 128 0 0\ndog 0 128 0\n", ("sky", "cat", "dog")),
        (as_palette, "dog 0 128 0\ncat 128 0 0\nsky 0 0 0\n", ("dog", "cat", "sky")),
        (as_colours, "# label:rgb:parts\nsky:0,0,0::\ndog:0,128,0::\ncat:128,0,0::\n", ("sky", "dog", "cat")),
        (as_colours, "name,r,g,b\nsky,0,0,0\ncat,128,0,0\nbig dog,0,128,0\n", ("sky", "cat", "big dog")),
        (as_colours, "0 0 0 sky\n128 0 0 cat\n0 128 0 dog\n", ("sky", "cat", "dog")),
        (lambda mask: as_index(mask).convert("RGB"), None, ("background", "class 1", "class 2")),
    ],
)
def test_kinds_of_masks_say_the_same(tmp_path, make, listed, names):
    plain = pairs(load(save(tmp_path / "plain")))
    save(tmp_path / "other", make)
    if listed:
        (tmp_path / "other" / ("labelmap.txt" if "::" in listed else "labels.txt")).write_text(listed)
    data = load(tmp_path / "other")
    assert data.class_names == names
    order = [next((n for n in range(3) if word in names[n]), None) for word in ("sky", "cat", "dog")]
    order = [0, 1, 2] if None in order else order
    found = pairs(data)
    assert found.keys() == plain.keys()
    assert all((np.array(order)[plain[image]] == mask).all() for image, mask in found.items())
    assert not data.reading.left_out


def test_void_does_not_count(tmp_path):
    def with_border(mask):
        mask = mask.copy()
        mask[:4] = 255
        return as_colours(mask)

    save(tmp_path, with_border)
    (tmp_path / "labels.txt").write_text("cat 128 0 0\nvoid 0 0 0\ndog 0 128 0\n")
    data = load(tmp_path)
    assert data.class_names == ("cat", "dog")
    assert (data.train.labels[:, :2] == 255).all()
    assert set(np.unique(data.train.labels)) == {0, 1, 255}


def test_black_and_white_is_recognised_and_said(tmp_path):
    data = load(save(tmp_path, lambda mask: as_index((mask > 0).astype(np.uint8) * 255)))
    assert data.class_names == ("background", "class 1")
    assert set(np.unique(data.train.labels)) == {0, 1}
    assert any("0 and 255 alone" in note for note in data.reading.notes)


@pytest.mark.parametrize(
    ("images", "masks"),
    [
        ("{}/images", "{}/masks"),
        ("images/{}", "masks/{}"),
        ("{}", "{}_masks"),
        ("set/img/{}2017", "set/annotations/{}2017"),
    ],
)
def test_splits_are_told_from_folders(tmp_path, images, masks):
    for split, numbers in (("train", range(8)), ("val", range(8, 10)), ("test", range(10, 12))):
        save(tmp_path, images=images.format(split), masks=masks.format(split), numbers=numbers)
    data = load(tmp_path)
    assert [len(data.split(split)) for split in ("train", "val", "test")] == [8, 2, 2]
    found = {mask.tobytes() for mask in data.test.labels}
    assert found == {expected(number).tobytes() for number in (10, 11)}


def voc(root, lists):
    save(root, as_palette, "VOC/JPEGImages", "VOC/SegmentationClass")
    save(root / "VOC", as_palette, "more", "SegmentationObject")
    (root / "VOC" / "ImageSets" / "Segmentation").mkdir(parents=True)
    for name, numbers in lists.items():
        lines = "".join(f"s{number:02d}\n" for number in numbers)
        (root / "VOC" / "ImageSets" / "Segmentation" / f"{name}.txt").write_text(lines)
    return root


def test_voc_lists_say_the_splits(tmp_path):
    data = load(voc(tmp_path, {"train": range(7), "val": range(7, 10), "trainval": range(10), "test": (90,)}))
    assert (len(data.train), len(data.val), len(data.test)) == (6, 3, 1)
    assert any("1 of 1 listed test images" in note for note in data.reading.notes)
    assert data.reading.left_out["masks in no list"] == 2


@pytest.mark.parametrize("ending", ["", " 1", " -1"])
def test_voc_lists_name_pictures_with_spaces(tmp_path, ending):
    save(tmp_path, as_palette, "JPEGImages", "SegmentationClass")
    for file in tmp_path.glob("*/*.png"):
        file.rename(file.with_stem(f"my {file.stem} 0"))
    (tmp_path / "ImageSets" / "Segmentation").mkdir(parents=True)
    for split, numbers in {"train": range(8), "val": range(8, 10), "test": range(10, 12)}.items():
        lines = "".join(f"my s{number:02d} 0{ending}\n" for number in numbers)
        (tmp_path / "ImageSets" / "Segmentation" / f"{split}.txt").write_text(lines)
    data = load(tmp_path)
    assert (len(data.train), len(data.val), len(data.test)) == (8, 2, 2)
    assert data.reading.left_out == {}


def test_voc_names_its_classes_in_its_lists(tmp_path):
    voc(tmp_path, {"trainval": range(12)})
    (tmp_path / "VOC" / "ImageSets" / "Main").mkdir()
    for name in ("dog", "cat"):
        (tmp_path / "VOC" / "ImageSets" / "Main" / f"{name}_train.txt").write_text("s01 1\n")
    data = load(tmp_path)
    assert data.class_names == ("background", "cat", "dog")
    assert sum(map(len, (data.train, data.val, data.test))) == 12


def packed(image):
    file = io.BytesIO()
    image.save(file, "PNG")
    return {"bytes": file.getvalue(), "path": None}


def test_parquet_says_what_folders_say(tmp_path):
    rows = [scene(number) for number in range(SCENES)]
    table = pa.table({"image": [packed(r[0]) for r in rows], "mask": [packed(as_index(r[1])) for r in rows]})
    pq.write_table(
        table.replace_schema_metadata({"classes": json.dumps(["a", "b", "c"])}), tmp_path / "x.parquet"
    )
    data = load(tmp_path / "x.parquet")
    assert data.class_names == ("a", "b", "c")
    plain = pairs(load(save(tmp_path / "plain")))
    assert all((plain[image] == mask).all() for image, mask in pairs(data).items())


@pytest.mark.parametrize("split", ["validation", "test"])
def test_a_split_without_rows_is_refused(tmp_path, split):
    rows = [scene(number) for number in range(SCENES)]
    table = pa.table({"image": [packed(r[0]) for r in rows], "mask": [packed(as_index(r[1])) for r in rows]})
    pq.write_table(table, tmp_path / "train.parquet")
    pq.write_table(table.slice(0, 0), tmp_path / f"{split}.parquet")
    with pytest.raises(DataError, match=f"every split must have images, but .* none for {split[:3]}.*: add"):
        load(tmp_path)


def test_what_is_alone_is_counted_and_named(tmp_path):
    save(tmp_path, ending="_mask")
    (tmp_path / "masks" / "s03_mask.png").rename(tmp_path / "masks" / "t03.png")
    data = load(tmp_path)
    assert data.reading.left_out == {"without a mask": 1, "masks without a picture": 1}
    assert any("images/s03.png" in note for note in data.reading.notes)


def test_a_class_that_training_does_not_show_is_said(tmp_path):
    save(tmp_path)
    (tmp_path / "labels.txt").write_text("sky\ncat\ndog\nhorse\n")
    data = load(tmp_path)
    assert any("the train split shows nothing of horse: nothing is learnt" in n for n in data.reading.notes)


def test_masks_of_half_the_size_are_scaled_and_said(tmp_path):
    data = load(save(tmp_path, lambda mask: as_index(mask[::2, ::2])))
    assert any("12 masks are of another size" in note for note in data.reading.notes)


def test_copies_between_splits_and_with_different_masks_are_said(tmp_path):
    save(tmp_path, images="train/images", masks="train/masks")
    save(tmp_path, lambda mask: as_index(mask // 2), "test/images", "test/masks", numbers=range(2))
    notes = " ".join(load(tmp_path).reading.notes)
    assert "2 of 2 test images are also" in notes
    assert "with different labels" in notes


def jpeg(root):
    save(root)
    for file in (root / "masks").iterdir():
        Image.open(file).save(file.with_suffix(".jpg"))
        file.unlink()


def unlisted(root):
    save(root)
    (root / "classes.txt").write_text("sky\ncat\n")


def smooth(mask):
    return as_colours(mask).resize((20, 15)).resize((48, 32))


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (jpeg, "keeps every pixel.*is JPEG"),
        (unlisted, "every value of a mask must have a name, but .* 2 and there are 2 names"),
        (lambda root: save(root, as_colours), "colours of masks must be listed, but .*labels.txt"),
        (lambda root: save(root, lambda mask: as_index(mask.T.copy())), "shape of its picture.*48x32.*32x48"),
        (lambda root: save(root, lambda mask: as_index(mask * 90)), "class numbers from 0, but"),
        (lambda root: save(root, lambda mask: as_index(mask * 0)), "all pixels in .* that count are 0"),
        (
            lambda root: save(root, lambda mask: as_index(mask * 0 + 255)),
            "all pixels in .* are 255, void: give masks",
        ),
        (lambda root: save(root, lambda mask: Image.fromarray(mask.astype(np.uint16) * 500)), "not objects"),
        (lambda root: save(root, numbers=range(3)), "at least 5 training images, but .* has 3"),
        (lambda root: save(root, masks="other"), "12 images and 0 masks|24 images and 0 masks"),
        (lambda root: save(root, ending="x"), "same name, but of 12"),
        (lambda root: None, "0 images and 0 masks"),
    ],
)
def test_what_has_no_plain_meaning_is_refused(tmp_path, make, said):
    make(tmp_path)
    with pytest.raises(DataError, match=said):
        load(tmp_path)


def test_smoothed_colours_are_refused(tmp_path):
    save(tmp_path, smooth)
    (tmp_path / "labels.txt").write_text("sky 0 0 0\ncat 128 0 0\ndog 0 128 0\n")
    with pytest.raises(DataError, match="do not smooth masks"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("sky 0 0 0\ncat\n", "all classes must have a colour, or none"),
        ("sky 0 0 0\ncat 0 0 0\n", "is another's as well"),
        ("sky 0 0 0\ncat 0 300 0\n", "no colour of 8 bits"),
        ("sky\nSky\n", "look the same"),
    ],
)
def test_lists_of_classes_that_cannot_be_meant_are_refused(tmp_path, text, said):
    save(tmp_path)
    (tmp_path / "labels.txt").write_text(text)
    with pytest.raises(DataError, match=said):
        load(tmp_path)


def test_other_sources_are_refused(tmp_path):
    (tmp_path / "a.zip").write_bytes(b"PK")
    for source, said in ((tmp_path / "none", "no such path"), (tmp_path / "a.zip", "another file")):
        with pytest.raises(DataError, match=said):
            load(source)


@pytest.mark.skipif(not NUCLEI.is_dir(), reason="../shared/data/nuclei is not there")
def test_nuclei():
    data = segmentation.load(NUCLEI, resolution=64)
    assert data.class_names == ("background", "nucleus")
    assert (len(data.train), len(data.val), len(data.test)) == (214, 54, 66)
    assert 0.05 < (data.train.labels == 1).mean() < 0.4


def with_palette(mask, colours):
    """The numbers of a mask under the given colours."""
    image = as_palette(mask)
    image.putpalette([value for colour in colours for value in colour] + [0] * (768 - 3 * len(colours)))
    return image


def test_a_palette_that_contradicts_the_list_is_not_taken_for_numbers(tmp_path):
    """The first two colours are classes of the list, under other numbers."""
    save(tmp_path, lambda mask: with_palette(mask, [(128, 0, 0), (0, 128, 0), (1, 1, 1)]))
    (tmp_path / "labels.txt").write_text("sky 0 0 0\ncat 128 0 0\ndog 0 128 0\n")
    with pytest.raises(DataError, match=r"every colour of a mask must be listed, but .* the colour 1 1 1"):
        load(tmp_path)


def test_palettes_that_disagree_are_not_taken_for_numbers(tmp_path):
    """As of ``convert("P", palette=ADAPTIVE)``, which numbers the colours of each picture anew."""
    red, green = (255, 0, 0), (0, 255, 0)
    save(tmp_path, lambda mask: with_palette(mask, [(0, 0, 0), red, green]), numbers=range(SCENES - 1))
    picture, mask, _ = scene(SCENES - 1)
    picture.save(tmp_path / "images/odd.png")
    with_palette(mask, [(0, 0, 0), green, red]).save(tmp_path / "masks/odd.png")
    with pytest.raises(
        DataError, match=r"palettes of masks must agree, but [12] is .* list the colours of the"
    ):
        load(tmp_path)
    (tmp_path / "labels.txt").write_text("sky 0 0 0\ncat 255 0 0\ndog 0 255 0\n")
    assert load(tmp_path).class_names == ("sky", "cat", "dog")


def test_a_grey_palette_disagrees_with_none(tmp_path):
    greys = [(number,) * 3 for number in range(256)]
    save(tmp_path, numbers=range(6))
    for number in range(6, SCENES):
        picture, mask, _ = scene(number)
        picture.save(tmp_path / f"images/s{number:02d}.png")
        (with_palette(mask, greys) if number % 2 else as_palette(mask)).save(
            tmp_path / f"masks/s{number:02d}.png"
        )
    found = {mask.tobytes() for mask in pairs(load(tmp_path)).values()}
    assert found == {expected(number).tobytes() for number in range(SCENES)}


def test_gif_masks_are_refused_where_their_numbers_would_count(tmp_path):
    save(tmp_path)
    for file in (tmp_path / "masks").glob("*.png"):
        Image.open(file).save(file.with_suffix(".gif"))
        file.unlink()
    with pytest.raises(
        DataError, match=r"must keep every number, but .* is GIF, whose colours are renumbered"
    ):
        load(tmp_path)


@pytest.mark.parametrize("folder", ["JPEGImages", "SegmentationClass"])
def test_two_files_of_one_name_in_a_voc_folder_are_refused(tmp_path, folder):
    voc(tmp_path, {})
    file = next((tmp_path / "VOC" / folder).glob("*.png"))
    Image.open(file).convert("RGB").save(file.with_suffix(".bmp"))
    with pytest.raises(DataError, match=r"must have a name of their own, but .* have the same: remove one"):
        load(tmp_path)


def test_pictures_without_a_mask_in_a_voc_folder_without_lists_are_said(tmp_path, caplog):
    voc(tmp_path, {})
    for file in sorted((tmp_path / "VOC/SegmentationClass").glob("*.png"))[:2]:
        file.unlink()
    data = load(tmp_path)
    assert len(data.train) + len(data.val) + len(data.test) == SCENES - 2
    assert "2 images have no mask and are not used (s00, s01)" in caplog.text
