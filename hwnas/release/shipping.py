"""The export stage of a run folder: trained weights become a folder that ships."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256
from importlib import metadata as packages
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hwnas import __version__, bits, blocks, files, runtimes, spaces, tasks
from hwnas.data import Dataset
from hwnas.errors import ExportError
from hwnas.export import Lowered, lower, metadata, noise, parity
from hwnas.release import cost, int8, preprocessing, probes
from hwnas.release.folder import LABELS, MANIFEST, PREPROCESSING, PROBES
from hwnas.release.images import predicted, public_name, require_same_data
from hwnas.release.keeping import Keeper, KeptLayers
from hwnas.release.manifest import Manifest, ShippedModel
from hwnas.release.stale import require_whole_training
from hwnas.runs import outputs, records
from hwnas.runs.folder import RunFolder
from hwnas.runs.found import SearchRecord
from hwnas.runtimes.base import CPU
from hwnas.space import Architecture
from hwnas.train import load_weights
from hwnas.train.config import in_epochs

if TYPE_CHECKING:
    from torch import nn

    from hwnas.device import Target
    from hwnas.runtimes.base import Runtime
    from hwnas.tasks.base import Example

_INFIX = {"fp32": ""}  # of file names; that of another precision is its name
ALWAYS = ("fp32", "int8")  # precisions of what every export makes
_OFFERED = {
    (runtime.name, precision): f"model{_INFIX.get(precision, f'.{precision}')}{runtime.format.suffix}"
    for runtime in runtimes.exporting()
    for precision in runtime.files
}
_SHIPPING = tuple(runtime.name for runtime in runtimes.shipping())
VARIANTS = {
    variant: file for variant, file in _OFFERED.items() if variant[0] in _SHIPPING and variant[1] in ALWAYS
}
EXAMPLES = tuple(runtime.example for runtime in runtimes.shipping())

_OF_TASK, _SHARED = "# the functions of the task\n", "# what all programs share\n"  # places in an example
_CHECKED_IMAGES = 32  # answers are compared on these, which set no ranges


def is_for(target: Target, model: ShippedModel) -> bool:
    """Whether a shipped file is what a target runs: of its runtime, or of one that reads the same files."""
    if target.file_precision != model.precision:
        return False
    if (target.runtime, target.precision) in VARIANTS:
        return bool(target.runtime == model.runtime)
    known = runtimes.RUNTIMES.get(target.runtime)
    return known is not None and known.format == runtimes.get(model.runtime).format


def read_run(run: Path) -> tuple[Architecture, SearchRecord]:
    """The architecture that a run found, and what ``search.json`` says of how."""
    arch = spaces.architecture_from_json(records.arch(run))
    return arch, records.search(run)


@outputs.alone_in("run", "an export")
def export_run(
    run: Path,
    dataset: Dataset,
    *,
    calibration_images: int = 256,
    licence: str | None = None,
    qat_if_worse: float | None = None,
    qat_epochs: int = 3,
    int8_drop: float = cost.MOST,
    also: Sequence[str] = (),
    keep_int8_loss: float | None = None,
    keep_by: str = bits.NAMES[0],
    layers: bool = False,
    on_variant: Callable[[str], None] = lambda _: None,
) -> Path:
    """Export the trained network of a run in every variant, each checked against PyTorch.

    Beside the models there are the labels, the preprocessing as data (both embedded in every
    model as well), probes, and one example of inference a runtime.

    Args:
        run: Folder with ``arch.json``, ``search.json``, ``train.json``, ``weights.safetensors``.
        dataset: What the network was trained on; its training images calibrate int8.
        calibration_images: How many of them.
        licence: Of the models, which are the user's; goes into the manifest.
        qat_if_worse: Drop of the metric on validation by int8 above which the network is fine-tuned
            under the rounding of int8; the better of both ships. None never does.
        qat_epochs: Passes of that fine-tuning.
        int8_drop: Largest such drop that is accepted: a part of 1 for a share as accuracy, of the fp32
            value for another metric.
        also: Further precisions of files, where a runtime has them; those of the run's budgets are made
            anyway.
        keep_int8_loss: Most that an int8 file may lose on validation, in points of a share, in percent of
            another metric; layers stay in other precisions for it. None keeps none.
        keep_by: Which ones: a strategy of ``hwnas.bits``.
        layers: Whether the manifest tells what int8 does to each layer.
        on_variant: Called with the name of each file that is about to be made.

    Returns:
        The manifest in ``run/export``.

    Raises:
        HwnasError: Something is missing in the run, or ``dataset`` is not the one it used.
        ExportError: A variant does not compute what PyTorch computes, or would not run whole, or int8
            loses more than was accepted, or cannot be kept from it.
    """
    arch, search = read_run(run)
    trained = records.trained(run)
    require_whole_training(run)
    require_same_data(dataset, trained.data)
    folder = RunFolder(run)
    module = blocks.network(arch)
    load_weights(module, folder.weights)
    task = tasks.of(dataset)
    calibration = dataset.normalize(task.sample(dataset, "train", calibration_images).images)
    checked = dataset.normalize(task.sample(dataset, "val", _CHECKED_IMAGES).images)
    rounded: nn.Module = module
    rounding: dict[str, Any] | None = None
    if qat_if_worse is not None:
        on_variant("int8 networks for validation")
        rounded, rounding = int8.tune_run(
            run,
            module,
            dataset,
            trained,
            calibration,
            allowed_loss=qat_if_worse,
            epochs=qat_epochs,
            on_epoch=in_epochs(on_variant, "fine-tuning for int8"),
        )
    variants = wanted(search, also)
    shape = arch.space.input_shape
    kept: dict[str, KeptLayers] = {}
    if keep_int8_loss is not None:
        keeper = Keeper(
            module, rounded, shape, dataset, calibration, keep_int8_loss, by=keep_by, on_step=on_variant
        )
        for name, _ in (variant for variant in variants if variant[1] == "int8"):
            kept[name] = keeper.find(name, bits.of_target(arch, _int8_target(search, name)))
    lowered = {}
    for (name, precision), file in variants.items():
        on_variant(file)
        source = rounded if precision == "int8" else module
        mixed = kept.get(name) if precision == "int8" else None
        lowered[file] = lower(
            source,
            shape,
            name,
            precision,
            calibration=calibration,
            checked=checked,
            judge=task.judged,
            kept=mixed.precisions if mixed else None,
            remedies=mixed.remedies if mixed else (),
        )
    on_variant(f"{task.metric.name} of int8 on validation images")
    small = {name: lowered[file].model for (name, precision), file in variants.items() if precision == "int8"}
    costs = cost.of_models(module, dataset, small, int8_drop)
    noises = (
        noise.of_layers(rounded, shape, calibration, on_layer=lambda text: on_variant(f"noise, {text}"))
        if layers
        else ()
    )
    contents, models = _contents(module, dataset, variants, lowered, kept)
    manifest = Manifest(
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        hwnas=__version__,
        versions=_versions(runtimes.get(name) for name, _ in variants),
        licence=licence,
        began_with=trained.began_with,
        architecture=arch.to_json(),
        macs=arch.macs,
        params=arch.params,
        weights_sha256=files.sha256(folder.weights),
        data=_public(trained.data, dataset),
        device=search.device,
        budgets=search.budgets,
        energy=search.energy,
        task_name=task.name,
        metric=task.metric,
        test_value=trained.test_value,
        learning=predicted(module, dataset, dataset.test).learning,
        settings={
            "calibration_images": calibration_images,
            "qat_if_worse": qat_if_worse,
            "qat_epochs": qat_epochs,
            "int8_drop": int8_drop,
            **({"also": list(also)} if also else {}),
            **({} if keep_int8_loss is None else {"keep_int8_loss": keep_int8_loss, "keep_by": keep_by}),
        },
        models=models,
        int8=rounding,
        int8_costs=tuple(item.to_json() for item in costs),
        int8_kept=tuple(item.to_json() for item in kept.values()),
        int8_layers=tuple(item.to_json() for item in noises),
        files={name: sha256(_bytes(content)).hexdigest() for name, content in contents.items()},
    )
    files.write_folder(folder.export, {**contents, MANIFEST: files.json_text(manifest.to_json())})
    folder.shipping.report.unlink(missing_ok=True)  # it was of the models before these
    return folder.shipping.manifest


def file_name(runtime: str, precision: str) -> str:
    """Name of the file of a runtime and a precision."""
    return _OFFERED[runtime, precision]


def require_offered(precisions: Sequence[str]) -> None:
    """Raise ExportError where no runtime has files in a precision."""
    offered = sorted({precision for _, precision in _OFFERED})
    if odd := [precision for precision in precisions if precision not in offered]:
        raise ExportError(f"files must be in a precision of {', '.join(offered)}, but got {', '.join(odd)}")


def wanted(search: SearchRecord, also: Sequence[str] = ()) -> dict[tuple[str, str], str]:
    """Files of an export by runtime and precision: those of every one, of the budgets, and what is asked for.

    A format that only some runtimes have, as that of ExecuTorch, is made where a budget is on one of them.

    Raises:
        ExportError: There are no files of what is asked for.
    """
    require_offered(also)
    kinds = {*ALWAYS, *also, *(budget.target.file_precision for budget in search.budgets)}
    budgeted = {budget.target.runtime for budget in search.budgets} & set(runtimes.RUNTIMES)
    formats = {runtimes.get(name).format for name in (*_SHIPPING, *budgeted)}
    return {
        (name, precision): file
        for (name, precision), file in _OFFERED.items()
        if precision in kinds and runtimes.get(name).format in formats
    }


def made(folder: Path) -> tuple[Path, ...]:
    """The files of a shipping folder that every export makes, and nothing later touches."""
    return tuple(folder / name for name in (*VARIANTS.values(), *EXAMPLES, LABELS, PREPROCESSING, PROBES))


def _versions(made_for: Iterable[Runtime]) -> dict[str, str]:
    """Of Python, and of the packages that bear on the models of some runtimes."""
    names = dict.fromkeys(("torch", *(name for runtime in made_for for name in runtime.packages), "numpy"))
    return {"python": platform.python_version()} | {name: packages.version(name) for name in names}


def _public(described: Mapping[str, Any], dataset: Dataset) -> dict[str, Any]:
    """What a training says of its data, without the machine, and with the size of a typical picture."""
    size = dataset.reading.picture_size
    named = {**described, "source": public_name(str(described["source"]))}
    return {**named, "picture_size": list(size)} if size else named


def _bytes(content: bytes | str) -> bytes:
    return content.encode() if isinstance(content, str) else content


def _contents(
    module: nn.Module,
    dataset: Dataset,
    variants: Mapping[tuple[str, str], str],
    lowered: Mapping[str, Lowered],
    kept: Mapping[str, KeptLayers],
) -> tuple[dict[str, bytes | str], tuple[ShippedModel, ...]]:
    """Every file of the folder but the manifest, and what the manifest says of the models."""
    quantization = {
        file: found
        for (name, _), file in variants.items()
        if (found := runtimes.get(name).host.quantization(lowered[file].model))
    }
    task = tasks.of(dataset)
    settled = task.settled(lambda: predicted(module, dataset, dataset.val))
    how = preprocessing.describe(dataset, quantization, [name for name, _ in variants], settled)
    labels = task.labels(dataset)
    text = preprocessing.embedded_text(how, labels)
    images = dataset.normalize(probes.images(*dataset.image_shape))
    answers = {probes.PYTORCH: parity.answers(module, images)}
    contents: dict[str, bytes | str] = {}
    models = []
    for (name, precision), file in variants.items():
        contents[file] = model = metadata.embed(lowered[file].model, name, text)
        mixed = dict(kept[name].precisions) if precision == "int8" and name in kept else None
        models.append(_shipped(name, precision, model, lowered[file], mixed))
        if runtimes.PRECISIONS[precision].is_whole:
            answers[file] = runtimes.run(model, name, images)
    contents[LABELS] = preprocessing.label_lines(labels)
    contents[PREPROCESSING] = files.json_text(how)
    contents[PROBES] = files.json_text(probes.record(answers))
    for file in EXAMPLES:
        contents[file] = program(file, task.example)
    contents |= task.example.files
    return contents, tuple(models)


def program(file: str, example: Example) -> str:
    """A runtime's program of inference: with the functions of the task, and what all programs share.

    Raises:
        ExportError: It has no place for them.
    """
    here = resources.files("hwnas.release.examples")
    text, shared = ((here / name).read_text("utf-8") for name in (file, "shared.py"))
    for place, lines in ((_OF_TASK, f"{example.functions}\n\n"), (_SHARED, shared)):
        if place not in text:
            raise ExportError(f"an example must have the line {place.strip()!r}, but {file} has none: add it")
        text = text.replace(place, lines)
    return text


def _int8_target(search: SearchRecord, runtime: str) -> Target | None:
    """The first target of a search that runs a runtime's int8 files; else, its device with that runtime."""
    targets = [budget.target for budget in search.budgets]
    own = [each for each in targets if (each.runtime, each.precision) == (runtime, "int8")]
    beside = [replace(each, runtime=runtime, precision="int8") for each in targets if each.processor == CPU]
    return next(iter((*own, *beside)), None)


def _shipped(
    name: str, precision: str, model: bytes, lowered: Lowered, kept: Mapping[str, str] | None
) -> ShippedModel:
    return ShippedModel(
        name=f"{name}-{precision}",
        runtime=name,
        precision=precision,
        file=_OFFERED[name, precision],
        bytes=len(model),
        layout=runtimes.get(name).format.layout,
        parity=lowered.parity.to_json() if lowered.parity else None,
        kept=kept or None,
    )
