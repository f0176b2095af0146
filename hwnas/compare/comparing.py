"""The comparison of a run: train, export and measure all networks alike, and set them side by side."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from hwnas import __version__, files, known, release, runtimes, tasks
from hwnas.compare import contender, match, rows
from hwnas.compare.contender import KnownOutcomes, Recipe, ShippedNetwork, Tell
from hwnas.compare.rows import FOUND
from hwnas.data import Dataset
from hwnas.device import Device, Target
from hwnas.errors import HwnasError
from hwnas.measure import Measured, Measurer, ProfileOptions, in_rounds, measured
from hwnas.release import energy
from hwnas.runs import outputs, records
from hwnas.runs.comparison import MATCH, ComparisonAsked, ComparisonRecord, Match
from hwnas.runs.energy import EnergyCheck
from hwnas.runs.finalists import ChosenEnergy
from hwnas.runs.folder import RunFolder
from hwnas.space import Architecture
from hwnas.statistics.verdict import Verdict
from hwnas.tasks.base import Outcome


@outputs.alone_in("run", "a comparison")
def compare(
    run: Path,
    device: Device,
    *,
    against: Sequence[str] = (),
    match_latency: Sequence[str] = (),
    seeds: int = 1,
    variants: Sequence[str] = (),
    source: str | None = None,
    options: ProfileOptions | None = None,
    tell: Tell = lambda _: None,
) -> ComparisonRecord:
    """Train known networks as the run's own was trained, and measure all of them together.

    Every network is trained once a seed with the recipe that ``train.json`` records, on the
    same data and splits; the run's own weights count for their own seed. Trained and exported
    networks are kept in ``run/compare/<name>-seed<seed>``, each a run folder like any other,
    and are not made again. Latencies are measured anew each time, of all networks in one
    interleaved session a variant; those of the first seed stand for all, because latency does
    not depend on weights.

    Args:
        run: Folder with a trained network.
        device: Where to measure.
        against: Names of baselines; of a task that wants a decoder, its usual one where they name none.
        match_latency: Families of which the width is taken that is measured to be as fast as
            the found network, on the first target that the run has a budget for.
        seeds: How often each network is trained, from the run's own seed on.
        variants: Variants to measure, as "litert-int8"; all that the device can run by default.
        source: Where the run's data are now, if they moved.
        options: How well to measure.
        tell: Called with a line for people before each step.

    Returns:
        What ``run/compare.json`` says then.

    Raises:
        HwnasError: A stage failed; what the earlier ones made is kept.
    """
    require_known(against, match_latency, variants)
    if seeds < 1:
        raise HwnasError(f"seeds must be at least 1, but got {seeds}")
    options = options or ProfileOptions()
    arch, search = release.read_run(run)
    record = records.trained(run)
    recipe = Recipe.of(record)
    targets = _targets(device, search.targets, variants)
    task = tasks.of_record(record.data)
    against, match_latency = (tuple(map(task.network, names)) for names in (against, match_latency))
    for name in against:
        _baseline(name, arch)  # refuse a wrong name before hours of training
    tell("reading the data")
    dataset = release.load_data(record.data, source, run)
    outcomes = KnownOutcomes(RunFolder(run).answers, dataset)
    numbers = range(recipe.config.seed, recipe.config.seed + seeds)

    def entry(name: str, network: Architecture, seed: int) -> ShippedNetwork:
        return _entry(run, name, network, seed, recipe, targets, dataset, outcomes, tell)

    matches = {}
    with ExitStack() as stack:  # one way to the device for all families
        measurer = cache(lambda: stack.enter_context(Measurer(device, options)))
        for family in match_latency:
            target = _first(targets, search.targets)
            model = entry(FOUND, arch, numbers[0]).model(target)
            matches[family] = _match(run, family, arch, model, measurer, target, tell)
    names = dict.fromkeys((*against, *(item.chosen for item in matches.values())))
    networks = {FOUND: arch} | {name: _baseline(name, arch) for name in names}
    entries = {name: [entry(name, network, seed) for seed in numbers] for name, network in networks.items()}
    with ExitStack() as stack:  # and one for all variants, after hours of training
        measurers, limit = energy.measurers(stack, device, options), search.energy
        found = {
            variant: _measure(
                measurers,
                target,
                entries,
                limit if limit is not None and limit.limits(str(target)) else None,
                tell,
            )
            for variant, target in targets.items()
        }
    measured = {variant: latencies for variant, (latencies, _) in found.items()}
    energies = {variant: counted for variant, (_, counted) in found.items() if counted}
    budgets = {
        variant: next((item.budget_ms for item in search.budgets if item.target == target), None)
        for variant, target in targets.items()
    }
    sessions = {variant: {"id": item.session, **asdict(item.quality)} for variant, item in measured.items()}
    result = ComparisonRecord(
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        hwnas=__version__,
        found=FOUND,
        architecture=arch.id,
        asked=ComparisonAsked(tuple(against), tuple(match_latency), tuple(variants), options.rounds),
        device=device.name,
        seeds=tuple(numbers),
        recipe={k: v for k, v in asdict(recipe.config).items() if k != "seed"},
        notes=recipe.notes,
        data=record.data,
        metric=task.metric,
        matches=tuple(matches.values()),
        sessions=sessions,
        networks=tuple(
            rows.row(run, task, name, networks[name], entries, measured, targets, budgets, energies)
            for name in networks
        ),
    )
    files.write_json(RunFolder(run).comparison, result.to_json())
    return result


def require_known(against: Sequence[str], families: Sequence[str], variants: Sequence[str]) -> None:
    """Raise HwnasError where there is nothing to compare with, or a name is of nothing.

    Args:
        against: As of ``compare``.
        families: Its ``match_latency``.
        variants: As of ``compare``.
    """
    if not against and not families:
        raise HwnasError("a comparison must be with something, but got nothing: name baselines or a family")
    if folders := [name for name in against if Path(name).expanduser().is_dir()]:
        raise HwnasError(
            "a comparison must be with known networks, which are trained as the run's own was, but "
            f"{folders[0]} is a folder: verify that run on the same device, and set the reports side by side"
        )
    for name in against:
        known.load(name)
    for name in families:
        known.family(name.partition("+")[0])
    offered = [
        f"{each.name}-{precision}" for each in runtimes.RUNTIMES.values() for precision in each.precisions
    ]
    if odd := [name for name in variants if name not in offered]:
        raise HwnasError(f"variants must be of {', '.join(offered)}, but got {', '.join(odd)}")


def _baseline(name: str, like: Architecture) -> Architecture:
    """The baseline for the input and the classes of another network."""
    return known.load(name, resolution=like.space.input_shape[1], num_classes=like.space.num_classes)


def _targets(device: Device, searched: Sequence[Target], wanted: Sequence[str]) -> dict[str, Target]:
    """What each variant is measured as: as the run's budget says, where it has one.

    Those of the run's budgets are measured too where nothing is shipped for their runtime alone.
    """
    there = {
        f"{runtime}-{precision}": device.target(runtime, precision)
        for runtime, precision in release.VARIANTS
        if runtime in device.runtimes
    }
    there |= {
        f"{target.runtime}-{target.precision}": target
        for target in searched
        if target.device == device.name and target.runtime in runtimes.RUNTIMES
    }
    odd = sorted(set(wanted) - set(there))
    if odd or not there:
        raise HwnasError(f"variants must be of {sorted(there)} on {device.name}, but got {odd or 'none'}")
    return {name: there[name] for name in wanted or there}


def _first(targets: Mapping[str, Target], searched: Sequence[Target]) -> Target:
    """The target to match on: the run's first budget that is measured here, or the first variant."""
    return next((target for target in searched if target in targets.values()), next(iter(targets.values())))


def _match(
    run: Path,
    family: str,
    arch: Architecture,
    model: Path,
    measurer: Callable[[], Measurer],
    target: Target,
    tell: Tell,
) -> Match:
    """The width of a family that is as fast; kept, so that a training that was cut off goes on."""
    path = RunFolder(run).match(family, target)
    if path.exists():
        remedy = f"delete {path} and compare again"
        kept = Match.of_file(files.read_json(path, MATCH, remedy), path, remedy)
        if kept.architecture == arch.id:
            return kept
    best, candidates = match.nearest(family, arch, model, measurer(), target, tell)
    found = Match(family, best.name, best.ratio, arch.id, target, candidates)
    files.write_json(path, found.to_json())
    return found


def _entry(
    run: Path,
    name: str,
    arch: Architecture,
    seed: int,
    recipe: Recipe,
    targets: Mapping[str, Target],
    dataset: Dataset,
    outcomes: KnownOutcomes,
    tell: Tell,
) -> ShippedNetwork:
    """A network of one seed: trained, exported, and looked at through each variant's runtime."""
    folder = contender.prepare(run, name, arch, seed, dataset)
    if name == FOUND and recipe.own and seed == recipe.config.seed:
        contender.adopt(run, folder)
    record = contender.trained(folder, recipe.seeded(seed), tell)
    manifest = contender.exported(folder, dataset, tell)
    tell(f"answers of {name}, seed {seed}")
    found: dict[str | None, Outcome] = {None: outcomes.of_weights(folder)}
    for variant, target in targets.items():
        tell(f"answers of {name}, seed {seed}, {variant}")
        item = contender.shipped(manifest, target)
        found[variant] = outcomes.of_model(RunFolder(folder).export / item.file, item.runtime)
    return ShippedNetwork(seed, folder, record, manifest, found)


def _measure(
    measurers: energy.Measurers,
    target: Target,
    entries: Mapping[str, Sequence[ShippedNetwork]],
    limit: ChosenEnergy | None,
    tell: Tell,
) -> tuple[Measured, dict[str, tuple[EnergyCheck, Verdict]]]:
    """Latencies of all networks, and their energies where the run has a limit on those; else none."""
    said = f"measuring {len(entries)} networks on {target}"
    tell(said)
    models: dict[str, Path | bytes] = {name: found[0].model(target) for name, found in entries.items()}
    measurer, missing = energy.counting(measurers, target, limit)
    own = measurer.measure(target, models, progress=in_rounds(tell, said))
    together = measured(own)
    if limit is None:
        return together, {}
    counted = {name: energy.checked(limit, own, name, missing, together.quality) for name in models}
    others = {
        name: (replace(found, predicted_mj=None), kept)
        for name, (found, kept) in counted.items()
        if name != FOUND
    }
    return together, counted | others
