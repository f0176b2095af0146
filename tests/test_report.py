"""The report: one file, no network, well-formed, and nothing of the data is taken as HTML."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shlex
import shutil
from dataclasses import asdict, replace
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import pytest
import report_run
import typer
from typer.testing import CliRunner

from hwnas import blocks, finalists, release, report, search, spaces
from hwnas.budget import Budget
from hwnas.cli import app
from hwnas.errors import HwnasError
from hwnas.evaluators.supernet.config import OneShotConfig
from hwnas.measure import ProfileOptions
from hwnas.pools import PoolSpec
from hwnas.report import _network, _page, _reproduce, _style, _svg, _text
from hwnas.report._record import read
from hwnas.search.request import SearchRequest
from hwnas.settings import options, section
from hwnas.train import TrainConfig

VOID = {"meta", "link", "img"}
HOSTILE = """<script>alert(1)</script><img src=x onerror=alert(2)>" onload="alert(3)' &amp;"""


class Balanced(HTMLParser):
    """Fails where a tag is closed that is not the one that is open; collects what is there."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text: list[str] = []
        self.seen: list[tuple[str, dict[str, str]]] = []

    def handle_starttag(self, tag, attrs):
        self.seen.append((tag, {name: value or "" for name, value in attrs}))
        assert len({name for name, _ in attrs}) == len(attrs), "an attribute is there twice"
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.seen.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open[-1:] not in (["style"], ["script"]):
            self.text.append(data)

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.seen if name == tag]

    def said(self) -> str:
        return " ".join(" ".join(self.text).split())


def parse(path: Path) -> Balanced:
    parser = Balanced()
    parser.feed(path.read_text())
    parser.close()
    assert parser.open == []
    return parser


def edit(path: Path, change) -> None:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


@pytest.fixture(scope="module")
def _complete(_exported_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return report_run.complete(
        Path(shutil.copytree(_exported_run, tmp_path_factory.mktemp("complete") / "run"))
    )


@pytest.fixture
def full_run(_complete: Path, tmp_path: Path) -> Path:
    """A run with everything, to be changed at will."""
    return Path(shutil.copytree(_complete, tmp_path / "run"))


def written(run: Path) -> Balanced:
    return parse(report.write(run, tables=run / "tables", baseline=run))


def test_a_report_is_self_contained(full_run):
    found = written(full_run)
    links = [
        v for _, a in found.seen for n, v in a.items() if n in ("src", "href", "srcset", "action", "data")
    ]
    inline = {link.partition(",")[0] for link in links}
    assert inline <= {"data:", "data:image/png;base64"}, "nothing may be loaded from anywhere"
    text = (full_run / "report.html").read_text()
    assert not re.search(r"https?://|@import|url\(", text)
    script = re.fullmatch(r".*<script>(.*)</script></body></html>\n", text, re.DOTALL)[1]
    assert script == _page.marks()
    assert text.count("<script") == 1
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    (rules,) = (meta["content"] for meta in found.all("meta") if "http-equiv" in meta)
    assert f"script-src 'sha256-{digest}'" in rules
    assert "default-src 'none'" in rules
    assert text.index(rules.partition(";")[0].split()[0]) < text.index("<title>"), "it binds all that follows"
    assert len(text) < 300_000


def test_a_folder_that_is_no_run_is_refused(tmp_path):
    with pytest.raises(HwnasError, match="the found architecture must be there"):
        report.write(tmp_path)
    assert list(tmp_path.iterdir()) == []


SECTIONS = {
    "gallery.json": "hwnas pick",
    "compare.json": "Against known networks",
    "train.json": "Training",
    "latency": "Can the latency model be believed?",
    "export": "What ships: fp32 and int8",
}


@pytest.mark.parametrize(("file", "words"), SECTIONS.items())
def test_a_section_is_there_when_its_files_are(full_run, file, words):
    assert words in written(full_run).said()
    path = full_run / file
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    found = parse(report.write(full_run, tables=full_run / "tables")).said()
    assert words not in found
    assert "The network" in found


def test_a_search_alone_has_a_report(exported_run):
    shutil.rmtree(exported_run / "export")
    for name in ("train.json", "weights.safetensors"):
        (exported_run / name).unlink()
    found = parse(report.write(exported_run)).said()
    assert "not measured yet" in found
    assert "asked 1000 ms, predicted 0.500" in found
    assert "no latency model was given" in found


@pytest.mark.parametrize(
    ("measured_ms", "interval_ms", "words", "kind"),
    [
        (11.8, [11.7, 11.9], "PASS", "kept"),
        (12.02, [11.95, 12.1], "NOT PROVEN", "open"),
        (11.8, [11.7, 12.6], "NOT PROVEN", "open"),
        (12.3, [12.2, 12.5], "FAIL", "broken"),
    ],
)
def test_the_headline_says_what_was_asked_predicted_and_measured(
    full_run, measured_ms, interval_ms, words, kind
):
    def change(manifest):
        item = next(v for v in manifest["verification"]["variants"] if v["name"] == "litert-int8")
        item |= {"measured_ms": measured_ms, "interval_ms": interval_ms, "checks": {}}

    edit(full_run / "export" / release.MANIFEST, change)
    edit(full_run / "search.json", lambda s: s["promise"]["targets"][0].update(asked_ms=12.0))
    found = written(full_run)
    half = max(measured_ms - interval_ms[0], interval_ms[1] - measured_ms)
    said = f"asked 12.0 ms, predicted 11.7 ± 0.2, measured {measured_ms:.1f} ± {half:.1f}"
    assert said in found.said()
    assert f"host/litert-int8 : {words} {said}" in found.said()
    boxes = [a["class"] for a in found.all("div") if a.get("class", "").startswith("promise ")]
    assert boxes[:1] == [f"promise {kind}"]
    assert "The search measured 11.8 ± 0.2 ms before it was trained." in found.said()


def test_int8_is_set_against_fp32(full_run):
    def change(manifest):
        for item in manifest["verification"]["variants"]:
            exact = item["name"] == "litert-fp32"
            del item["accuracy"]  # as an earlier version wrote it
            item |= {"test_accuracy": 0.95 if exact else 0.9375, "measured_ms": 4.0 if exact else 1.6}
            item["interval_ms"] = [3.8, 4.2] if exact else [1.5, 1.75]

    edit(full_run / "export" / release.MANIFEST, change)
    said = written(full_run).said()
    assert "litert 95.00% 93.75% +1.25 points 4.00 ± 0.20 1.60 ± 0.15 2.50× (2.25 to 2.71)" in said
    assert "onnxruntime 93.75% 93.75% nothing" in said


def test_fine_tuning_under_rounding_is_told(full_run):
    ptq, qat = {"litert": 0.9, "onnxruntime": 0.91}, {"litert": 0.95, "onnxruntime": 0.94}
    made = {"allowed_loss": 0.01, "fp32": 0.96, "ptq": ptq, "qat": qat, "failure": None, "shipped": "qat"}
    edit(full_run / "export" / release.MANIFEST, lambda manifest: manifest.update(int8=made))
    said = written(full_run).said()
    assert "litert 96.00% 90.00% 95.00% onnxruntime 96.00% 91.00% 94.00%" in said
    assert "More than 1.00 points below fp32" in said
    assert "the fine-tuned weights ship in int8" in said
    untuned = {**made, "qat": None, "shipped": "ptq", "failure": "the loss became NaN"}
    edit(full_run / "export" / release.MANIFEST, lambda manifest: manifest.update(int8=untuned))
    said = written(full_run).said()
    assert "litert 96.00% 90.00% – " in said
    assert "The fine-tuning was given up: the loss became NaN" in said


def test_what_was_not_measured_is_a_dash(full_run):
    def change(manifest):
        for item in manifest["verification"]["variants"]:
            item |= dict.fromkeys(("test_accuracy", "accuracy_loss", "measured_ms", "interval_ms"))
        manifest["verification"]["notes"] = ["the images were not at hand"]

    edit(full_run / "export" / release.MANIFEST, change)
    said = written(full_run).said()
    assert "litert – – – – – –" in said
    assert "the images were not at hand" in said
    assert "measured 11.8 ± 0.2" in said, "what the search measured is what is left"


def test_the_shares_of_the_blocks_are_those_of_the_latency_model(full_run):
    found = written(full_run)
    drawn = [a["style"] for tag, a in found.seen if tag == "i" and a.get("style", "").startswith("flex:")]
    skyline = [float(re.match(r"flex:([\d.]+)", style)[1]) for style in drawn if "height" in style]
    arch, model = release.read_run(full_run)[0], read(full_run).models[0]
    costs = model.costs(arch.space)
    taken = [float(costs.choices[n][i]) for n, i in enumerate(arch.indices)]
    expected = [t for t in taken if t] + [costs.fixed]
    assert sum(skyline) == pytest.approx(1, abs=1e-3)
    assert skyline == pytest.approx([e / (sum(taken) + costs.fixed) for e in expected], abs=1e-4)
    assert f"{arch.workloads[-1].block.out_shape(arch.workloads[-1].in_shape)[0]} classes" in found.said()


def test_every_block_kind_is_described_in_words():
    said = {
        _network.describe(block)
        for name in spaces.SPACES
        for choice in spaces.load(name).choices
        for block in choice.candidates
    }
    assert {"left out", "MBConv 5×5, expansion 6, stride 2", "MBConv 3×3, expansion 1, groups 2"} <= said
    fused = _network.describe(blocks.FusedMBConv(8, 16, 3, 2, 4, "relu6"))
    assert fused == "fused MBConv 3×3, expansion 4, stride 2, relu6"
    assert not any("_" in text for text in said)


def test_the_gallery_is_drawn_with_its_front_and_the_chosen_one(full_run):
    text = written(full_run).said()
    assert "0.0.0.0.0.0.0.0 50.00% (47.0% to 52.0%) 2.00 ± 0.20" in text
    assert "1.1.1.1.1.1.1.1 70.00%" not in text, "it is not on the front"
    assert "12.1 ± 0.1 measured" in text
    html = (full_run / "report.html").read_text()
    assert html.count('class="ring') >= 2, "the chosen one, in each target's chart"


def test_the_commands_are_ones_that_the_command_line_takes(full_run):
    record = read(full_run, tables=full_run / "tables")
    main = typer.main.get_command(app)
    parsed = {}
    for line in _reproduce.commands(record):
        program, verb, *options = shlex.split(" ".join(line))
        assert program == "hwnas"
        options = ["fbnet" if word == "by hand" else word for word in options]
        parsed.setdefault(verb, main.commands[verb].make_context(verb, options).params)
    assert list(parsed) == ["profile", "fit", "search", "train", "export", "verify", "compare", "report"]
    asked = {name: parsed["compare"][name] for name in ("match_latency", "variants", "seeds", "device")}
    assert asked == {"match_latency": "mobilenetv2", "variants": "litert-int8", "seeds": 2, "device": "host"}
    assert parsed["compare"]["against"] == "", "the width of a family was chosen, not named"
    assert [float(b) for b in parsed["search"]["budget_ms"]] == [item.budget_ms for item in record.budgets]
    assert parsed["search"]["seed"] == record.search.seed
    assert parsed["search"]["space"] == record.arch.space.name
    assert parsed["profile"]["seed"] == 4
    for name in ("epochs", "batch_size", "learning_rate", "seed"):
        assert parsed["train"][name] == record.trained.config[name]


REQUESTS = {
    "fbnet": {"strategy": "fbnet", "settings": {"warmup_steps": 30, "steps": 20, "loss": "hold"}},
    "random": {"strategy": "random", "settings": {"queries": 7}, "training_steps": 45},
    "evolution": {"strategy": "evolution", "objectives": ("macs",), "limits": {"bytes": 4e6, "macs": 1e7}},
    "measured": {"strategy": "random", "measured": True, "confidence": 0.8, "seed": 5},
    "scratch": {
        "strategy": "random",
        "scratch": TrainConfig(3, 32, seed=5),
        "pool": PoolSpec(count=2),
        "seed": 5,
    },
    "blockwise": {
        "strategy": "exact",
        "settings": {"queries": 9},
        "oneshot": {"training": "blockwise", "block_score": "loss"},
    },
    "layerwise": {
        "strategy": "exact",
        "settings": {"queries": 9},
        "oneshot": {"training": "blockwise", "layerwise": True},
        "pool": PoolSpec(count=2),
    },
    "weighed": {
        "strategy": "random",
        "scratch": TrainConfig(3, 32, seed=5, class_weights="balanced"),
        "seed": 5,
    },
}


@pytest.mark.parametrize("name", REQUESTS)
def test_the_command_of_a_search_asks_for_the_same_search(full_run, name, monkeypatch):
    """Typed into the real command line, it makes the very request that was recorded."""
    given = dict(REQUESTS[name])
    training = given.get("training_steps", 50 if name == "fbnet" else 600)
    oneshot = OneShotConfig(width=0.25, resolution=8, batch_size=16, seed=given.get("seed", 0), device="cpu")
    oneshot = replace(oneshot, **given.pop("oneshot", {}))
    arch, before = release.read_run(full_run)
    budgets = tuple(Budget.read(repr(float(item.budget_ms))) for item in before.budgets)
    asked = SearchRequest(
        arch.space.name, (), budgets, data="digits", oneshot=oneshot, **{**given, "training_steps": training}
    )

    def change(search):
        search |= {"request": json.loads(json.dumps(asked.identity())), "strategy": asked.strategy}
        search |= {"seed": asked.seed, "confidence": asked.confidence, "limits": asked.limits}
        search |= {"objectives": asked.objectives, "config": {}, "oneshot": asked.identity()["oneshot"]}
        search["promise"] |= {"networks_measured": 3 if asked.measured else 0, "rank": "fp32"}
        if asked.scratch:
            config = {"epochs": 3, "batch_size": 32, "class_weights": asked.scratch.class_weights}
            search["scratch"] = {"config": config, "pool": str(asked.pool)}
            del search["oneshot"]
        elif not asked.pool.is_here:
            search["oneshot"]["pool"] = str(asked.pool)

    edit(full_run / "search.json", change)
    edit(full_run / "gallery.json", lambda gallery: gallery.update(points=7, each=4))
    line = next(line for line in _reproduce.commands(read(full_run)) if line[0] == "hwnas search")
    seen = {}

    def search_for(budgets, request, out, options, **_):
        seen.update(budgets=budgets, request=request, out=out, options=options)

    monkeypatch.setattr(finalists, "search_for", search_for)
    words = shlex.split(" ".join(line))[1:]
    done = CliRunner().invoke(app, words + ["--train-on", "cpu"] * ("--train-on" not in words))
    assert done.exit_code == 0, done.output
    assert seen["budgets"] == ()
    assert (seen["out"], seen["options"].measure, seen["options"].rank) == (
        Path("RUN"),
        asked.measured,
        "fp32",
    )
    assert seen["options"].gallery_points == 7
    assert seen["request"].pool == asked.pool
    usual = asdict(search.strategy(asked.strategy)())
    full = replace(asked, settings={**usual, **asked.settings})
    typed, recorded = (item.identity() for item in (replace(seen["request"], latencies=()), full))
    # whether finalists are measured is the options', not the request's, until the search begins
    foreign = {"latencies", "measured"} | (
        {"oneshot", "training_steps", "settings"} if asked.scratch else set()
    )
    assert {n: v for n, v in typed.items() if n not in foreign} == {
        n: v for n, v in recorded.items() if n not in foreign
    } | ({} if asked.settings or asked.scratch else {"settings": typed["settings"]})


def search_command(run: Path) -> str:
    return next(" ".join(line) for line in _reproduce.commands(read(run)) if line[0] == "hwnas search")


@pytest.mark.parametrize(("points", "option"), [(None, 0), (3, 3)])
def test_the_command_of_a_search_has_its_gallery_and_its_supernet(full_run, points, option):
    """Without a gallery, none is asked for; one of an earlier version does not say how it was drawn."""
    if points is None:
        (full_run / "gallery.json").unlink()
    else:
        assert "gallery" not in search_command(full_run)
        edit(full_run / "gallery.json", lambda gallery: gallery.update(points=points))

    def change(search):
        search["supernet_sha256"] = "0" * 64
        search["strategy"], search["request"] = "random", {"settings": {"queries": 4}, "training_steps": 600}
        search["config"] = {}

    edit(full_run / "search.json", change)
    asked = typed(full_run, "search")
    assert asked["gallery"] == option
    assert asked["supernet"] == Path("OTHER_RUN/supernet.safetensors")
    line = search_command(full_run)
    assert "--proxy-width" not in line, "the supernet has its own"
    assert "--warmup-steps" not in line, "it is not trained"
    assert "OTHER_RUN that of another one that was used" in written(full_run).said()


def test_how_well_an_exact_search_foretold_its_networks_is_said(full_run):
    left_out = {"networks": 24, "spearman": 0.61, "half_90": 0.021, "coverage_90": 22 / 24}
    extra = {"best_of": {"exact": 0.8, "random": 0.75}, "spearman": 0.5, "left_out": left_out}
    edit(full_run / "search.json", lambda search: search.update(extra=extra))
    said = written(full_run).said()
    assert "errors of blocks rank them with a Spearman of 0.50. Each foretold from errors" in said
    assert "hold 22 of 24." in said


def test_what_has_no_option_of_its_own_is_set(full_run):
    """Whatever a file of hwnas run sets can be typed, and is, where it is not the usual."""

    def change(search):
        search["strategy"] = "evolution"
        search["request"] = {"settings": {"population": 9, "tournament": 10, "queries": 4}}
        search["oneshot"] = OneShotConfig(momentum=0.8, device="cpu").recorded()
        search["promise"]["options"] = asdict(finalists.FinalistsOptions(finalists=1))
        search["promise"]["measuring"] = asdict(ProfileOptions(cpus=(1, 2)))

    edit(full_run / "search.json", change)
    sets = typed(full_run, "search")["more"]
    assert sets == [
        "search.supernet.momentum=0.8",
        "search.settings.population=9",
        "promise.finalists=1",
        "promise.measuring.cpus=[1, 2]",
    ]
    assert [options.set_read(text)[2] for text in sets] == [0.8, 9, 1, [1, 2]]


def test_what_was_verified_of_earlier_weights_is_not_shown_as_kept(full_run):
    """Training again leaves the export and its verification standing: the headline is not green."""
    edit(full_run / "train.json", lambda trained: trained.update(weights_sha256="0" * 64))
    (full_run / "weights.safetensors").unlink()
    edit(full_run / "search.json", lambda s: s.pop("promise"))
    found = written(full_run)
    assert "A network for host: FAIL" in found.said()
    assert "and the run's are 00000000 now: " in found.said()
    assert "make it anew" in found.said()
    assert "host/litert-int8 : not measured yet asked" in found.said()
    boxes = [a["class"] for a in found.all("div") if a.get("class", "").startswith(("promise", "verdict"))]
    assert "promise kept" not in boxes
    assert "verdict broken" in boxes


LEARNING = {
    "FAIL": ("it learned nothing: 4 of 20", "broken"),
    "NOT PROVEN": ("20 images cannot tell whether it learned anything", "open"),
}


@pytest.mark.parametrize("word", LEARNING)
def test_a_network_that_learned_nothing_has_no_green_headline(full_run, word):
    reason, kind = LEARNING[word]

    def change(manifest):
        for item in manifest["verification"]["variants"]:
            item["checks"]["learning"] = {"verdict": word, "reasons": [reason]}

    edit(full_run / "export" / release.MANIFEST, change)
    found = written(full_run)
    assert f"A network for host: {word} " in found.said()
    assert reason in found.said()
    assert f"verdict {kind}" in [a.get("class") for a in found.all("div")]


def test_a_limit_on_energy_that_is_not_proven_has_no_green_headline(full_run):
    energy = {"name": "host/litert-int8", "asked_mj": 3.0, "predicted_mj": 2.9, "predicted_std_mj": 0.1}
    energy |= {"measured_mj": 3.4, "interval_mj": [3.3, 3.6], "sentence": "energy: 3.4 mJ"}

    def headline(**found) -> str:
        edit(full_run / "search.json", lambda search: search["promise"].update(energy={**energy, **found}))
        return written(full_run).said()

    said = headline(verdict="NOT PROVEN", reasons=["energy must be at most 3 mJ, but is not shown to be"])
    assert "A network for host: NOT PROVEN " in said
    assert "energy must be at most 3 mJ, but is not shown to be" in said
    assert "budgets kept" not in headline(verdict=None, reasons=[], measured_mj=None)
    assert "A network for host: budgets kept" in headline(verdict="PASS", reasons=[])
    assert "A network for host: budgets kept" in headline(verdict=None, reasons=[], asked_mj=None)


def test_a_search_that_did_not_measure_says_so_only_until_something_was_measured(full_run):
    def change(search):
        for target in search["promise"]["targets"]:
            target |= {"measured_ms": None, "interval_ms": None, "note": "not measured, as asked"}

    edit(full_run / "search.json", change)
    assert "not measured, as asked" not in written(full_run).said(), "what ships was measured"
    edit(full_run / "export" / release.MANIFEST, lambda manifest: manifest.pop("verification"))
    said = written(full_run).said()
    assert "not measured, as asked" in said
    assert "budgets kept" not in said


def typed(run: Path, verb: str, **places) -> dict:
    """The parameters of a printed command, as the real command line reads them."""
    lines = [" ".join(line) for line in _reproduce.commands(read(run, **places))]
    line = next(line for line in lines if line.startswith(f"hwnas {verb}"))
    _, name, *options = shlex.split(line)
    return typer.main.get_command(app).commands[name].make_context(name, options).params


def rewritten(run: Path, change) -> None:
    """Change the lines of the first table."""
    path = run / "tables" / "litert-int8.jsonl"
    lines = [line for item in path.read_text().splitlines() if (line := change(json.loads(item))) is not None]
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))


def test_networks_that_were_not_counted_are_not_asked_to_be_none(full_run):
    usual = ProfileOptions()
    places = {"tables": full_run / "tables"}
    rewritten(full_run, lambda line: None if str(line.get("key", "")).startswith("net:") else line)
    found = typed(full_run, "profile", **places)
    assert found["calibration_networks"] == usual.calibration_networks
    assert found["heldout_networks"] == usual.heldout_networks

    def noted(line):
        if line.get("note") == "begin":
            line["facts"] |= {"calibration_networks": 0, "heldout_networks": 3, "samples": 4}
        return line

    rewritten(full_run, noted)
    found = typed(full_run, "profile", **places)
    assert (found["calibration_networks"], found["heldout_networks"], found["samples"]) == (0, 3, 4)


def test_a_device_of_a_few_networks_is_profiled_by_a_few_again(full_run):
    rewritten(full_run, lambda line: line if str(line.get("key", "net:")).startswith("net:") else None)
    places = {"tables": full_run / "tables"}
    networks = {
        line for line in (full_run / "tables" / "litert-int8.jsonl").read_text().split('"') if "net:" in line
    }
    assert typed(full_run, "profile", **places)["few"] == len(networks)
    assert typed(full_run, "fit", **places)["model"] == "transfer"


def test_the_commands_of_export_and_verify_have_their_settings(full_run):
    settings = {"calibration_images": 77, "qat_if_worse": 0.02, "qat_epochs": 2, "int8_drop": 0.5}

    def change(manifest):
        manifest |= {"settings": settings, "licence": "MIT OR Apache-2.0"}
        manifest["verification"] |= {"rounds": 11, "accepted_noise": True}

    edit(full_run / "export" / release.MANIFEST, change)
    found = typed(full_run, "export")
    assert {name: found[name] for name in settings} == settings
    assert found["licence"] == "MIT OR Apache-2.0"
    found = typed(full_run, "verify")
    usual = {name: key.default for name, key in section("verify").items()}
    assert (found["rounds"], found["accept_noise"], found["skip_accuracy"]) == (11, True, False)
    assert {name: found[name] for name in ("samples", "min_round_s")} == {
        name: usual[name] for name in ("samples", "min_round_s")
    }, "an earlier version did not say"

    def more(manifest):
        manifest["verification"] |= {"samples": 5, "min_round_s": 0.25}

    edit(full_run / "export" / release.MANIFEST, more)
    found = typed(full_run, "verify")
    assert (found["rounds"], found["samples"], found["min_round_s"]) == (11, 5, 0.25)


def test_the_report_tells_nothing_of_the_machine(full_run):
    secret = "/home/ada/very secret/cats"

    def change(record):
        record["data"]["source"] = secret

    edit(full_run / "search.json", change)
    edit(full_run / "train.json", change)
    edit(full_run / "train.json", lambda trained: trained.update(teacher={"run": "/home/ada/teacher"}))
    said = written(full_run).said()
    assert "--data cats" in said
    assert "--teacher teacher" in said
    assert "/home/ada" not in (full_run / "report.html").read_text()


def test_the_command_of_a_training_has_all_that_is_not_usual(full_run):
    unusual = {"ema": 0.99, "mixup": 0.2, "flip": True, "distill_weight": 0.7, "crop": 0.25}

    def change(trained):
        trained["config"] |= unusual
        trained |= {"teacher": {"run": "big one"}, "start": {"from": "supernet"}}

    edit(full_run / "train.json", change)
    line = next(line for line in _reproduce.commands(read(full_run)) if line[0] == "hwnas train RUN")
    _, verb, *options = shlex.split(" ".join(line))
    params = typer.main.get_command(app).commands[verb].make_context(verb, options).params
    assert {name: params[name] for name in unusual} == unusual
    assert (str(params["teacher"]), params["init"]) == ("big one", "supernet")
    assert "--erasing" not in " ".join(line)


def test_the_command_of_a_training_without_augmentation_asks_for_none_of_it(full_run):
    unusual = {"augment": False, "flip": True, "crop": 0.25, "erasing": 0.5, "ema": 0.99}
    edit(full_run / "train.json", lambda trained: trained["config"].update(unusual))
    line = next(line for line in _reproduce.commands(read(full_run)) if line[0] == "hwnas train RUN")
    words = " ".join(line).split()
    assert {"--no-augment", "--ema"} <= set(words)
    assert not {"--flip", "--crop", "--erasing"} & set(words), "they would do nothing, and are refused"


def test_a_table_that_grew_since_the_fit_is_told_apart(full_run):
    assert "another state of this table" not in written(full_run).said()
    path = full_run / "tables" / "litert-int8.jsonl"
    lines = path.read_text().splitlines()
    row = next(json.loads(line) for line in lines if '"samples_ms"' in line)
    path.write_text("\n".join([*lines, json.dumps({**row, "round": 99})]) + "\n")
    assert "another state of this table" in written(full_run).said()


def test_the_verdict_on_the_session_is_there_in_words(full_run):
    path = full_run / "tables" / "litert-int8.jsonl"
    note = {"note": "span", "session": "20261124T111216Z-66e1", "facts": {"wall_s": 2.0, "others_share": 0.6}}
    assert "host/litert-int8 2026-11-24 11:12 UTC stable" in written(full_run).said()
    path.write_text(path.read_text() + json.dumps(note) + "\n")
    assert "host/litert-int8 2026-11-24 11:12 UTC noisy" in written(full_run).said()
    assert "other processes used 60% of the CPUs" in written(full_run).said()


def test_the_session_of_what_ships_is_there_with_its_verdict(full_run):
    said = written(full_run).said()
    assert "litert-fp32, litert-int8: A CPU, litert 2.3.0." in said
    row = "onnxruntime-int8 2026-11-24 12:12 UTC noisy 9 a fan was heard 28 of 28 nodes taken"
    assert row in said

    def forget(manifest):
        for item in manifest["verification"]["variants"]:
            del item["session"]

    edit(full_run / "export" / release.MANIFEST, forget)  # as an earlier version wrote it
    assert "onnxruntime-int8 – – – – 28 of 28 nodes taken" in written(full_run).said()


def test_names_from_outside_are_text(full_run):
    def poison_search(search):
        search["strategy"] = search["data"]["source"] = search["data"]["fingerprint"] = HOSTILE
        search["extra"] = {"alarms": [HOSTILE]}
        search["promise"]["refusal"] = HOSTILE
        search["promise"]["steps"][0]["purpose"] = HOSTILE
        for made, item in zip(search["promise"]["targets"], search["constraints"], strict=True):
            made["name"] = item["name"] = item["name"] + HOSTILE
            made["note"] = item["latency_sha256"] = HOSTILE

    def poison_manifest(manifest):
        manifest["files"][HOSTILE] = manifest["created"] = manifest["licence"] = manifest["hwnas"] = HOSTILE
        manifest["versions"][HOSTILE] = HOSTILE
        manifest["verification"]["notes"] = [HOSTILE]
        for item in manifest["verification"]["variants"]:
            item["file"] = HOSTILE
            item["checks"][HOSTILE] = {"verdict": "FAIL", "reasons": [HOSTILE]}
            item["conditions"]["cpus"] = [HOSTILE]
            item["session"] |= {"id": HOSTILE, "verdict": HOSTILE, "reasons": [HOSTILE]}
            item["session"]["environment"]["cpu_model"] = HOSTILE

    def poison_gallery(gallery):
        for target in gallery["targets"]:
            target["name"] += HOSTILE

    def poison_comparison(comparison):
        comparison["notes"] = [HOSTILE]
        comparison["device"] = comparison["matches"][0]["chosen"] = comparison["architecture"] = HOSTILE
        for network in comparison["networks"]:
            network["name"] += HOSTILE
            network["variants"][0]["name"] = HOSTILE

    def poison_training(trained):
        trained["start"] = {"from": HOSTILE}

    def poison_mistakes(mistakes):
        mistakes["class_names"] = [HOSTILE] * len(mistakes["class_names"])
        mistakes["split"] = mistakes["surest"][0]["png"] = HOSTILE

    edit(full_run / "search.json", poison_search)
    edit(full_run / "export" / release.MANIFEST, poison_manifest)
    edit(full_run / "gallery.json", poison_gallery)
    edit(full_run / "compare.json", poison_comparison)
    edit(full_run / "train.json", poison_training)
    edit(full_run / "mistakes.json", poison_mistakes)
    table = full_run / "tables" / "litert-int8.jsonl"
    table.write_text(table.read_text().replace("A CPU", json.dumps(HOSTILE)[1:-1]))
    found = written(full_run)
    assert all(image["src"].startswith("data:image/png;base64,") for image in found.all("img"))
    assert not {"iframe", "object", "embed", "form"} & {tag for tag, _ in found.seen}
    assert len(found.all("script")) == 1
    assert not [name for _, attributes in found.seen for name in attributes if name.startswith("on")]
    assert "".join(found.text).count("<script>alert(1)</script>") > 20


def test_a_damaged_file_is_one_sentence_and_no_report(full_run):
    edit(full_run / "gallery.json", lambda gallery: gallery.pop("entries"))
    with pytest.raises(HwnasError, match=r"must be as hwnas writes it, .* as entries"):
        report.write(full_run)
    assert not (full_run / "report.html").exists()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "history.jsonl has no whole line"),
        ('{"schema": "hwnas-history/1"}\n{oops\n', "line 2 of history.jsonl must be JSON"),
        ('{"schema": "hwnas-history/1"}\n{"indices": ', "the last one of history.jsonl was cut off"),
        ('{"schema": "hwnas-history/1"}\n{"step": 1}\n', "line 2 of history.jsonl must hold a trial"),
        (
            '{"schema": "hwnas-trace/1"}\n{"step": 1}\n{"loss": 2.0}\n',
            "line 3 of history.jsonl must hold a step",
        ),
        ('{"schema": "hwnas-trace/1"}\n{"step": 1}\n{"st', "the last one of history.jsonl was cut off"),
        ('{"schema": "other/1"}\n', "history.jsonl is of 'other/1'"),
    ],
)
def test_a_damaged_history_is_named_and_the_report_is_made_all_the_same(full_run, content, words):
    (full_run / "history.jsonl").write_text(content)
    assert words in written(full_run).said()
    shown = CliRunner().invoke(app, ["report", str(full_run)])
    assert shown.exit_code == 0
    assert words in shown.stderr
    (full_run / "history.jsonl").unlink()
    assert "history.jsonl" not in written(full_run).said()


def test_the_trace_of_a_one_shot_search_is_no_damage(tmp_path):
    from hwnas.search.oneshot.trace import Trace

    steps = [{"phase": "search", "step": 1, "loss": 2.4}, {"phase": "finalists", "step": 1}]
    trace = Trace.begin(tmp_path / "history.jsonl", "fbnet", steps[:1])
    assert report.damaged(tmp_path) == ()
    trace.append(steps[1])
    assert report.damaged(tmp_path) == ()


def test_alarms_of_a_search_without_gates_are_shown(full_run):
    edit(
        full_run / "search.json", lambda search: search.update(trace=[], extra={"alarms": ["scored blindly"]})
    )
    assert "scored blindly" in written(full_run).said()


def test_who_cannot_see_the_charts_is_told_what_they_show(full_run):
    found = written(full_run)
    charts = found.all("svg")
    assert len(charts) > 5
    for attributes in charts:
        assert attributes.get("aria-hidden") == "true" or (
            attributes["role"] == "img" and attributes["aria-label"]
        )
    drawings = [a for a in found.all("div") if a.get("class") in ("skyline", "strip")]
    assert len(drawings) == 2
    assert all(a["role"] == "img" and "%" in a["aria-label"] for a in drawings)
    assert found.all("html")[0]["lang"] == "en"
    levels = [int(tag[1]) for tag, _ in found.seen if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1
    assert all(later - earlier <= 1 for earlier, later in pairwise(levels))


def other(run: Path, **changes) -> Path:
    """The same run beside, with something else in its record."""
    copy = Path(shutil.copytree(run, run.with_name("other")))
    edit(copy / "search.json", lambda search: search.update(changes))
    return copy


def beside(run: Path, baseline: Path) -> str:
    found = parse(report.write(run, tables=run / "tables", baseline=baseline)).said()
    return found[found.index("Against another run") :]


def test_two_runs_stand_in_one_chart_and_one_table(full_run):
    baseline = other(full_run)
    said = beside(full_run, baseline)
    names, both = "this run the other run", "accuracy 93.75% (90.5% to 96.1%), litert-int8 "
    origins = "random search in macro-r16-c10 " * 2
    assert f"fact {names} what it is {origins}on test images {both * 2}ms on host/litert-int8 11.8 ±" in said
    assert "The same for both: task, space, budgets, images, recipe of training." in said
    assert said.count("ringed: its network") == 2
    assert said.count("what ships, as verified") == 2
    assert "not drawn" not in said
    charts = [each["aria-label"] for each in written(full_run).all("svg") if "aria-label" in each]
    assert len([each for each in charts if "this run and the other run" in each]) == 4
    page = report.compared(full_run, baseline, ("<one>", "<two>"))
    assert "<one>" not in page
    assert "&lt;one&gt;: 93.75% (90.5% to 96.1%), 11.8" in page


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda s: s["data"].update(task="segmentation"), "is for classification, and the other run for"),
        (lambda s: s["data"].update(fingerprint="else"), "they were searched and tested on other images"),
        (
            lambda s: [item["target"].update(device="pixel") for item in s["constraints"]],
            "they have no target in common",
        ),
        (lambda s: s.update(score="balanced accuracy"), "ranked by accuracy, and the other run by balanced"),
        (
            lambda s: s.update(untrained={"measure": "naswot", "images": 64}),
            "scored with a supernet, and the other run with naswot of untrained networks",
        ),
    ],
)
def test_what_cannot_be_compared_is_not_drawn_and_said(full_run, change, words):
    baseline = other(full_run)
    edit(baseline / "search.json", change)
    said = beside(full_run, baseline)
    assert words in said
    assert "not drawn together" in said
    assert "ringed: its network" not in said


def test_a_run_without_a_front_or_a_verification_is_said_to_have_none(full_run):
    baseline = other(full_run, trials=[])
    (baseline / "gallery.json").unlink()
    shutil.rmtree(baseline / "export")
    said = beside(full_run, baseline)
    assert "the other run has none, as nothing that a search scored is kept in it" in said
    assert "there is nothing that was verified in the other run" in said
    (baseline / "train.json").unlink()
    assert "litert-int8 not trained ms on" in beside(full_run, baseline)


def test_what_was_measured_on_another_machine_is_not_in_one_chart(full_run):
    baseline = other(full_run)

    def elsewhere(manifest):
        for item in manifest["verification"]["variants"]:
            item["session"]["environment"]["cpu_model"] = "Another"

    edit(baseline / "export" / release.MANIFEST, elsewhere)
    said = beside(full_run, baseline)
    assert said.count("it was measured on two machines") == 2
    assert said.count("ringed: its network") == 2


def test_a_network_has_one_name_wherever_it_is(full_run):
    found = written(full_run)
    marks = [a["data-network"] for a in found.all("g") if "data-network" in a]
    rows = [a["data-network"] for a in found.all("tr") if "data-network" in a]
    own = "macro-r16-c10 1.0.1.0.0.1.0.0"
    assert marks.count(own) >= 5, "front, latency models, known networks, two runs"
    assert rows.count(own) >= 3, "front, and what was measured on two targets"
    assert [a["data-key"] for a in found.all("div") if "data-key" in a] == ["macro-r16-c10"]
    assert "stage1 conv" not in found.said()
    points = [a for a in found.all("g") if a.get("class") == "point"]
    assert all(re.fullmatch(r"[\d.]+ [\d.]+", a["data-at"]) for a in points)


def luminance(colour: str) -> float:
    """Relative luminance as WCAG 2 defines it."""
    parts = [int(colour[n : n + 2], 16) / 255 for n in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(first: str, second: str) -> float:
    low, high = sorted((luminance(first), luminance(second)))
    return (high + 0.05) / (low + 0.05)


def test_contrast_is_known_to_be_computed_right():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("colours", [_style.LIGHT, _style.DARK], ids=["light", "dark"])
def test_colours_stand_out(colours):
    for below in ("paper", "card"):
        for text in ("ink", "soft", "good", "warn", "bad"):
            assert contrast(colours[text], colours[below]) >= 4.5, (text, below)
        for drawn in ("c0", "c1", "c2", "c3", "rest"):
            assert contrast(colours[drawn], colours[below]) >= 3, (drawn, below)


POINTS = (
    _svg.Point(1.0, 2.0, (0.2, 1.4), (1.5, 2.5), "one"),
    _svg.Point(3.0, 2.5, label="two"),
    _svg.Point(2.0, 9.0),
)


@pytest.mark.parametrize("diagonal", [False, True])
@pytest.mark.parametrize("style", ["dots", "line", "joined", "steps", "rings"])
def test_the_axes_hold_every_point(style, diagonal):
    chart = _svg.chart(
        [_svg.Group("a", POINTS, style), _svg.Group("empty", ())],
        _svg.Axis("x"),
        _svg.Axis("y"),
        title="t",
        diagonal=diagonal,
        x_levels=[("limit", 12.0)],
        y_levels=[("level", -1.0)],
    )
    places = [(float(x), float(y)) for x, y in re.findall(r"([\d.-]+),([\d.-]+)", chart)]
    places += [(float(x), float(y)) for x, y in re.findall(r'cx="([\d.-]+)" cy="([\d.-]+)"', chart)]
    for ends in re.findall(r'x1="([\d.-]+)" y1="([\d.-]+)" x2="([\d.-]+)" y2="([\d.-]+)"', chart):
        x1, y1, x2, y2 = map(float, ends)
        places += [(x1, y1), (x2, y2)]
    assert len(places) > 3
    assert all(0 < x < _svg.WIDTH and 0 < y < _svg.HEIGHT for x, y in places)


def test_groups_differ_in_shape_and_not_only_in_colour():
    """Four shapes, and the same four hollow with a broken line."""
    groups = [_svg.Group(str(n), (_svg.Point(n, n),), "joined") for n in range(8)]
    chart = _svg.chart(groups, _svg.Axis("x"), _svg.Axis("y"), title="t")
    legend = chart[chart.index('<p class="legend">') :]
    outlines = re.findall(r'<(circle|polygon) class="mark([^"]*)"(?: points="([^"]*)")?', legend)
    assert len({(kind, points, "f-none" in fill) for kind, fill, points in outlines}) == 8
    assert legend.count("broken") == 4


@pytest.mark.parametrize("values", [(1.0, 1.0), (0.0, 0.0), (1e-6, 2e-6), (-3.0, 1e6)])
def test_ticks_lie_between_the_ends(values):
    low, high = _svg._padded(values)
    ticks = _svg._ticks(low, high)
    assert 2 <= len(ticks) <= 8
    assert all(low <= tick <= high for tick in ticks)


@pytest.mark.parametrize(
    ("value", "step", "text"),
    [(0.95, 0.05, "95%"), (0.975, 0.025, "97.5%"), (0.995, 0.005, "99.5%"), (0.9925, 0.0025, "99.25%")],
)
def test_percents_on_an_axis_are_as_fine_as_its_steps(value, step, text):
    assert _svg._tick_text(value, step, percent=True) == text


def test_a_label_is_cut_where_there_is_no_room_and_told_in_full_to_the_pointer():
    long = "a" * 80
    chart = _svg.chart(
        [_svg.Group("g", (_svg.Point(1, 1, name=long, label=long),))],
        _svg.Axis("x"),
        _svg.Axis("y"),
        title="t",
    )
    assert f"<title>{long}</title>" in chart
    assert re.search(r'<text class="note"[^>]*>a+…</text>', chart)


def test_html_and_text_are_told_apart():
    table = _page.table(("a", "b"), [("<b>", "<b>"), (_page.Html("<i></i>"), _page.Html("<i></i>"))])
    assert table.count("&lt;b&gt;") == 2
    assert table.count("<i></i>") == 2


@pytest.mark.parametrize(
    ("value", "half", "text"),
    [
        (11.68, 0.21, "11.7 ± 0.2"),
        (0.6812, 0.0134, "0.681 ± 0.013"),
        (250.4, 3.2, "250 ± 3"),
        (11.68, 0.004, "11.680 ± 0.004"),
        (2.0, 0.0, "2.00 ± 0.00"),
    ],
)
def test_a_value_and_its_interval_have_the_same_decimals(value, half, text):
    assert _text.plus_minus(value, half) == text.replace(" ", "\N{NO-BREAK SPACE}")
