import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from hwnas import data
from hwnas.data.augment import augment
from hwnas.data.batches import Batches, steps_per_epoch
from hwnas.errors import DataError


def picture(shade, size=(20, 12)):
    noise = np.random.default_rng(shade).integers(0, 60, (size[1], size[0], 3))
    return Image.fromarray(np.clip(noise + shade, 0, 255).astype(np.uint8))


def image_folder(root, counts):
    for name, count in counts.items():
        (root / name).mkdir(parents=True)
        for number in range(count):
            picture(10 * number).save(root / name / f"{number}.png")
    return root


@pytest.fixture(scope="module")
def digits():
    return data.load("digits", resolution=16)


def rows(split):
    return {image.tobytes() + bytes([label]) for image, label in zip(split.images, split.labels, strict=True)}


def test_digits_are_divided_without_overlap_and_without_loss(digits):
    splits = [digits.train, digits.val, digits.test]
    assert sum(len(s) for s in splits) == 1797
    assert not rows(digits.train) & rows(digits.test)
    assert not rows(digits.val) & (rows(digits.train) | rows(digits.test))
    assert digits.class_names == tuple("0123456789")
    assert digits.image_shape == (3, 16, 16)
    assert not digits.flip


def test_every_split_has_the_same_mix_of_classes(digits):
    for split in (digits.train, digits.val, digits.test):
        shares = np.bincount(split.labels, minlength=10) / len(split)
        assert np.abs(shares - 0.1).max() < 0.02


def test_the_seed_alone_decides_the_splits(digits):
    assert data.load("digits", resolution=16).fingerprint == digits.fingerprint
    assert data.load("digits", resolution=16, seed=1).fingerprint != digits.fingerprint
    assert data.load("digits", resolution=8).fingerprint != digits.fingerprint


def test_statistics_are_those_of_the_training_split(digits):
    scaled = digits.train.images / 255
    np.testing.assert_allclose(digits.mean, scaled.mean(axis=(0, 2, 3)), rtol=1e-5)
    np.testing.assert_allclose(digits.std, scaled.std(axis=(0, 2, 3)), rtol=1e-5)
    normal = digits.normalize(digits.train.images)
    assert normal.dtype == np.float32
    assert abs(normal.mean()) < 1e-3
    assert abs(normal.std() - 1) < 1e-3


def test_a_folder_without_a_test_part_is_split(tmp_path):
    root = image_folder(tmp_path / "pets", {"cat": 10, "dog": 20})
    found = data.load(root, resolution=16)
    assert found.class_names == ("cat", "dog")
    assert (len(found.train), len(found.val), len(found.test)) == (19, 5, 6)
    assert found.flip
    assert found.name == str(root.resolve())


def test_a_folder_with_a_test_part_keeps_it(tmp_path):
    image_folder(tmp_path / "train", {"cat": 10, "dog": 10})
    image_folder(tmp_path / "test", {"cat": 3, "dog": 4})
    found = data.load(tmp_path, resolution=16)
    assert np.bincount(found.test.labels).tolist() == [3, 4]
    assert len(found.train) + len(found.val) == 20


def test_a_picture_is_cropped_at_its_centre_not_squeezed(tmp_path):
    image_folder(tmp_path, {"cat": 5, "dog": 5})
    wide = np.zeros((16, 48, 3), np.uint8)
    wide[:, 16:32] = 255
    for name in ("cat", "dog"):
        Image.fromarray(wide).save(tmp_path / name / "0.png")
    found = data.load(tmp_path, resolution=16)
    brightest = max(s.images.min(axis=(1, 2, 3)).max() for s in (found.train, found.val, found.test))
    assert brightest == 255


def test_npz_with_and_without_its_own_test_images(tmp_path):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 255, (40, 12, 12, 1), dtype=np.uint8)
    labels = np.arange(40) % 4
    np.savez(tmp_path / "a.npz", images=images, labels=labels)
    np.savez(tmp_path / "b.npz", x_train=images, y_train=labels, x_test=images[:6], y_test=labels[:6])
    assert len(data.load(tmp_path / "a.npz", resolution=12).test) == 8
    found = data.load(tmp_path / "b.npz", resolution=12)
    np.testing.assert_array_equal(found.test.images[:, 0], images[:6, :, :, 0])


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"pictures": np.zeros((4, 8, 8), np.uint8)}, "must hold images and labels"),
        ({"images": np.zeros((9, 8, 8), np.uint8), "labels": np.zeros(8, int)}, "9 images and 8 labels"),
        ({"images": np.full((9, 8, 8), 1.5), "labels": np.arange(9)}, "must be uint8"),
        ({"images": np.zeros((9, 3, 8, 8), np.uint8), "labels": np.arange(9)}, "height, width, 1 or 3"),
        ({"images": np.zeros((9, 8, 8), np.uint8), "labels": np.arange(9) - 1}, "whole numbers from 0"),
        ({"images": np.zeros((9, 8, 8), np.uint8), "labels": np.arange(9)}, "has 1: add images"),
        ({"images": np.zeros((12, 8, 8), np.uint8), "labels": np.arange(12) % 2}, "must differ"),
    ],
)
def test_unfit_arrays_are_refused_in_one_sentence(tmp_path, arrays, message):
    np.savez(tmp_path / "x.npz", **arrays)
    with pytest.raises(DataError, match=message):
        data.load(tmp_path / "x.npz", resolution=8)


def test_images_of_one_dye_are_read_and_their_empty_channels_noted(tmp_path):
    images = np.zeros((60, 8, 8, 3), np.uint8)
    images[..., 1] = np.random.default_rng(0).integers(0, 256, (60, 8, 8))
    np.savez(tmp_path / "x.npz", images=images, labels=np.arange(60) % 2)
    found = data.load(tmp_path / "x.npz", resolution=8)
    assert found.std[0] == found.std[2] == 1.0
    assert found.std[1] == pytest.approx(0.289, abs=0.02), "of whole numbers that are all as likely"
    assert (
        "channel 0, 2 of 3 is the same in all training images: nothing is learnt of it" in found.reading.notes
    )


def test_pickled_arrays_are_refused(tmp_path):
    np.savez(tmp_path / "x.npz", images=np.array([{}, {}], dtype=object), labels=np.arange(2))
    with pytest.raises(DataError, match="without objects"):
        data.load(tmp_path / "x.npz", resolution=8)


def test_an_unreadable_image_is_named(tmp_path):
    root = image_folder(tmp_path, {"cat": 6, "dog": 6})
    (root / "dog" / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 not a picture")
    with pytest.raises(DataError, match=r"broken\.jpg"):
        data.load(root, resolution=16)


def test_a_truncated_image_is_named(tmp_path):
    root = image_folder(tmp_path, {"cat": 6, "dog": 6})
    whole = (root / "cat" / "3.png").read_bytes()
    (root / "cat" / "3.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"3\.png is not: .*: get it again, or remove it"):
        data.load(root, resolution=16)


def test_one_class_only_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"at least two classes, but .* has \['cat'\]"):
        data.load(image_folder(tmp_path, {"cat": 9}), resolution=16)


def test_a_class_with_too_few_images_is_refused_by_name(tmp_path):
    with pytest.raises(DataError, match=r"'dog'.* has 4"):
        data.load(image_folder(tmp_path, {"cat": 9, "dog": 4}), resolution=16)


def test_a_class_that_only_the_test_part_has_is_refused(tmp_path):
    image_folder(tmp_path / "train", {"cat": 6, "dog": 6})
    image_folder(tmp_path / "test", {"cat": 2, "cow": 2})
    with pytest.raises(DataError, match=r"same classes.*cow"):
        data.load(tmp_path, resolution=16)


@pytest.mark.parametrize("source", ["nowhere", "/no/such/folder"])
def test_a_source_that_is_not_there_is_refused(source):
    with pytest.raises(DataError, match="no such path"):
        data.load(source, resolution=16)


def test_a_folder_without_classes_is_refused(tmp_path):
    with pytest.raises(DataError, match="one sub-folder a class"):
        data.load(tmp_path, resolution=16)


def parquet_folder(root, labels, columns=("image", "label")):
    import io

    import pyarrow
    import pyarrow.parquet

    blobs = []
    for number in range(len(labels)):
        buffer = io.BytesIO()
        picture(5 * number, (16, 16)).save(buffer, "PNG")
        blobs.append({"bytes": buffer.getvalue(), "path": f"{number}.png"})
    table = pyarrow.table(dict(zip(columns, (blobs, labels), strict=True)))
    pyarrow.parquet.write_table(table, root / "train.parquet")


def test_parquet_without_a_test_file_is_split(tmp_path):
    parquet_folder(tmp_path, [0, 1] * 10)
    found = data.load(tmp_path, resolution=16)
    assert (len(found.train), len(found.val), len(found.test)) == (12, 4, 4)
    assert found.class_names == ("0", "1")


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        (("img", "fine_label"), "must hold the columns .* but holds img, fine_label$"),
        (("image", "mask"), "but holds image, mask: give segmentation as the task"),
    ],
)
def test_parquet_of_other_columns_is_refused(tmp_path, columns, said):
    parquet_folder(tmp_path, [0, 1] * 10, columns=columns)
    with pytest.raises(DataError, match=said):
        data.load(tmp_path, resolution=16)


@pytest.mark.slow
def test_cifar10_reads_as_published(shared_data):
    found = data.load(shared_data / "cifar10", resolution=32, val_share=0.1)
    assert (len(found.train), len(found.val), len(found.test)) == (45_000, 5_000, 10_000)
    assert np.bincount(found.test.labels).tolist() == [1000] * 10
    np.testing.assert_allclose(found.mean, (0.4914, 0.4822, 0.4465), atol=0.004)


def test_batches_are_normalised_and_in_channels_last(digits):
    import torch

    images, labels = next(Batches(digits).ordered("val", 50))
    assert images.dtype == torch.float32
    assert images.is_contiguous(memory_format=torch.channels_last)
    np.testing.assert_allclose(images.numpy(), digits.normalize(digits.val.images[:50]), atol=1e-5)
    assert labels.tolist() == digits.val.labels[:50].tolist()


def test_a_lower_resolution_is_a_proxy_of_the_same_images(digits):
    images, _ = next(Batches(digits, resolution=8).ordered("train", 64))
    full, _ = next(Batches(digits).ordered("train", 64))
    assert images.shape == (64, 3, 8, 8)
    means = np.corrcoef(images.mean((1, 2, 3)).numpy(), full.mean((1, 2, 3)).numpy())
    assert means[0, 1] > 0.999


def test_an_epoch_shows_every_image_once_and_augments_by_seed(digits):
    batches = Batches(digits)
    first = list(batches.epoch("train", 64, np.random.default_rng(3)))
    again = list(batches.epoch("train", 64, np.random.default_rng(3)))
    assert len(first) == steps_per_epoch(len(digits.train), 64)
    labels = np.concatenate([y.numpy() for _, y in first])
    assert (np.bincount(labels) == np.bincount(digits.train.labels)).all()
    assert all((a == b).all() and (x == y).all() for (a, x), (b, y) in zip(first, again, strict=True))


def test_augmentation_shifts_by_at_most_an_eighth_and_mirrors_only_on_request():
    import torch

    image = torch.zeros(400, 1, 16, 16, dtype=torch.uint8)
    image[:, :, 8, 3] = 200
    places = {}
    for flip in (False, True):
        shifted = augment(image, np.random.default_rng(0), flip=flip)
        assert shifted.is_contiguous(memory_format=torch.channels_last)
        assert (shifted.sum((1, 2, 3)) == 200).all()
        places[flip] = {tuple(p) for p in shifted[:, 0].nonzero()[:, 1:].tolist()}
    assert places[False] == {(y, x) for y in range(6, 11) for x in range(1, 6)}
    assert places[True] == places[False] | {(y, 15 - x) for y, x in places[False]}


def test_a_missing_file_of_a_split_is_no_smaller_split(tmp_path):
    for name in ("train-00000-of-00002", "test-00000-of-00001"):
        table = {"image": [{"bytes": b"x", "path": None}], "label": [0]}
        pq.write_table(pa.table(table), tmp_path / f"{name}.parquet")
    with pytest.raises(DataError, match="of train there are 1 of 2: fetch the others"):
        data.load(tmp_path, resolution=16)


@pytest.mark.parametrize("number", ["0", "99", "99999999999", "-5", "x"])
def test_numbers_of_drawn_images_have_both_bounds(number):
    with pytest.raises(DataError, match="from 100 to 999,999,999"):
        data.load(f"clutter:{number}", resolution=16)


@pytest.mark.parametrize(
    ("names", "same"),
    [
        (("Dog", "dog"), True),
        (("dog ", "dog"), True),
        (("d\u00e9j\u00e0", "de\u0301ja\u0300"), True),
        (("dog\u00a0one", "dog one"), True),
        (("\ufb01sh", "fish"), True),
        (("a", "A"), False),  # letters are classes of their own
        (("dog", "dogs"), False),
        (("a", "a"), True),
        (("dog", "".join("dog")), True),
        (("\u0645\u06cc\u200c\u062e", "\U0001f469\u200d\U0001f4bb"), False),  # written with joiners
        (("\u0645\u06cc\u200c\u062e", "\u0645\u06cc\u062e"), True),
    ],
)
def test_names_that_look_the_same_are_refused(names, same):
    from hwnas.data.names import check_class_names
    from hwnas.errors import DataError

    if same:
        with pytest.raises(DataError, match="look the same"):
            check_class_names(names)
    else:
        assert check_class_names(names) == names


@pytest.mark.parametrize("word", ["nan", "None", " ", "", "<NA>"])
def test_words_that_stand_for_no_label_are_refused(tmp_path, word):
    images = np.random.default_rng(0).integers(0, 256, (40, 8, 8, 3)).astype(np.uint8)
    np.savez(tmp_path / "a.npz", images=images, labels=np.array([word, "cat", "dog", "cow"] * 10))
    with pytest.raises(DataError, match=r"stand for none|one line"):
        data.load(tmp_path / "a.npz", resolution=8)
