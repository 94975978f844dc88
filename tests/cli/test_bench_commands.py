"""`trtnemo bench`: profiles, comparisons, gates, and what is refused before anything starts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.commands import trtnemo, trtnemo_here
from tests.support.records import request, run_record
from trtnemo.bench.load.record import Server
from trtnemo.bench.load.shape import LoadShape
from trtnemo.cli import cli
from trtnemo.cli.bench.group import COMMANDS
from trtnemo.cli.group import run
from trtnemo.engine import Engine


def test_a_profile_names_every_op_and_what_it_needs(tiny_engine: Any) -> None:
    found = json.loads(trtnemo_here("bench", "profile", str(tiny_engine), "--tokens", "4", "--json").stdout)
    assert found["kernels"] in ("avx512", "avx2", "portable")
    assert found["bandwidth"] > 1e8
    graph = Engine.open(tiny_engine).target
    for phase in ("decode", "prefill"):
        costs = found[phase]
        assert sum(cost["ops"] for cost in costs) == len(graph.nodes)
        assert [cost["seconds"] for cost in costs] == sorted((cost["seconds"] for cost in costs), reverse=True)
        head = next(cost for cost in costs if cost["name"] == "lm_head")
        rows, columns = graph.parameters["lm_head.weight"].shape
        assert head["products"] == rows * columns // (1 if phase == "decode" else 512)
        assert 0 < sum(cost["least"] for cost in costs) < sum(cost["seconds"] for cost in costs)
    assert found["rates"]["bytes"] > found["rates"]["float32"] > 0
    by_name = {cost["name"]: cost for cost in found["decode"]}
    assert by_name["lm_head"]["bytes"] > by_name["lm_head"]["products"] / 2


def test_a_profile_for_people_has_a_line_an_op(tiny_engine: Any) -> None:
    text = trtnemo_here("bench", "profile", str(tiny_engine), "--tokens", "2", "--prompt", "64").stdout
    assert "a decoded token: " in text
    assert "a token of a prompt: " in text
    assert text.count("  lm_head ") == 2


@pytest.mark.parametrize(("setting", "code"), [("cpu.lowering=torch", 6), (None, 5)])
def test_an_engine_that_runs_elsewhere_is_refused(
    make_engine: Any, tmp_path: Path, setting: str | None, code: int
) -> None:
    engine = make_engine("mixed", setting) if setting else tmp_path / "nothing"
    result = trtnemo_here("bench", "profile", str(engine))
    assert result.returncode == code
    assert result.stderr.count("\n") == 1


def test_more_tokens_than_the_context_holds_are_refused_in_a_line(tiny_engine: Any) -> None:
    result = trtnemo_here("bench", "profile", str(tiny_engine), "--tokens", "1000000")
    assert result.returncode == 6
    assert "do not fit a context" in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_every_bench_command_says_in_its_help_what_the_list_says(
    command: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(cli, ["bench", command, "--help"]) == 0
    assert COMMANDS[command].help in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["run"], "give one of --url, --recipe and --engine"),
        (["run", "--url", "http://x", "--engine", "y"], "give one of --url, --recipe and --engine"),
        (["run", "--url", "http://x", "--set", "a=1"], "--set changes a recipe"),
        (["run", "--url", "http://x", "--rate", "1", "--concurrency", "2"], "give either concurrency or rate"),
        (["run", "--url", "http://x", "--output-tokens", "many"], "takes a number or LOW-HIGH"),
        (["run", "--url", "http://x", "--output-tokens", "9-3"], "low 9 exceeds high 3"),
        (["run", "--url", "http://x", "--prompts", "poems"], "cannot be read as prompts"),
        (["run", "--url", "http://x", "--completions", "--thinking"], "completions has none"),
        (["sweep", "no.yaml", "out"], "no.yaml: cannot be read"),
        (["gate"], "Missing argument 'BEFORE'"),
        (["compare", "stored"], "give two directories of them"),
        (["compare", "stored", "http://a"], "stored runs are compared with stored runs"),
        (["gate", "stored", "stored", "--pairs", "9"], "--pairs is for runs that are taken now"),
        (["gate", "stored", "stored", "--set", "a=1"], "--set is for runs that are taken now"),
        (["gate", "http://a", "http://b", "--set", "a=1"], "this one runs"),
        (["gate", "http://a", "http://b", "--base-program", "a"], "this one runs"),
        (["gate", "http://a", "--prompts", "poems"], "cannot be read as prompts"),
        (["compare", "stored", "stored"], "holds no finished run"),
        (["compare", "stored", "stored", "--gate-file", "no.yaml"], "no.yaml: cannot be read"),
        (["report", "nothing"], "holds no finished run"),
    ],
)
def test_a_bench_command_that_makes_no_sense_is_refused(words: list[Any], message: str, tmp_path: Path) -> None:
    (tmp_path / "stored").mkdir()
    result = trtnemo_here("bench", *words, cwd=tmp_path)
    assert result.returncode == 2
    assert message in result.stderr
    assert result.stdout == ""


def test_stored_runs_are_compared_and_gated(tmp_path: Path) -> None:
    for name, interval in (("before", 0.010), ("same", 0.010), ("slow", 0.012)):
        for number in range(8):
            jitter = 1 + 0.001 * number
            record = run_record([request(0, sent=0.0, interval=interval * jitter, tokens=101)])
            record.save(tmp_path / name / str(number))
    codes = {name: trtnemo("bench", "gate", "before", name, cwd=tmp_path).returncode for name in ("same", "slow")}
    assert codes == {"same": 0, "slow": 1}
    result = trtnemo_here("bench", "gate", "before", "slow", "--markdown", "gate.md", "--json", cwd=tmp_path)
    rate = next(item for item in json.loads(result.stdout) if item["metric"] == "output_tokens_per_second")
    assert rate["verdict"] == "regression"
    assert rate["low"] < rate["worse"] == pytest.approx(0.18, abs=0.01)
    assert (tmp_path / "gate.md").read_text().startswith("**Regression.**")
    assert trtnemo_here("bench", "compare", "before", "slow", cwd=tmp_path).returncode == 0


def test_runs_that_cannot_tell_exit_with_a_code_of_their_own(tmp_path: Path) -> None:
    for name, shift in (("before", 0), ("after", 4)):
        for number in range(8):
            interval = 0.010 * (1.5 if (number + shift) % 3 else 1.0)
            run_record([request(0, sent=0.0, interval=interval, tokens=101)]).save(tmp_path / name / str(number))
    result = trtnemo("bench", "gate", "before", "after", cwd=tmp_path)
    assert result.returncode == 9
    assert "runs of each would" in result.stdout


def test_a_sweep_lists_its_points(tmp_path: Path) -> None:
    (tmp_path / "spec.yaml").write_text("recipe: tiny\ngrid: {concurrency: [1, 2], prompts: [chat, math]}\n")
    result = trtnemo_here("bench", "sweep", "spec.yaml", "out", "--list", "--json", cwd=tmp_path)
    assert [point["title"] for point in json.loads(result.stdout)] == [
        "concurrency=1, prompts=chat",
        "concurrency=1, prompts=math",
        "concurrency=2, prompts=chat",
        "concurrency=2, prompts=math",
    ]
    assert not (tmp_path / "out").exists()


def test_a_run_prints_and_keeps_what_it_found(tiny_url: Any, tmp_path: Path) -> None:
    words = ["--url", tiny_url, "--requests", "3", "--warmup", "0", "--output-tokens", "8", "--output", "run", "--json"]
    found = json.loads(trtnemo("bench", "run", *words, cwd=tmp_path).stdout)
    assert found["summary"]["requests"] == 3
    assert {"output_tokens_per_second", "ttft_p50", "itl_p99", "latency_p90"} <= found["summary"]["metrics"].keys()
    assert found["run"]["server"]["software"] == "trtnemo"
    lines = (tmp_path / "run" / "requests.jsonl").read_text().splitlines()
    assert [json.loads(line)["output_tokens"] for line in lines] == [8, 8, 8]
    again = trtnemo("bench", "run", *words, cwd=tmp_path)
    assert again.returncode == 2
    assert "is not empty" in again.stderr


def test_runs_of_different_loads_are_not_compared(tmp_path: Path) -> None:
    for name, concurrency in (("before", 2), ("after", 64)):
        for number in range(5):
            shape = LoadShape(concurrency=concurrency, seed=number)
            run_record([request(0, sent=0.0)], shape=shape).save(tmp_path / name / str(number))
    result = trtnemo_here("bench", "gate", "before", "after", cwd=tmp_path)
    assert result.returncode == 2
    assert "the runs have different loads" in result.stderr
    assert "concurrency 64 of tiny" in result.stderr


def test_runs_of_different_servers_are_no_side_of_a_comparison(tmp_path: Path) -> None:
    for number in range(5):
        server = Server(url="http://127.0.0.1:1", model="tiny", version=f"0.{number // 4}")
        run_record([request(0, sent=0.0)], server=server).save(tmp_path / "mixed" / str(number))
    result = trtnemo_here("bench", "compare", "mixed", "mixed", cwd=tmp_path)
    assert result.returncode == 2
    assert "mixed: the runs are of different servers" in result.stderr


def test_runs_of_different_machines_are_compared_aloud_and_not_gated(tmp_path: Path) -> None:
    for name, processor in (("before", "one"), ("after", "another")):
        for number in range(5):
            machine = {"processor": processor, "cores": "2"}
            run_record([request(0, sent=0.0)], machine=machine).save(tmp_path / name / str(number))
    gated = trtnemo_here("bench", "gate", "before", "after", cwd=tmp_path)
    assert gated.returncode == 2
    assert "differ in more than the server: processor: another, one" in gated.stderr
    compared = trtnemo_here("bench", "compare", "before", "after", cwd=tmp_path)
    assert compared.returncode == 0
    assert compared.stderr == "The runs differ in processor: another, one\n"


def test_a_sweep_over_values_that_make_no_recipe_lists_nothing(tmp_path: Path) -> None:
    spec = "recipe: tiny\nsettings: {speculation.draft_tokens: [0, three]}\nload: {concurrency: 1}\n"
    (tmp_path / "spec.yaml").write_text(spec)
    for words in (["--list"], []):
        result = trtnemo_here("bench", "sweep", "spec.yaml", "out", *words, cwd=tmp_path)
        assert result.returncode == 3
        assert result.stdout == ""
    assert not (tmp_path / "out").exists()


def test_a_report_of_a_half_written_note_names_it(tmp_path: Path) -> None:
    run_record([request(0, sent=0.0)]).save(tmp_path / "runs" / "a")
    (tmp_path / "runs" / "b").mkdir()
    (tmp_path / "runs" / "b" / "not-run.json").write_text("{")
    result = trtnemo_here("bench", "report", "runs", cwd=tmp_path)
    assert result.returncode == 2
    assert "runs/b/not-run.json: cannot be read" in result.stderr


def test_what_cannot_be_written_is_told_before_anything_is_measured(tmp_path: Path) -> None:
    for words in (
        ["gate", "tiny", "--markdown", "no/gate.md"],
        ["run", "--recipe", "tiny", "--output", "/etc/passwd"],
    ):
        result = trtnemo_here("bench", *words, cwd=tmp_path)
        assert result.returncode == 2, result.stderr
        assert "trtnemo: error: " in result.stderr
