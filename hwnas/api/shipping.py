"""From a trained network to what is proven of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hwnas import plugins
from hwnas.annotations import require_types
from hwnas.api.given import AnyDevice, AnyPath, device_of, typed
from hwnas.errors import HwnasError
from hwnas.runs import outputs, records
from hwnas.runs.folder import ShippingFolder
from hwnas.shown import Display, ShownTable
from hwnas.tracking.following import followed, usable

if TYPE_CHECKING:
    from hwnas.measure import ProfileOptions
    from hwnas.release import Manifest
    from hwnas.release.verification import Verification
    from hwnas.runs.comparison import ComparisonRecord
    from hwnas.tracking import Tracker


@dataclass(frozen=True, repr=False)
class Exported(ShownTable):
    """A folder that ships.

    Attributes:
        folder: Where it is.
        models: By variant, as "litert-int8", the file of the model.
        manifest: What ``manifest.json`` says.
    """

    folder: Path
    models: Mapping[str, Path]
    manifest: Manifest

    def flat(self) -> list[dict[str, Any]]:
        """One flat object a file that ships, as for a data frame; what is of no model is None."""
        known = {item.file: item for item in self.manifest.models}
        return [
            {
                "file": name,
                "variant": known[name].name if name in known else None,
                "runtime": known[name].runtime if name in known else None,
                "precision": known[name].precision if name in known else None,
                "bytes": (self.folder / name).stat().st_size if (self.folder / name).exists() else None,
                "sha256": digest,
            }
            for name, digest in sorted(self.manifest.files.items(), key=lambda item: item[0] not in known)
        ]

    def view(self) -> Display:
        """The models that ship, and how good the network is."""
        metric = self.manifest.metric
        said = f"test {metric.name} in PyTorch {metric.text(self.manifest.test_value)}"
        rows = [
            (item.name, item.file, item.runtime, item.precision, f"{item.bytes / 1e6:.3f} MB")
            for item in self.manifest.models
        ]
        others = len(self.manifest.files) - len(rows)
        notes = (f"and {others} files beside them: to_pandas() has all",) if others else ()
        columns = ("variant", "file", "runtime", "precision", "size")
        return Display(f"{self.folder}: {len(rows)} models; {said}", columns, rows, notes)


@typed
def export(
    run: AnyPath,
    *,
    data: str | Path | None = None,
    progress: Callable[[str], None] | None = None,
    track: Sequence[str | Tracker] = (),
    **settings: Any,
) -> Exported:
    """Export the trained network of a run in every variant, each checked against PyTorch.

    Args:
        run: Folder of a trained network.
        data: Where the training data are now, if they moved.
        progress: Called with the name of each file that is about to be made.
        track: Where to log as well, as "mlflow:URI", "tensorboard" or "wandb", or objects that satisfy
            ``hwnas.tracking.Tracker``.
        settings: As of ``hwnas.release.export_run``: ``calibration_images``, ``licence``,
            ``qat_if_worse``, ``qat_epochs``, ``int8_drop``, ``also``, ``keep_int8_loss``,
            ``keep_by``, ``layers``.

    Returns:
        The folder that ships.

    Raises:
        ExportError: A variant does not compute what PyTorch computes, or int8 loses too much.
        HwnasError: Something is missing in the run.
    """
    from hwnas import release

    plugins.ready()
    require_types(settings, release.export_run)
    run = Path(run)
    described, trackers = records.trained(run).data, usable(track, run)
    dataset = release.load_data(described, None if data is None else str(data))
    with followed(run, trackers):
        folder = release.export_run(run, dataset, **settings, on_variant=progress or (lambda _: None)).parent
    manifest = release.read_manifest(folder)
    models = {item.name: folder / item.file for item in manifest.models}
    return Exported(folder, models, manifest)


@typed
def verify(
    folder: AnyPath,
    *,
    device: AnyDevice | None = None,
    data: str | Path | None = None,
    skip_accuracy: bool = False,
    tables: AnyPath | None = None,
    options: ProfileOptions | None = None,
    record: bool = True,
    progress: Callable[[str], None] | None = None,
    track: Sequence[str | Tracker] = (),
) -> Verification:
    """Check all that ships again: files, answers, accuracy, what was learned, latency, budget.

    Args:
        folder: What was exported, wherever it is now, or the folder of a run.
        device: Where to measure; the one of the budgets by default.
        data: Where the training data are now, if they moved, or a further test set of the same labels,
            which is stated beside the network's own.
        skip_accuracy: Whether the data are left alone.
        tables: Folder of the device's latency tables, if not its own.
        options: How well to measure; 9 to 27 rounds by default.
        record: Whether the result is written into the manifest.
        progress: Called with a line for people before each step.
        track: Where to log as well, as "mlflow:URI", "tensorboard" or "wandb", or objects that satisfy
            ``hwnas.tracking.Tracker``; they are told what is written into the manifest.

    Returns:
        What was found of each model, and the verdict: PASS is proven.

    Raises:
        DataError: The data cannot be read, or are of other labels.
        HwnasError: The folder is damaged, or the device cannot be used.
    """
    from hwnas import release
    from hwnas.verify import images, verify_on
    from hwnas.verify.folder import read
    from hwnas.verify.scales import tables_of

    plugins.ready()
    if track and not record:
        raise HwnasError("what trackers are told must be recorded, but got record=False: leave one out")
    folder = release.shipping_of(Path(folder))
    path, own = ShippingFolder(folder).manifest, release.owner_of(folder)
    if record and path.exists():
        outputs.require_file(path, "the manifest")
    trackers = usable(track, own)
    alone = outputs.claimed(own, "a verification") if record and folder.is_dir() else nullcontext()
    with alone, followed(own, trackers):
        checked = read(folder)
        where = device_of(device or checked.manifest.device)
        is_skipped = skip_accuracy and data is None
        seen = (
            images.VerifiedImages()
            if is_skipped
            else images.find(checked, None if data is None else str(data))
        )
        (found,) = verify_on(
            checked,
            [(where, tables_of(own, where.name) if tables is None else Path(tables))],
            seen.own,
            further=seen.further,
            options=options,
            record=record,
            on_step=progress or (lambda _: None),
        )
    return found


@typed
def compare(
    run: AnyPath,
    *,
    against: Sequence[str] = (),
    match_latency: Sequence[str] = (),
    seeds: int = 1,
    device: AnyDevice | None = None,
    variants: Sequence[str] = (),
    data: str | Path | None = None,
    options: ProfileOptions | None = None,
    progress: Callable[[str], None] | None = None,
) -> ComparisonRecord:
    """Train known networks with a run's recipe, and measure all together.

    Args:
        run: Folder of a trained network.
        against: Names of known networks, as "mobilenetv2-0.5".
        match_latency: Families of which the width is taken that is measured to be as fast.
        seeds: Trainings of each network.
        device: Where to measure; that of the run's budget by default.
        variants: As "litert-int8"; all that the device can run by default.
        data: Where the training data are now, if they moved.
        options: How well to measure.
        progress: Called with a line for people before each step.

    Returns:
        What ``compare.json`` says; ``to_json()`` is what stands there.

    Raises:
        HwnasError: There is nothing to compare with, or a stage failed; what earlier ones made is kept.
    """
    from hwnas.compare.comparing import compare as compare_run

    plugins.ready()
    run = Path(run)
    return compare_run(
        run,
        device_of(device or records.search(run).device),
        against=against,
        match_latency=match_latency,
        seeds=seeds,
        variants=variants,
        source=None if data is None else str(data),
        options=options,
        tell=progress or (lambda _: None),
    )
