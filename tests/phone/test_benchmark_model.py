"""The official benchmark_model: what each generation prints, and the program as an agent.

Origin of the samples: "documented" are written after the format strings of TensorFlow Lite's and
LiteRT's sources, "seen" are lines as users have posted them, shortened.
"""

from __future__ import annotations

import pytest
from testphone import job

from hwnas.errors import AgentError
from hwnas.transport import benchmark_model, connect

TF1 = """\
STARTING!
Initialized session in 9.9ms
count=7 first=127425 curr=66709 min=66709 max=127425 avg=76605.9 std=20944

count=15 first=66753 curr=66800 min=66699 max=66838 avg=66767.6 std=39

Average inference timings in us: Warmup: 76605.9, Init: 9933, no stats: 66767.6
"""  # seen
TF2 = """\
Initialized session in 17.187ms.
count=1 curr=3512391

count=50 first=2990275 curr=2913402 min=2727568 max=3189954 avg=2.95034e+06 std=109798

Inference timings in us: Init: 17187, First inference: 3512391, Warmup (avg): 3.51239e+06, \
Inference (avg): 2.95034e+06
Peak memory footprint (MB): init=4.92969 overall=138.809
"""  # seen
TF2_GPU = """\
INFO: Loaded model m
VERBOSE: Replacing 290 out of 300 node(s) with delegate (TfLiteGpuDelegateV2) node, \
yielding 3 partitions for subgraph 0 (main).
INFO: Explicitly applied GPU delegate, and the model graph will be partially executed by the delegate w/ 1 \
delegate kernels.
INFO: count=1 curr=1357602 p5=1357602 median=1357602 p95=1357602

INFO: count=50 first=1249964 curr=1240143 min=1238588 max=1252566 avg=1.24027e+06 std=2565 p5=1238753 \
median=1239807 p95=1247415

INFO: Inference timings in us: Init: 5579, First inference: 1357602, Warmup (avg): 1.3576e+06, \
Inference (avg): 1.24027e+06
INFO: Memory footprint delta from the start of the tool (MB): init=6.36328 overall=109.832
"""  # documented, numbers seen
REFUSED = TF2_GPU.replace("will be partially executed", "will not be executed").replace(
    "Explicitly",
    "Though GPU delegate is explicitly applied, the model graph will not be executed by the delegate.",
)  # documented
LITERT = """\
INFO: [benchmark_litert_model.h:84]
========== BENCHMARK RESULTS ==========
INFO: [benchmark_litert_model.h:90] Model initialization: 12.34 ms
INFO: [benchmark_litert_model.h:92] Warmup (first):       2.10 ms
INFO: [benchmark_litert_model.h:94] Warmup (avg):         1.95 ms (250 runs)
INFO: [benchmark_litert_model.h:96] Inference (avg):      1.93 ms (517 runs)
INFO: [benchmark_litert_model.h:100] Inference (min):      1.80 ms
INFO: [x.h:1] Inference (max):      4.00 ms
INFO: [x.h:1] Inference (std):      0.12
"""  # documented
APK = "".join(
    f"11-22 13:00:00.1  7937  7937 I tflite  : {line}\n"
    for line in TF2_GPU.replace("INFO: ", "").replace("VERBOSE: ", "").splitlines()
    if line
)  # documented


def test_tensorflow_1():
    found = benchmark_model.parse(TF1)
    assert found.generation == "tf1"
    assert found.init_us == 9933
    assert found.measured.count == 15
    assert found.latency_us == 66767.6
    assert found.warmup.count == 7


def test_tensorflow_2_prints_numbers_with_exponents():
    found = benchmark_model.parse(TF2)
    assert found.generation == "interpreter"
    assert found.first_us == 3512391
    assert found.warmup.mean_us == found.warmup.min_us == 3512391, "one run has only curr="
    assert found.latency_us == 2.95034e6
    assert found.measured.std_us == 109798
    assert found.measured.median_us is None


@pytest.mark.parametrize("text", [TF2_GPU, APK, TF2_GPU.replace("\n", "\r\n")], ids=["tool", "apk", "crlf"])
def test_with_percentiles_the_median_is_the_latency(text):
    found = benchmark_model.parse(text)
    assert found.latency_us == 1239807
    assert found.measured.p5_us == 1238753
    assert found.delegates == (("TfLiteGpuDelegateV2", 290, 300, 3),)
    assert found.coverage == "partially"


def test_litert():
    found = benchmark_model.parse(LITERT)
    assert found.generation == "compiled"
    assert found.latency_us == 1930
    assert found.init_us == 12340
    assert found.first_us == 2100
    assert (found.measured.count, found.measured.min_us, found.measured.max_us) == (517, 1800, 4000)


def test_litert_with_count_lines_has_more_digits():
    found = benchmark_model.parse(
        "count=250 first=2100 curr=1940 min=1800 max=2100 avg=1951.2 std=3\n"
        "count=517 first=1930 curr=1931 min=1802 max=4001 avg=1932.7 std=120\n" + LITERT
    )
    assert found.latency_us == 1932.7
    assert found.warmup.count == 250


def test_equal_runs_are_printed_once():
    found = benchmark_model.parse("count=5 curr=10(all same) p5=10 median=10 p95=10\n" + TF2.splitlines()[-2])
    assert found.measured.mean_us == found.measured.max_us == 10
    assert found.measured.std_us == 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "it printed nothing"),
        (TF2[: TF2.index("Inference timings")], "must end with its timings"),
        (
            "ERROR: Failed to apply GPU delegate.\nERROR: Benchmarking failed.\n",
            "Failed to apply GPU delegate",
        ),
        (REFUSED, "will not be executed by the delegate"),
        ("WARN: Unconsumed cmdline flags: --use_gpuu=true\n" + TF2, "ignored '--use_gpuu=true'"),
    ],
)
def test_what_is_no_result_is_an_error(text, message):
    with pytest.raises(AgentError, match=message):
        benchmark_model.parse(text)


@pytest.mark.parametrize("value", ["nan", "0", "-5"])
def test_a_latency_that_cannot_be_is_an_error(value):
    text = TF2.replace("avg=2.95034e+06", f"avg={value}").replace("2.95034e+06", value)
    with pytest.raises(AgentError):
        _ = benchmark_model.parse(text).latency_us


USAGE = """usage: benchmark_model <flags>
Flags:
\t--num_runs=50\tint32\toptional\texpected number of runs
\t--use_gpu=false\tbool\toptional\tuse gpu
\t--gpu_precision_loss_allowed=true\tbool\toptional\tallow to process computation in lower precision than FP32
\t--use_nnapi=false\tbool\toptional\tuse nnapi delegate api"""
USAGE_LITERT = """usage: benchmark_model <flags>
\t--use_cpu=true\tbool\toptional
\t--use_gpu=false\tbool\toptional
\t--use_npu=false\tbool\toptional
\t--allow_fp16=false\tbool\toptional
\t--require_full_delegation=false\tbool\toptional"""


def official(tmp_path, *outputs, status=0, usage=USAGE):
    """A program that prints what benchmark_model would, one output a call, and writes down its flags."""
    program = tmp_path / "benchmark_model"
    cases = "".join(f"{n}) cat <<'END'\n{text}\nEND\n;;\n" for n, text in enumerate(outputs))
    program.write_text(
        f"#!/bin/sh\nif [ \"$1\" = --help ]; then cat <<'END'\n{usage}\nEND\nexit 1\nfi\n"
        f"n=$(cat {tmp_path}/calls 2>/dev/null || echo 0)\necho $((n+1)) >{tmp_path}/calls\n"
        f'echo "$@" >>{tmp_path}/flags\ncase $n in\n{cases}esac\nexit {status}\n'
    )
    return program


def run(phone, processor, program, jobs, **options):
    from dataclasses import replace

    device = replace(phone.device(agent_path=str(program), **options), processor=processor)
    with connect(device) as transport:
        return list(transport.run("litert", jobs, silence_s=20))


def test_it_is_an_agent_like_the_others(new_phone, tcp, tmp_path):
    program = official(tmp_path, TF2_GPU, LITERT + "\n\n\n", TF2)
    plan = [
        job("a", "/m/a.tflite", samples=50),
        job("b", "/m/b.tflite"),
        job("c", "/m/c d.tflite", threads=2),
    ]
    hello, first, second, third, bye = run(new_phone(), "cpu", program, plan)
    assert hello["hello"]["agent"] == "benchmark_model"
    assert hello["hello"]["cpu_model"] == "Hwnas Test Phone"
    assert len(hello["hello"]["library_sha256"]) == 64
    assert hello["hello"]["conditions"]["phone"]["battery_percent"] == 83
    assert first["samples_ns"] == [1239807_000]
    assert first["inner"] == 1
    assert first["aggregated"]["statistic"] == "median"
    assert first["aggregated"]["count"] == 50
    assert (first["nodes"], first["delegated_nodes"], first["delegate_partitions"]) == (300, 290, 3)
    assert second["aggregated"]["statistic"] == "mean"
    assert third["samples_ns"] == [2950340_000]
    assert bye["bye"]["jobs"] == 3
    flags = (tmp_path / "flags").read_text().splitlines()
    assert flags[0].startswith("--graph=/m/a.tflite --num_threads=1 --num_runs=50 ")
    assert "--graph=/m/c d.tflite --num_threads=2" in flags[2]
    assert "gpu" not in flags[0]


def test_on_the_cpu_it_is_kept_on_the_cpus_of_the_plan(new_phone, tcp, tmp_path):
    import os

    cpu = max(os.sched_getaffinity(0))
    program = official(tmp_path, TF2)
    program.write_text(
        program.read_text().replace("#!/bin/sh\n", f"#!/bin/sh\ntaskset -p $$ >{tmp_path}/mask\n")
    )
    [answer] = run(new_phone(), "cpu", program, [job("a", "/m", cpus=[cpu])])[1:-1]
    assert answer["samples_ns"]
    assert (tmp_path / "mask").read_text().split()[-1] == f"{1 << cpu:x}"


def test_a_fall_back_to_the_cpu_is_an_error_never_a_number(new_phone, tcp, tmp_path):
    program = official(tmp_path, REFUSED, TF2, TF2_GPU, LITERT)
    answers = run(new_phone(), "gpu", program, [job(name, "/m") for name in "abcd"])[1:-1]
    assert "will not be executed" in answers[0]["error"]
    assert "says nothing" in answers[1]["error"], "no word of a delegate: it may have been the CPU"
    assert answers[2]["samples_ns"]
    assert "require_full_delegation" in answers[3]["error"]
    assert all("--use_gpu=true" in line for line in (tmp_path / "flags").read_text().splitlines())


def test_litert_is_believed_where_it_must_delegate_everything(new_phone, tcp, tmp_path):
    program = official(tmp_path, LITERT)
    options = {"flags": ["--require_full_delegation=true"]}
    [answer] = run(new_phone(), "gpu", program, [job("a", "/m")], **options)[1:-1]
    assert answer["samples_ns"] == [1930_000]


def test_a_program_that_fails_is_an_error_of_that_job(new_phone, tcp, tmp_path):
    program = official(tmp_path, "ERROR: no GPU here", status=1)
    [answer] = run(new_phone(), "gpu", program, [job("a", "/m")])[1:-1]
    assert answer["stage"] == "run"
    assert "no GPU here" in answer["error"]


PARTLY_UNCOUNTED = "\n".join(line for line in TF2_GPU.splitlines() if "Replacing" not in line)
OF_THE_CPU = TF2.replace(
    "Initialized session",
    "INFO: Explicitly applied XNNPACK delegate, and the model graph "
    "will be completely executed by the delegate.\n"
    "Initialized session",
)


@pytest.mark.parametrize(
    ("output", "flags"),
    [
        (PARTLY_UNCOUNTED, []),  # a part of it, and nobody knows which
        (OF_THE_CPU, []),  # all of it, on the CPU
        (LITERT, ["--require_full_delegation=false"]),
        (LITERT, ["--require_full_delegation=true", "--require_full_delegation=false"]),  # the last one holds
        (TF2, ["--require_full_delegation=true"]),  # not a flag of this generation, so nothing was forced
    ],
)
def test_unknown_delegation_is_never_fine(new_phone, tcp, tmp_path, output, flags):
    program = official(tmp_path, output)
    [answer] = run(new_phone(), "gpu", program, [job("a", "/m")], flags=flags)[1:-1]
    assert "samples_ns" not in answer
    assert "must say that the gpu took the model" in answer["error"]


@pytest.mark.parametrize(
    "flags",
    [
        ["--require_full_delegation"],
        ["--require_full_delegation=1"],
        ["--require_full_delegation=false", "--require_full_delegation=true"],
    ],
)
def test_forms_of_a_flag_that_forces(new_phone, tcp, tmp_path, flags):
    [answer] = run(new_phone(), "gpu", official(tmp_path, LITERT), [job("a", "/m")], flags=flags)[1:-1]
    assert answer["samples_ns"] == [1930_000]


def test_a_model_that_is_said_to_be_taken_whole_needs_no_count(new_phone, tcp, tmp_path):
    whole = PARTLY_UNCOUNTED.replace("partially", "completely")
    [answer] = run(new_phone(), "gpu", official(tmp_path, whole), [job("a", "/m")])[1:-1]
    assert answer["samples_ns"]
    assert answer["nodes"] is None


@pytest.mark.parametrize(
    ("usage", "processor", "precision", "flags"),
    [
        (USAGE, "cpu", "fp32", ""),
        (USAGE, "gpu", "fp32", "--use_gpu=true --gpu_precision_loss_allowed=false"),
        (USAGE, "gpu", "fp16", "--use_gpu=true --gpu_precision_loss_allowed=true"),
        (USAGE, "gpu", "int8", "--use_gpu=true"),
        (USAGE, "npu", "fp32", "--use_nnapi=true"),
        (
            USAGE_LITERT,
            "gpu",
            "fp32",
            "--use_gpu=true --require_full_delegation=true --use_cpu=false --allow_fp16=false",
        ),
        (
            USAGE_LITERT,
            "gpu",
            "fp16",
            "--use_gpu=true --require_full_delegation=true --use_cpu=false --allow_fp16=true",
        ),
        (USAGE_LITERT, "npu", "int8", "--use_npu=true --require_full_delegation=true --use_cpu=false"),
        ("no list of flags", "npu", "int8", "--use_nnapi=true"),
    ],
)
def test_it_computes_where_and_in_what_is_asked_for(usage, processor, precision, flags):
    assert benchmark_model.flags_of(usage, processor, precision, []) == tuple(flags.split())


def test_flags_of_the_user_take_the_place_of_the_same(new_phone, tcp, tmp_path):
    own = ["--require_full_delegation=false", "--gpu_backend=cl"]
    found = benchmark_model.flags_of(USAGE_LITERT, "gpu", "fp32", own)
    assert found == ("--use_gpu=true", "--use_cpu=false", "--allow_fp16=false", *own)
    with pytest.raises(AgentError, match="fp32 must be computed in fp32, but the flag --allow_fp16=true"):
        benchmark_model.flags_of(USAGE_LITERT, "gpu", "fp32", ["--allow_fp16=true"])
    with pytest.raises(AgentError, match="must have a flag that makes a GPU compute in fp32"):
        benchmark_model.flags_of("no list", "gpu", "fp32", [])


def test_fp32_on_a_gpu_is_told_to_the_program(new_phone, tcp, tmp_path):
    program = official(tmp_path, TF2_GPU, TF2_GPU)
    for precision in ("fp32", "fp16"):
        [answer] = run(new_phone(), "gpu", program, [job("a", "/m", precision=precision)])[1:-1]
        assert answer["samples_ns"]
    exact, quick = (tmp_path / "flags").read_text().splitlines()
    assert "--gpu_precision_loss_allowed=false" in exact
    assert "--gpu_precision_loss_allowed=true" in quick
