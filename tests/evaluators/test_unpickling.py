"""What is built of a pickle, and that nothing else is."""

from __future__ import annotations

import io
import os
import pickle
from collections import OrderedDict, defaultdict

import numpy as np
import pytest
import torch

from hwnas.errors import DataError
from hwnas.evaluators.tabular.unpickling import is_torch, read_pickle, read_torch

PLAIN = {
    "none": None,
    "numbers": [1, -2.5, True, 10**30],
    "text": ("a", b"bytes", ""),
    "sets": [{1, 2}, frozenset({3})],
    ("cifar10", 777): OrderedDict([("b", 1), ("a", 2)]),
    "default": defaultdict(list, {"x": [1]}),
}
RAN = []


class Malicious:
    """Runs something where it is unpickled."""

    def __init__(self, function, *given):
        self.function, self.given = function, given

    def __reduce__(self):
        return self.function, self.given


def ran(*given):
    RAN.append(given)


class Local:
    def __setstate__(self, state):
        RAN.append(state)


def loaded(content, protocol):
    return read_pickle(io.BytesIO(pickle.dumps(content, protocol=protocol)), "it")


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_containers_numbers_and_arrays_are_built(protocol):
    assert loaded(PLAIN, protocol) == PLAIN
    arrays = [
        np.arange(6, dtype=np.int64).reshape(2, 3),
        np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        np.array([1.5], dtype=">f4"),
        np.array(True),
        np.zeros((0, 3)),
    ]
    for array, found in zip(arrays, loaded(arrays, protocol), strict=True):
        np.testing.assert_array_equal(found, array)
        assert found.dtype.newbyteorder("=") == array.dtype.newbyteorder("=")
    assert loaded([np.float64(0.1), np.float32(0.5), np.int64(-3)], protocol) == [0.1, 0.5, -3]


@pytest.mark.parametrize("protocol", [0, 1, 2, 4, 5])
@pytest.mark.parametrize(
    ("content", "named"),
    [
        (Malicious(os.system, "touch {}"), "posix.system"),
        (Malicious(eval, "RAN.append(1)"), "eval"),
        (Malicious(ran, 1), "test_unpickling.ran"),
        (Local(), "test_unpickling.Local|_reconstructor"),
        (Malicious(getattr, {}, "clear"), "getattr"),
        (Malicious(np.load, "a.npy"), "numpy"),
        (Malicious(torch.load, "a.pt"), "torch"),
        (Malicious(pickle.loads, b"N."), "pickle.loads"),
        (np.array([object], dtype=object)[:0], "no numbers"),
    ],
)
def test_all_else_is_refused_by_its_name_and_nothing_runs(content, named, protocol, tmp_path):
    RAN.clear()
    if isinstance(content, Malicious) and content.given == ("touch {}",):
        content = Malicious(os.system, f"touch {tmp_path / 'ran'}")
    with pytest.raises(DataError, match=named):
        loaded({"a": [1, content]}, protocol)
    assert (RAN, list(tmp_path.iterdir())) == ([], [])


@pytest.mark.parametrize(
    "program",
    [
        b"cnumpy\ndtype\n(NN)\x86b.",  # an attribute of what stands for a name
        b"cnumpy\ndtype\n(X\x02\x00\x00\x00O8I0\nI1\ntR.",  # an array of objects
        b"cnumpy\ndtype\n(X\x02\x00\x00\x00f8tR(I3\nX\x01\x00\x00\x00<(X\x01\x00\x00\x00atNNtb.",  # fields
        b"cnumpy.core.multiarray\n_reconstruct\n(tR(I1\n(I9\ntNI0\nC\x01atb.",  # no type
        b"ctorch._utils\n_rebuild_tensor_v2\n((I9\ntI0\n(I1\nt(I1\nttR.",  # no storage
        b"ctorch.storage\n_load_from_bytes\n(C\x01atR.",
        b"(X\x07\x00\x00\x00storagecnumpy\ndtype\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpuI9\ntQ.",
        b"\x82\x01.",  # the registry of extensions
        b"N",
        b"",
        b"\x80\x09.",
        b"garbage",
    ],
)
def test_programs_that_nobody_publishes_are_refused(program):
    with pytest.raises(DataError, match="a benchmark's pickle must"):
        read_pickle(io.BytesIO(program), "it")


def test_every_cut_of_a_file_is_refused():
    whole = pickle.dumps([PLAIN["text"], np.arange(3.0)], protocol=4)
    for end in range(len(whole)):
        with pytest.raises(DataError, match="must be whole"):
            read_pickle(io.BytesIO(whole[:end]), "it")


@pytest.mark.parametrize("is_zip", [True, False])
def test_what_torch_saved_is_read_as_torch_reads_it(is_zip, tmp_path):
    path = tmp_path / "a.pth"
    base = torch.arange(24, dtype=torch.float32).reshape(4, 6)
    content = {
        "plain": PLAIN,
        "scalar": np.float64(0.5),
        "tensors": OrderedDict(
            view=base[1:3, ::2].t(), same=base, empty=torch.zeros(0, 2), one=torch.tensor(7)
        ),
        "shape": base.shape,
    }
    torch.save(content, path, _use_new_zipfile_serialization=is_zip)
    assert is_torch(path.read_bytes()[:512])
    found = read_torch(path)
    assert (found["plain"], found["scalar"], found["shape"]) == (content["plain"], 0.5, (4, 6))
    for name, tensor in content["tensors"].items():
        np.testing.assert_array_equal(found["tensors"][name], tensor.numpy())
    for end in (0, 1, 100, path.stat().st_size // 2, path.stat().st_size - 1):
        cut = tmp_path / "cut.pth"
        cut.write_bytes(path.read_bytes()[:end])
        with pytest.raises(DataError, match="must be whole"):
            read_torch(cut)


@pytest.mark.parametrize("is_zip", [True, False])
def test_torch_files_of_other_things_are_refused(is_zip, tmp_path):
    path = tmp_path / "a.pth"
    for content, named in ((torch.nn.Linear(1, 1), "Linear"), (Malicious(ran, 1), "ran")):
        torch.save(content, path, _use_new_zipfile_serialization=is_zip)
        with pytest.raises(DataError, match=named):
            read_torch(path)
    assert RAN == []


def six_numbers():
    zeros = torch.zeros(6).untyped_storage()
    return torch.storage.TypedStorage(wrap_storage=zeros, dtype=torch.float32, _internal=True)


def view(storage, offset, shape, stride):
    return Malicious(torch._utils._rebuild_tensor_v2, storage, offset, shape, stride, False, OrderedDict())


@pytest.mark.parametrize(
    ("offset", "shape", "stride"),
    [
        (0, (7,), (1,)),
        (6, (1,), (1,)),
        (0, (2, 3), (4, 1)),
        (-1, (1,), (1,)),
        (0, (2,), (-1,)),
        (0, (2,), (1, 1)),
    ],
)
def test_a_tensor_of_more_than_is_stored_is_refused(offset, shape, stride, tmp_path):
    """A view beyond its six numbers would read whatever stands there in memory."""

    path = tmp_path / "a.pth"
    torch.save(view(six_numbers(), offset, shape, stride), path)
    with pytest.raises(DataError, match="must be whole"):
        read_torch(path)


def test_a_view_of_a_view_is_refused(tmp_path):
    """One number that looks like a thousand is no place to read a thousand from."""
    path = tmp_path / "a.pth"
    many = view(six_numbers(), 0, (1000,), (0,))
    torch.save(many, path)
    assert read_torch(path).tolist() == [0.0] * 1000
    torch.save(view(many, 0, (1000,), (1,)), path)
    with pytest.raises(DataError, match="of other numbers than it has"):
        read_torch(path)


def test_a_zip_file_with_a_password_is_refused(tmp_path):
    path = tmp_path / "a.pth"
    torch.save([1], path)
    content = bytearray(path.read_bytes())
    for place in range(len(content) - 4):
        flags = {b"PK\x03\x04": 6, b"PK\x01\x02": 8}.get(bytes(content[place : place + 4]))
        if flags is not None:
            content[place + flags] |= 1
    path.write_bytes(content)
    with pytest.raises(DataError, match="must be whole"):
        read_torch(path)
