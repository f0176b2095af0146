"""The stages of a run: what each reads and writes, and the public function that does its work."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hwnas import data as images
from hwnas import files, finalists, latency, measure, plugins, release, report, spaces
from hwnas.device import Device, Target
from hwnas.errors import HwnasError, LatencyModelError
from hwnas.measure.store import missing_rounds, to_go_on
from hwnas.pipeline.config import Config
from hwnas.pipeline.state import Say, Stage, State, digest_of_data, hashes_of_teacher
from hwnas.release import against
from hwnas.runs import records
from hwnas.runs.folder import ChainFolder, RunFolder
from hwnas.tables import places
from hwnas.tables.table import LatencyTable
from hwnas.verify import verify

if TYPE_CHECKING:
    from hwnas.evaluators.base import TrainedNetworks
    from hwnas.search.run import SearchRequest

_PROMISE = ("promise", "promise.measuring")


class Stages:
    """Makes the stages of a run one after another: a later one may only be made after an earlier.

    Args:
        config: What is wanted.
        device: Where to measure.
        state: For what need not be found out twice.

    Attributes:
        run: Folder of the found network.
        baseline: Folder of the network that it is compared with, or None.
        tables: Folder of the latency tables.

    Raises:
        HwnasError: The teacher is not there.
    """

    def __init__(self, config: Config, device: Device, state: State) -> None:
        self._config, self._device, self._state = config, device, state
        self._images: images.Dataset | None = None
        self._folder = ChainFolder(config.folder)
        self.run = self._folder.run(config.search.strategy)
        self.baseline = self._folder.run(config.baseline.strategy) if config.baseline.strategy else None
        self.tables = self._folder.tables / device.name
        self._teacher = hashes_of_teacher(config.teacher) if config.teacher else None
        budgets = config.search.budgets
        if len(budgets) not in (1, len(self.targets)):
            raise HwnasError(
                f"budgets must be one for all or one for each of {', '.join(map(str, self.targets))}, "
                f"but got {len(budgets)}"
            )

    def __iter__(self) -> Iterator[Stage]:
        for stage in self._planned():  # any of them may use what plug-ins bring
            known = {path.name: files.sha256(path) for path in plugins.files()}
            yield replace(stage, settings={**stage.settings, "plugins": known}) if known else stage

    def _planned(self) -> Iterator[Stage]:
        yield self._profile()
        yield self._fit()
        yield self._search("search", self.run, None)
        if self.baseline is not None:
            yield self._search("baseline", self.baseline, self.run.supernet)
        yield self._train()
        if self.baseline is not None:
            yield self._against(self.baseline)
        yield self._export()
        yield self._verify()
        yield self._report()

    @cached_property
    def targets(self) -> tuple[Target, ...]:
        """Runtime by runtime, precisions within."""
        wanted = self._config.targets
        runtimes = wanted.runtimes or self._device.runtimes
        return tuple(self._device.target(r, p) for r in runtimes for p in wanted.precisions)

    @cached_property
    def data(self) -> dict[str, str]:
        """What the images are, as settings of a stage."""
        return {"source": self._config.data, "digest": digest_of_data(self._config.data)}

    @cached_property
    def space(self) -> str:
        """Full name of the space, with as many classes as the data have."""
        name = self._config.basics.space
        if re.search(r"-c\d+", name):
            return spaces.load(name).name

        classes = self._state.classes(self.data["digest"], lambda: self._searched_images.num_classes)
        return spaces.load(name, num_classes=classes).name

    @cached_property
    def _searched_images(self) -> images.Dataset:
        """The images of a search of this config, for all stages; read when a stage first needs them."""
        basics = self._config.basics
        resolution = spaces.load(basics.space).input_shape[1]
        return images.load(self._config.data, resolution=resolution, seed=basics.seed)

    @property
    def models(self) -> tuple[Path, ...]:
        """The latency models, one a target."""
        return tuple(map(self._folder.latency_model, self.targets))

    def _tables(self) -> tuple[Path, ...]:
        return tuple(places.table(self.tables, target) for target in self.targets)

    def _profile(self) -> Stage:
        options = measure.ProfileOptions(**self._config.profile)

        def run(say: Say) -> None:
            def tell(progress: measure.Progress) -> None:
                say(f"{progress.target}: {progress.stage} {progress.done}/{progress.total}")

            measure.run(self._device, spaces.load(self.space), self.targets, self.tables, options, tell)

        def intact() -> bool:
            return not any(missing_rounds(LatencyTable.load(table)) for table in self._tables())

        settings = {
            "device": self._device.name,
            "space": self.space,
            "targets": [t.to_json() for t in self.targets],
            "options": asdict(options),
        }
        return Stage("profile", settings, (), self._tables(), (), run, intact)

    def _fit(self) -> Stage:
        kind = self._config.fit.model

        def run(say: Say) -> None:
            space = spaces.load(self.space)
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

        settings = {"space": self.space, "model": kind}
        return Stage("fit", settings, self._tables(), self.models, self.models, run)

    def _request(self, strategy: str, settings: Mapping[str, Any], supernet: Path | None) -> SearchRequest:
        from hwnas.evaluators.supernet.config import OneShotConfig
        from hwnas.search.run import SearchRequest
        from hwnas.train.optim import pick_device

        wanted, values = self._config.search, dict(self._config.values["search.supernet"])
        values["seed"] = _first(values["seed"], self._config.basics.seed)
        values["resolution"] = values["resolution"] or max(8, spaces.load(self.space).input_shape[1] // 2)
        values["device"] = pick_device(values["device"]).type
        return SearchRequest(
            space=self.space,
            latencies=self.models,
            budgets=wanted.budgets,
            data=self._config.data,
            strategy=strategy,
            seed=self._config.basics.seed,
            oneshot=OneShotConfig(**values),
            settings=settings,
            training_steps=wanted.training_steps,
            supernet=supernet,
            confidence=wanted.confidence,
        )

    def _search(self, name: str, run: RunFolder, supernet: Path | None) -> Stage:
        values = self._config.values["search.settings" if supernet is None else "baseline.settings"]
        request = self._request(run.path.name, values, supernet)

        def work(say: Say) -> None:
            from hwnas.search.run import searched

            def tell(record: Mapping[str, Any]) -> None:
                done = record.get("step", record.get("query"))
                total = record.get("steps", record.get("queries"))
                say(f"{record.get('phase', 'scoring')} {done}/{total}")

            scorer = None
            if not run.search.exists():  # or it was interrupted after its last step
                scorer = searched(request, run.path, live=tell, dataset=self._searched_images).scorer
            if supernet is None:
                self._keep(run, scorer, say)

        settings = asdict(request) | {"data": self.data, "latencies": None, "supernet": None}
        settings |= {"oneshot": request.oneshot.recorded()}
        writes = (run.arch, run.search, run.supernet)
        owns = (*writes, run.history, run.search_checkpoint, run.gallery)
        if supernet is None:
            settings |= {section: dict(self._config.values[section]) for section in _PROMISE}
        reads = (*self.models, *([supernet] if supernet else []))
        draws = supernet is None and self._config.promise[0].gallery_points > 0

        def intact() -> bool:
            return run.gallery.is_file() or not draws

        return Stage(name, settings, reads, writes, owns, work, intact)

    def _keep(self, run: RunFolder, scorer: TrainedNetworks | None, say: Say) -> None:
        """Hold the found network to its budgets, and draw the gallery."""
        from hwnas.evaluators.of_run import scorer_in

        wanted, options = self._config.promise
        scorer = scorer or scorer_in(run.path, self._dataset(records.search(run.path)))
        finalists.keep(
            run.path,
            measure=wanted.measure,
            rank=wanted.rank,
            tables=self.tables,
            devices={self._device.name: self._device},
            scorer=scorer,
            options=options,
            measuring=measure.ProfileOptions(**self._config.values["promise.measuring"]),
            tell=say,
        )
        if wanted.gallery_points:
            say("gallery")
            finalists.write_gallery(run.path, wanted.gallery_points, wanted.gallery_each, scorer=scorer)

    def _train(self) -> Stage:
        from hwnas.train import TrainConfig
        from hwnas.train.optim import pick_device

        (origin, values), teacher = self._config.train, self._config.teacher
        values["seed"] = _first(values["seed"], self._config.basics.seed)
        config = TrainConfig(**values | {"device": pick_device(values["device"]).type})
        runs = self._runs

        def work(say: Say) -> None:
            from hwnas.search.oneshot.inherit import inherited
            from hwnas.train.run import train_run

            for run in runs:
                say(run.path.name)

                def tell(record: Any, name: str = run.path.name) -> None:
                    epochs = f"epoch {record.epoch}/{record.epochs}"
                    say(f"{name}: {epochs}, validation {record.metric.text(record.val_value)}")

                if not run.train.exists():
                    start = partial(inherited, run.path) if origin.init == "supernet" else None
                    dataset = self._dataset(records.search(run.path))
                    train_run(run.path, config, dataset=dataset, teacher=teacher, start=start, on_epoch=tell)

        settings = {"config": asdict(config), "data": self.data, "seed": self._config.basics.seed}
        settings |= {"init": origin.init, "teacher": self._teacher}
        reads = tuple(run.arch for run in runs)
        reads += tuple(run.supernet for run in runs) if origin.init == "supernet" else ()
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
            against.write(self.run.path, baseline.path, self._dataset())

        reads = tuple(path for run in (self.run, baseline) for path in (run.train, run.weights))
        return Stage("against", {"data": self.data}, reads, (self.run.against,), (), work)

    def _shipped(self) -> tuple[Path, ...]:
        """Files of the shipping folder that later stages leave alone."""
        names = (
            *release.VARIANTS.values(),
            *release.EXAMPLES,
            release.LABELS,
            release.PREPROCESSING,
            release.PROBES,
        )
        return tuple(self.run.export / name for name in names)

    def _export(self) -> Stage:
        wanted = self._config.export

        def work(say: Say) -> None:
            release.export_run(self.run.path, self._dataset(), **asdict(wanted), on_variant=say)

        def intact() -> bool:
            return self._manifest() is not None

        reads = (self.run.arch, self.run.search, self.run.train, self.run.weights)
        return Stage("export", asdict(wanted) | {"data": self.data}, reads, self._shipped(), (), work, intact)

    def _verify(self) -> Stage:
        wanted = asdict(self._config.verify)
        accept_noise = wanted.pop("accept_noise")

        def work(say: Say) -> None:
            options = measure.ProfileOptions(**wanted, max_rounds=3 * wanted["rounds"])
            verify(
                self.run.export,
                self._device,
                self._dataset(),
                tables=self.tables,
                options=options,
                accept_noise=accept_noise,
                on_step=say,
            )

        def intact() -> bool:
            return "verification" in (self._manifest() or {})

        settings = wanted | {"device": self._device.name}
        settings |= {"accept_noise": True} if accept_noise else {}
        reads = (*self._shipped(), self.run.search, self.run.train, *self._tables())
        return Stage("verify", settings, reads, (), (), work, intact)

    def _report(self) -> Stage:
        page = self.run.report

        def work(_: Say) -> None:
            baseline = None if self.baseline is None else self.baseline.path
            report.write(self.run.path, latencies=self.models, tables=self.tables, baseline=baseline)
            release.add_file(self.run.export, release.REPORT, page.read_bytes())

        def intact() -> bool:
            return release.REPORT in (self._manifest() or {}).get("files", {})

        settings = {"verification": (self._manifest() or {}).get("verification")}
        known = tuple(path for run in self._runs for path in (run.search, run.train))
        known += (self.run.against,) if self.baseline else ()
        reads = (*known, *self._shipped(), *self.models)
        return Stage("report", settings, reads, (page,), (), work, intact)

    def _manifest(self) -> dict[str, Any] | None:
        """The manifest, or None where the shipping folder is not whole."""
        try:
            return release.read_manifest(self.run.export)
        except HwnasError:
            return None

    def _dataset(self, record: Mapping[str, Any] | None = None) -> images.Dataset:
        """The images that a record names, by default that of the training; read once by all stages."""
        described = (record or records.trained(self.run.path))["data"]
        known = vars(self).get("_searched_images")  # a stage may have been skipped that would have read them
        for found in (known, self._images):
            if found is not None and found.describe() == described:
                return found
        self._images = release.load_data(described)
        return self._images


def _first(*values: int | None) -> int | None:
    """The first that is set."""
    return next((value for value in values if value is not None), None)
