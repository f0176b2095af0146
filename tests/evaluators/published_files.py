"""Small files in the forms that benchmarks are published in, made with what their publishers used."""

from __future__ import annotations

import base64
import bz2
import io
import json
import pickle
import struct
import tarfile
from collections import OrderedDict
from itertools import product

import numpy as np

from hwnas.blocks import Conv, Head, MBConv
from hwnas.evaluators.tabular.nasbench201 import OPERATIONS
from hwnas.space import Choice, SearchSpace

SEEDS = {
    "cifar10-valid": (777, 888),
    "cifar10": (777,),
    "cifar100": (777, 888, 999),
    "ImageNet16-120": (777,),
}
SPLITS = {
    "cifar10-valid": ("x-valid", "ori-test"),
    "cifar10": ("ori-test",),
    "cifar100": ("x-valid", "x-test", "ori-test"),
    "ImageNet16-120": ("x-valid", "x-test", "ori-test"),
}


def cell_text(operations):
    """As NAS-Bench-201 writes it."""
    names = [OPERATIONS[number] for number in operations]
    nodes, start = [], 0
    for node in (1, 2, 3):
        edges = "|".join(f"{name}~{source}" for source, name in enumerate(names[start : start + node]))
        nodes.append(f"|{edges}|")
        start += node
    return "+".join(nodes)


def percent(operations, dataset, seed, split="x-test"):
    """What a made-up training reached; a function of what it is of."""
    return 50 + sum(operations) % 37 + len(dataset) / 10 + (seed % 7) / 100 + len(split) / 1000


def results(arch, number, operations, epochs):
    """``ArchResults`` of NAS-Bench-201 and NATS-Bench as a dictionary, with NumPy's scalars in it."""
    found = {}
    for dataset, seeds in SEEDS.items():
        for seed in seeds:
            accuracies = OrderedDict(
                (f"{split}@{epoch}", percent(operations, dataset, seed, split) - (epochs - 1 - epoch))
                for split in SPLITS[dataset]
                for epoch in range(epochs)
            )
            found[dataset, seed] = {
                "name": "infer.tiny",
                "net_state_dict": None,
                "train_acc1es": OrderedDict((epoch, 99.0) for epoch in range(epochs)),
                "train_acc5es": None,
                "params": np.float64(0.1),
                "flop": 15.6,
                "seed": seed,
                "epochs": epochs,
                "latency": [0.01, 0.02],
                "arch_config": {"channel": 16, "num_cells": 5, "arch_str": arch, "class_num": 10},
                "eval_names": list(SPLITS[dataset]),
                "eval_acc1es": accuracies,
                "eval_times": {},
                "eval_losses": dict.fromkeys(accuracies, 0.5),
            }
    return {
        "arch_index": number,
        "arch_str": arch,
        "all_results": found,
        "dataset_seed": {dataset: list(seeds) for dataset, seeds in SEEDS.items()},
        "clear_net_done": True,
    }


def nasbench201(cells):
    """The dictionary of ``NAS-Bench-201-*.pth``; trainings of 12 and of 200 epochs are 1 and 3 here."""
    archs = [cell_text(cell) for cell in cells]
    infos = OrderedDict(
        (number, {"less": results(arch, number, cell, 1), "full": results(arch, number, cell, 3)})
        for number, (arch, cell) in enumerate(zip(archs, cells, strict=True))
    )
    return {"meta_archs": archs, "arch2infos": infos, "evaluated_indexes": set(range(len(cells)))}


def packed(content):
    """A pickle in bzip2, as NATS-Bench writes it."""
    return bz2.compress(pickle.dumps(content, protocol=4))


def nats(archs, numbers, hps=("12", "200")):
    """Files of an archive by name; trainings of 12 and of 200 epochs are 1 and 3 here."""
    found = {"meta.pickle.pbz2": packed({"meta_archs": archs, "total_archs": len(archs)})}
    for number, (arch, chosen) in enumerate(zip(archs, numbers, strict=True)):
        infos = {hps[0]: results(arch, number, chosen, 1), hps[1]: results(arch, number, chosen, 3)}
        found[f"{number:06d}.pickle.pbz2"] = packed(infos)
    return found


def write_folder(folder, contents):
    folder.mkdir()
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    return folder


def write_tar(path, contents):
    with tarfile.open(path, "w") as archive:
        for name, content in contents.items():
            member = tarfile.TarInfo(f"{path.stem}/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def crc32c(data):
    """Bit by bit, as RFC 3720 defines it."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def tfrecord(records):
    """As TensorFlow writes records."""

    def masked(data):
        crc = crc32c(data)
        return struct.pack("<I", (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF)

    parts = []
    for record in records:
        length = struct.pack("<Q", len(record))
        parts += [length, masked(length), record, masked(record)]
    return b"".join(parts)


def metrics(evaluated):
    """``ModelMetrics`` by Google's own library, of (training time, train, validation, test) a moment."""
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    file = descriptor_pb2.FileDescriptorProto(name="model_metrics.proto", package="nasbench", syntax="proto2")
    kind = descriptor_pb2.FieldDescriptorProto
    data = file.message_type.add(name="EvaluationData")
    names = ("current_epoch", "training_time", "train_accuracy", "validation_accuracy", "test_accuracy")
    for number, name in enumerate(names, start=1):
        data.field.add(name=name, number=number, type=kind.TYPE_DOUBLE, label=kind.LABEL_OPTIONAL)
    data.field.add(name="checkpoint_path", number=6, type=kind.TYPE_STRING, label=kind.LABEL_OPTIONAL)
    whole = file.message_type.add(name="ModelMetrics")
    whole.field.add(
        name="evaluation_data",
        number=1,
        type=kind.TYPE_MESSAGE,
        type_name=".nasbench.EvaluationData",
        label=kind.LABEL_REPEATED,
    )
    whole.field.add(name="trainable_parameters", number=2, type=kind.TYPE_INT32, label=kind.LABEL_OPTIONAL)
    whole.field.add(name="total_time", number=3, type=kind.TYPE_DOUBLE, label=kind.LABEL_OPTIONAL)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    found = message_factory.GetMessageClass(pool.FindMessageTypeByName("nasbench.ModelMetrics"))()
    for moment, (seconds, train, validation, test) in enumerate(evaluated):
        found.evaluation_data.add(
            current_epoch=moment * 54.0,
            training_time=seconds,
            train_accuracy=train,
            validation_accuracy=validation,
            test_accuracy=test,
            checkpoint_path="model.ckpt-1",
        )
    found.trainable_parameters = 8_555_530
    found.total_time = 1234.5
    return found.SerializeToString()


def row101(name, epochs, matrix, operations, validation, test):
    """A record of NAS-Bench-101."""
    adjacency = "".join(str(edge) for row in matrix for edge in row)
    evaluated = [(0.0, 0.1, 0.1, 0.1), (50.0, 0.8, 0.7, 0.69), (100.0, 1.0, validation, test)]
    text = base64.b64encode(metrics(evaluated)).decode("utf-8")
    return json.dumps([name, epochs, adjacency, ",".join(operations), text]).encode("utf-8")


def every_cell():
    """All 15,625."""
    return list(product(range(5), repeat=6))


def stand_in(resolution: int = 8, num_classes: int = 10) -> SearchSpace:
    """Six choices of five candidates, in the place of the cells' space."""
    choices = tuple(
        Choice(
            f"edge{edge}",
            tuple(
                MBConv(8, 8, kernel_size=kernel, expansion_ratio=ratio)
                for kernel, ratio in ((3, 1), (5, 1), (3, 2), (5, 2), (3, 3))
            ),
        )
        for edge in range(6)
    )
    return SearchSpace(
        f"nasbench201-r{resolution}-c{num_classes}",
        (3, resolution, resolution),
        (Conv(3, 8, kernel_size=3),),
        choices,
        (Head(8, 8, num_classes),),
    )
