"""The report of a run: one self-contained HTML file, made from the files that the run left."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hwnas import __version__, files, latency, ship
from hwnas.report import _page, _svg
from hwnas.space import Architecture


def write(run: Path, *, latencies: Sequence[Path] = (), baseline: Path | None = None) -> Path:
    """Make ``report.html`` in a run's folder from what is there.

    Args:
        run: Folder with at least ``arch.json`` and ``search.json``; training, export and
            verification are shown where they have been done.
        latencies: Latency models that the search believed, for predicted against measured.
        baseline: Another run under the same budget, to compare with.

    Raises:
        HwnasError: The run has no architecture, or a file in it cannot be read.
    """
    arch, search = ship.read_run(run)
    trained = _optional(run / "train.json")
    manifest = _optional(run / "export" / ship.MANIFEST)
    verification = (manifest or {}).get("verification")
    models = [latency.load(path) for path in latencies]
    sections = [
        _headline(arch, search, trained, verification),
        _variants(manifest, verification),
        _against(arch, search, trained, baseline),
        _architecture(arch, models),
        _search(search),
        _believed(models),
        _training(trained),
        _conditions(verification),
        _provenance(arch, search, trained, manifest),
    ]
    lead = f"{search['strategy']} search in {arch.space.name}, made with hwnas {__version__}"
    path = run / "report.html"
    files.write_atomic(path, _page.page(_title(search, verification), lead, [s for s in sections if s]))
    return path


def _optional(path: Path) -> dict[str, Any] | None:
    return files.read_json(path, "a record of the run") if path.exists() else None


def _title(search: Mapping[str, Any], verification: Mapping[str, Any] | None) -> str:
    device = search["constraints"][0]["target"]["device"]
    verdict = {"PASS": ": budget kept", "FAIL": ": not all promises kept"}
    return f"A network for {device}{verdict[verification['verdict']] if verification else ''}"


def _headline(
    arch: Architecture,
    search: Mapping[str, Any],
    trained: Mapping[str, Any] | None,
    verification: Mapping[str, Any] | None,
) -> str:
    items = [(f"{arch.macs / 1e6:.1f} M", "multiply-adds"), (f"{arch.params / 1e6:.2f} M", "parameters")]
    if trained:
        items.insert(0, (f"{trained['test_accuracy']:.2%}", "test accuracy in PyTorch, fp32"))
    if verification:
        items.insert(0, (verification["verdict"], f"verified on {verification['device']}"))
    items.append((str(search["data"]["source"]), "images"))
    return _page.cards(items)


def _variants(manifest: Mapping[str, Any] | None, verification: Mapping[str, Any] | None) -> str:
    if not manifest or not verification:
        return ""
    rows = []
    for item in verification["variants"]:
        budget, predicted = item["budget_ms"], item["predicted_ms"]
        measured, accuracy = item["measured_ms"], item["test_accuracy"]
        share = measured / budget if budget and measured else 0.0
        rows.append(
            (
                item["name"],
                _page.verdict(item["verdict"]),
                f"{item['bytes'] / 1024:.0f} KiB",
                "–" if accuracy is None else f"{accuracy:.2%}",
                "–"
                if measured is None
                else "{:.3f} ({:.3f} to {:.3f})".format(measured, *item["interval_ms"]),
                "–" if predicted is None else f"{predicted:.3f}",
                "–" if budget is None else f"{budget:.3f}",
                _page.Html(_svg.bar(share, over=share > 1)) if budget else "–",
            )
        )
    header = ("variant", "", "size", "accuracy", "measured ms (95 %)", "predicted ms", "budget ms", "")
    failures = [f"{v['name']}: {reason}." for v in verification["variants"] for reason in v["failures"]]
    return _page.section(
        "What ships",
        _page.table(header, rows, numeric=(2, 3, 4, 5, 6)),
        *(_page.paragraph(text) for text in failures),
    )


def _against(
    arch: Architecture,
    search: Mapping[str, Any],
    trained: Mapping[str, Any] | None,
    baseline: Path | None,
) -> str:
    if baseline is None or trained is None:
        return ""
    other_arch, other_search = ship.read_run(baseline)
    other = files.read_json(baseline / "train.json", "the baseline's record of training")
    rows = [
        (record["strategy"], f"{result['test_accuracy']:.2%}", f"{network.macs / 1e6:.1f}")
        for record, result, network in ((search, trained, arch), (other_search, other, other_arch))
    ]
    return _page.section(
        "Against the baseline",
        _page.table(("search", "test accuracy", "MACs (M)"), rows, numeric=(1, 2)),
        _page.paragraph(
            "Both were searched under the same budgets with the same supernet and trained with the same "
            "recipe, once each: small differences are noise."
        ),
    )


def _architecture(arch: Architecture, models: Sequence[latency.LatencyModel]) -> str:
    costs = models[0].costs_ms(arch.space) if models else None
    rows = []
    names = [choice.name for choice in arch.space.choices]
    chosen = arch.workloads[len(arch.space.stem) : len(arch.space.stem) + len(names)]
    taken = [float(c[i]) for c, i in zip(costs.choices_ms, arch.indices, strict=True)] if costs else []
    total = sum(taken) + (costs.fixed_ms if costs else 0.0)
    for number, (name, workload) in enumerate(zip(names, chosen, strict=True)):
        block = "left out" if workload.block.is_identity else workload.block.key()
        row = [name, "x".join(map(str, workload.in_shape)), block, f"{workload.macs / 1e6:.2f}"]
        if costs:
            share = taken[number] / total
            row += [f"{taken[number]:.4f}", _page.Html(_svg.bar(share))]
        rows.append(row)
    header = ["choice", "input", "block", "MACs (M)"] + (["ms", "share of latency"] if costs else [])
    note = ""
    if models and costs:
        note = _page.paragraph(
            f"Latency as the model of {models[0].target} believes it; stem, head and the cost of a run "
            f"together take {costs.fixed_ms:.4f} ms."
        )
    return _page.section("The network", _page.table(header, rows, numeric=(3, 4)), note)


def _search(search: Mapping[str, Any]) -> str:
    figures = []
    trials = search.get("trials", [])
    if trials:
        best = search["best"]
        points = [(t["latencies_ms"][0], t["accuracy"], 0.0) for t in trials]
        name = search["constraints"][0]["name"]
        chart = _svg.scatter(
            points,
            x=f"predicted ms on {name}",
            y="estimated accuracy",
            highlight=[(t["latencies_ms"][0], t["accuracy"]) for t in trials if t["indices"] == best],
        )
        figures.append(_page.figure(chart, "Architectures that were scored; the chosen one is ringed."))
    trace = [step for step in search.get("trace", []) if "expected_share" in step]
    if trace:
        course = tuple((float(step["step"]), float(step["expected_share"])) for step in trace)
        chart = _svg.lines(
            [_svg.Series("expected latency", course)],
            x="architecture step",
            y="expected latency / budget",
            levels=[("budget", 1.0)],
        )
        figures.append(_page.figure(chart, "The expected latency is driven to the budget."))
    if not figures:
        return ""
    return _page.section("The search", f'<div class="pair">{"".join(figures)}</div>')


def _believed(models: Sequence[Any]) -> str:
    figures, rows = [], []
    for model in models:
        found = model.evaluation.get("heldout")
        if found is None:
            continue
        points = [
            (measured, predicted, 1.645 * std)
            for measured, predicted, std in zip(
                found.measured_ms, found.predicted_ms, found.std_ms, strict=True
            )
        ]
        chart = _svg.scatter(points, x="measured ms", y="predicted ms", diagonal=True)
        figures.append(
            _page.figure(chart, f"{model.target}: networks that the model never saw, 90 % intervals.")
        )
        rows.append(
            (
                str(model.target),
                model.name,
                str(found.networks),
                f"{found.mape:.1%}",
                f"{found.within_5:.0%}",
                f"{found.within_10:.0%}",
                "–" if found.spearman is None else f"{found.spearman:.3f}",
            )
        )
    if not figures:
        return ""
    header = ("target", "model", "networks", "MAPE", "within 5 %", "within 10 %", "Spearman")
    return _page.section(
        "Can the latency model be believed?",
        _page.table(header, rows, numeric=(2, 3, 4, 5, 6)),
        f'<div class="pair">{"".join(figures)}</div>',
    )


def _training(trained: Mapping[str, Any] | None) -> str:
    if not trained or not trained["history"]:
        return ""
    history = trained["history"]

    def series(label: str, name: str) -> _svg.Series:
        return _svg.Series(label, tuple((float(h["epoch"]), float(h[name])) for h in history))

    charts = (
        _svg.lines(
            [series("training", "accuracy"), series("validation", "val_accuracy")], x="epoch", y="accuracy"
        ),
        _svg.lines([series("training", "loss"), series("validation", "val_loss")], x="epoch", y="loss"),
    )
    captions = (
        "Training accuracy is on augmented images, so it may be below validation.",
        "The training loss has label smoothing, the validation loss has none.",
    )
    figures = "".join(_page.figure(*pair) for pair in zip(charts, captions, strict=True))
    return _page.section("Training from scratch", f'<div class="pair">{figures}</div>')


def _conditions(verification: Mapping[str, Any] | None) -> str:
    if not verification:
        return ""
    rows = [
        (item["name"], name.replace("_", " "), str(value))
        for item in verification["variants"]
        for name, value in item["conditions"].items()
        if name not in ("output_sha256", "start_ns")
    ]
    return _page.section("Conditions of measurement", _page.table(("variant", "what", "value"), rows))


def _provenance(
    arch: Architecture,
    search: Mapping[str, Any],
    trained: Mapping[str, Any] | None,
    manifest: Mapping[str, Any] | None,
) -> str:
    rows = [
        ("architecture", arch.id),
        ("indices", ".".join(map(str, arch.indices))),
        ("space", f"{arch.space.name} ({arch.space.fingerprint})"),
        ("search seed", str(search["seed"])),
        ("data fingerprint", str(search["data"]["fingerprint"])),
    ]
    if trained:
        rows.append(("training seed", str(trained["config"]["seed"])))
    if manifest:
        rows.append(("exported", manifest["created"]))
        rows.append(("licence", manifest.get("licence") or "unspecified by the user"))
        rows += [(name, digest) for name, digest in manifest["files"].items() if name != ship.REPORT]
    return _page.section("Where it comes from", _page.table(("what", "value"), rows))
