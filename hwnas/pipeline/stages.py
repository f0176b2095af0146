"""The stages of a run: what each reads and writes, and the public function that does its work."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hwnas import budget, files, finalists, latency, plugins, release, report, spaces
from hwnas.device import AutoTarget, Device, Target
from hwnas.errors import HwnasError, LatencyModelError
from hwnas.finalists.runtimes import choices
from hwnas.measure import ProfileOptions, Progress, profile
from hwnas.measure.store import missing_rounds, to_go_on
from hwnas.pipeline.run_images import RunImages
from hwnas.pipeline.state import RunState, Say, Stage, hashes_of_teacher
from hwnas.pipeline.training_progress import TrainingProgress
from hwnas.release import against
from hwnas.runs import records, runtimes
from hwnas.runs.folder import ChainFolder, RunFolder
from hwnas.settings import requests
from hwnas.settings.config import Config
from hwnas.settings.kinds import SUPERNETS
from hwnas.tables import places
from hwnas.tables.table import LatencyTable
from hwnas.tracking.following import SEARCH, TRAIN, followed
from hwnas.verify import verify_on
from hwnas.verify.folder import read

if TYPE_CHECKING:
    from hwnas.tracking.base import Tracker

STAGES = ("profile", "fit", "search", "baseline", "train", "against", "export", "verify", "report")
_FINALISTS = ("promise", "promise.measuring")


def _require_of_teacher(config: Config, teacher: Path) -> None:
    """Refuse images and a space that are not those of the network that candidates learn from."""
    given, own = config.data, str(records.trained(teacher).data["source"])
    if given != own:
        raise HwnasError(
            f"data must be those of the teacher, whose splits are kept, but got {given} and {teacher} is of "
            f"{own}: set data to that, or adapt the network to yours"
        )
    from hwnas.train.adapting import space_of

    name = space_of(teacher)
    space = config.basics.space
    if spaces.load(space, num_classes=spaces.load(name).num_classes).name != name:
        raise HwnasError(f"the space must be that of the teacher, {name}, but got {space}: set space to it")


class Stages:
    """Makes the stages of a run one after another: a later one may only be made after an earlier.

    Args:
        config: What is wanted.
        devices: Where to measure; what ships is what the first one runs.
        state: For what need not be found out twice.
        trackers: What follows the runs.

    Attributes:
        run: Folder of the found network.
        baseline: Folder of the network that it is compared with, or None.
        tables: Folder of the latency tables, a folder a device.

    Raises:
        HwnasError: The teacher is not there.
    """

    def __init__(
        self, config: Config, devices: Sequence[Device], state: RunState, trackers: Sequence[Tracker] = ()
    ) -> None:
        self._config, self._devices, self._trackers = config, {d.name: d for d in devices}, trackers
        self._images = RunImages(config, state)
        self._folder = ChainFolder(config.folder)
        self.run = self._folder.run(config.search.strategy)
        self.baseline = self._folder.run(config.baseline.strategy) if config.baseline.strategy else None
        self.tables = self._folder.tables
        teacher = config.teacher or config.search_teacher
        self._teacher = hashes_of_teacher(teacher) if teacher else None
        if config.search_teacher is not None:
            _require_of_teacher(config, config.search_teacher)
        budgets = config.search.budgets
        if len(budgets) not in (1, len(self._asked)):
            raise HwnasError(
                f"budgets must be one for all or one for each of {', '.join(map(str, self._asked))}, "
                f"but got {len(budgets)}"
            )

    def track(self) -> None:
        """Have trackers know all of the runs, also what stages made that nobody followed."""
        for run in self._runs:
            with followed(run.path, self._trackers):
                pass

    def __iter__(self) -> Iterator[Stage]:
        for stage in self._planned():  # any of them may use what plug-ins bring
            known = {path.name: files.sha256(path) for path in plugins.files()}
            yield replace(stage, settings={**stage.settings, "plugins": known}) if known else stage

    @property
    def names(self) -> tuple[str, ...]:
        """Of all stages, also of those that cannot be made yet."""
        left_out = set() if self._open else {"runtimes"}
        left_out |= set() if self.baseline is not None else {"baseline", "against"}
        return tuple(name for name in ("runtimes", *STAGES) if name not in left_out)

    @property
    def space(self) -> str:
        """Full name of the space."""
        return self._images.space

    def _planned(self) -> Iterator[Stage]:
        if self._open:
            yield self._runtimes()
        yield self._profile()
        yield self._fit()
        yield self._search("search", self.run)
        if self.baseline is not None:
            yield self._search("baseline", self.baseline, is_baseline=True)
        yield self._train()
        if self.baseline is not None:
            yield self._against(self.baseline)
        yield self._export()
        yield self._verify()
        yield self._report()

    @cached_property
    def _asked(self) -> tuple[Target | AutoTarget, ...]:
        """Device by device, runtimes within, precisions within those."""
        wanted = self._config.targets
        return tuple(
            target
            for device in self._devices.values()
            for target in budget.targets(device, wanted.runtimes or device.runtimes, wanted.precisions)
        )

    @property
    def _open(self) -> list[AutoTarget]:
        """Those whose runtime is chosen by measuring."""
        return [target for target in self._asked if isinstance(target, AutoTarget)]

    @cached_property
    def targets(self) -> tuple[Target, ...]:
        """The same, with the runtimes that were chosen."""
        known = runtimes.read(self.run.path)
        return tuple(
            known[str(target)].chosen if isinstance(target, AutoTarget) else target for target in self._asked
        )

    @property
    def models(self) -> tuple[Path, ...]:
        """The latency models, one a target."""
        return tuple(self._folder.latency_model(t, len(self._devices) > 1) for t in self.targets)

    def _tables(self) -> tuple[Path, ...]:
        return tuple(places.table(self.tables / target.device, target) for target in self.targets)

    def _runtimes(self) -> Stage:
        """The fastest runtime of each target that leaves it open; each may be chosen, as all get tables."""
        options = requests.search_options(self._config).measuring

        def run(say: Say) -> None:
            space = spaces.load(self._images.space)
            choices(
                self._open, space, self.run.path, lambda _: True, options, devices=self._devices, tell=say
            )

        settings = {
            "space": self._images.space,
            "targets": {str(item): [each.to_json() for each in item.candidates] for item in self._open},
            "options": asdict(options),
        }
        writes = (self.run.runtimes,)
        return Stage("runtimes", settings, (), writes, writes, run)

    def _profile(self) -> Stage:
        options = ProfileOptions(**self._config.profile)

        def run(say: Say) -> None:
            def tell(progress: Progress) -> None:
                say(f"{progress.target}: {progress.stage} {progress.done}/{progress.total}")

            for name, device in self._devices.items():
                targets = [target for target in self.targets if target.device == name]
                profile(device, spaces.load(self._images.space), targets, self.tables / name, options, tell)

        def intact() -> bool:
            return not any(missing_rounds(LatencyTable.load(table)) for table in self._tables())

        settings = {
            "device": ", ".join(self._devices),
            "space": self._images.space,
            "targets": [t.to_json() for t in self.targets],
            "options": asdict(options),
        }
        return Stage("profile", settings, (), self._tables(), (), run, intact)

    def _fit(self) -> Stage:
        kind = self._config.fit.model

        def run(say: Say) -> None:
            space = spaces.load(self._images.space)
            for target, file, path in zip(self.targets, self._tables(), self.models, strict=True):
                say(str(target))
                table = LatencyTable.load(file)
                known = latency.known_devices(space, target) if kind == "transfer" else None
                try:
                    latency.save(latency.fit(table, space, kind, known=known), path)
                except LatencyModelError as error:
                    if not (left := missing_rounds(table)):
                        raise
                    raise LatencyModelError(
                        f"a table must be complete enough for a latency model, but {left} rounds on {target} "
                        f"were left when the time (max_minutes) ran out: {to_go_on(table)}"
                    ) from error

        settings = {"space": self._images.space, "model": kind}
        return Stage("fit", settings, self._tables(), self.models, self.models, run)

    def _search(self, name: str, run: RunFolder, *, is_baseline: bool = False) -> Stage:
        has_supernet = self._config.search.evaluate in SUPERNETS
        supernet = self.run.supernet if is_baseline and has_supernet else None
        request = requests.search(
            self._config,
            space=self._images.space,
            data=self._config.data,
            latencies=self.models,
            supernet=supernet,
            is_baseline=is_baseline,
        )

        def work(say: Say) -> None:
            from hwnas.search.searching import search_run

            with followed(run.path, self._trackers, SEARCH) as following:

                def live(record: Mapping[str, Any]) -> None:
                    done = record.get("step", record.get("query"))
                    total = record.get("steps", record.get("queries"))
                    say(f"{record.get('phase', 'scoring')} {done}/{total}")
                    following.step(record)

                if is_baseline:  # only compared with: nobody promises anything of it
                    if not run.search.exists():
                        search_run(request, run.path, live=live, dataset=self._images.searched)
                    return
                finalists.search_for(
                    (),
                    request,
                    run.path,
                    requests.search_options(self._config, tables=self.tables),
                    devices=self._devices,
                    dataset=self._images.searched,
                    is_new=False,
                    live=live,
                    tell=say,
                )

        settings = asdict(request) | {"data": self._images.settings, "latencies": None, "supernet": None}
        settings |= {"oneshot": request.oneshot.recorded(), "budgets": [b.text for b in request.budgets]}
        del settings["asked"], settings["task"]  # a task is said with the data
        writes = (run.arch, run.search, *([run.supernet] if has_supernet else []))
        owns = (run.arch, run.search, run.supernet, run.history, run.search_checkpoint, run.gallery)
        if not is_baseline:
            settings |= {section: dict(self._config.values[section]) for section in _FINALISTS}
        likeness = request.likeness.files if request.likeness else ()
        reads = (*self.models, *([supernet] if supernet else []), *likeness)
        draws = not is_baseline and self._config.finalists[0].gallery_points > 0

        def intact() -> bool:
            return run.gallery.is_file() or not draws

        return Stage(name, settings, reads, writes, owns, work, intact)

    def _train(self) -> Stage:
        (origin, _), pupils = self._config.train, self._config.search_teacher
        teacher = self._config.teacher or pupils
        config = requests.training(
            self._config.values["train"], self._config.basics.seed, is_taught=teacher is not None
        )
        inherits = origin.inherits(is_taught=pupils is not None)
        runs = self._runs

        def work(say: Say) -> None:
            from hwnas.search.oneshot.inherit import inherited
            from hwnas.train.training import train_run

            for run in runs:
                say(run.path.name)
                if run.train.exists():
                    continue
                start = partial(inherited, run.path) if inherits else None
                dataset = self._images.of(records.search(run.path).data)
                with followed(run.path, self._trackers, TRAIN) as following:
                    training = TrainingProgress(say, run.path.name, following)
                    train_run(
                        run.path,
                        config,
                        dataset=dataset,
                        teacher=teacher,
                        start=start,
                        on_epoch=training.on_epoch,
                        on_step=training.on_step,
                    )

        settings = {"config": asdict(config), "data": self._images.settings, "seed": self._config.basics.seed}
        settings |= {"init": "supernet" if inherits else "seed", "teacher": self._teacher}
        reads = tuple(run.arch for run in runs)
        reads += tuple(run.supernet for run in runs) if inherits else ()
        writes = tuple(path for run in runs for path in (run.train, run.weights))
        owns = (*writes, *(path for run in runs for path in (run.mistakes, run.train_checkpoint)))
        return Stage("train", settings, reads, writes, owns, work)

    @property
    def _runs(self) -> tuple[RunFolder, ...]:
        """The found network, and the one that it is compared with."""
        return (self.run,) if self.baseline is None else (self.run, self.baseline)

    def _against(self, baseline: RunFolder) -> Stage:
        """Both trained networks on the same test images."""

        def work(_: Say) -> None:
            against.write(self.run.path, baseline.path, self._images.of_training(self.run))

        reads = tuple(path for run in (self.run, baseline) for path in (run.train, run.weights))
        return Stage("against", {"data": self._images.settings}, reads, (self.run.against,), (), work)

    def _export(self) -> Stage:
        wanted = self._config.export

        def work(say: Say) -> None:
            dataset = self._images.of_training(self.run)
            with followed(self.run.path, self._trackers):
                release.export_run(self.run.path, dataset, **asdict(wanted), on_variant=say)

        def intact() -> bool:
            return release.manifest_if_whole(self.run.export) is not None

        reads = (self.run.arch, self.run.search, self.run.train, self.run.weights)
        settings = asdict(wanted) | {"data": self._images.settings}
        return Stage("export", settings, reads, release.made(self.run.export), (), work, intact)

    def _verify(self) -> Stage:
        wanted = asdict(self._config.verify)
        accept_noise = wanted.pop("accept_noise")

        def work(say: Say) -> None:
            dataset = self._images.of_training(self.run)
            with followed(self.run.path, self._trackers):
                verify_on(
                    read(self.run.export),
                    [(device, self.tables / name) for name, device in self._devices.items()],
                    dataset,
                    options=requests.verifying(wanted),
                    accept_noise=accept_noise,
                    on_step=say,
                )

        def intact() -> bool:
            manifest = release.manifest_if_whole(self.run.export)
            known = manifest.verifications if manifest else ()
            return {found.device for found in known} >= set(self._devices)

        settings = wanted | {"device": ", ".join(self._devices)}
        settings |= {"accept_noise": True} if accept_noise else {}
        reads = (*release.made(self.run.export), self.run.search, self.run.train, *self._tables())
        return Stage("verify", settings, reads, (), (), work, intact)

    def _report(self) -> Stage:
        page = self.run.report

        def work(_: Say) -> None:
            baseline = None if self.baseline is None else self.baseline.path
            report.write(self.run.path, latencies=self.models, tables=self.tables, baseline=baseline)
            release.add_file(self.run.export, release.REPORT, page.read_bytes())

        def intact() -> bool:
            shipped = release.manifest_if_whole(self.run.export)
            return shipped is not None and release.REPORT in shipped.files

        manifest = release.manifest_if_whole(self.run.export)
        settings = {"verification": None, **(manifest.verified_json() if manifest else {})}
        known = tuple(path for run in self._runs for path in (run.search, run.train))
        known += (self.run.against,) if self.baseline else ()
        known += (self.run.runtimes,) if self._open else ()
        reads = (*known, *release.made(self.run.export), *self.models)
        return Stage("report", settings, reads, (page,), (), work, intact)
