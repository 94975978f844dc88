"""The command line as a process: exit codes, messages, stable JSON, help that is true."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.checkpoints.spoil import edit_config, edit_tensors
from tests.support.commands import trtnemo
from trtnemo.cli import cli
from trtnemo.cli.group import COMMANDS, run


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_every_command_says_in_its_help_what_the_list_says(command: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(cli, [command, "--help"]) == 0
    assert COMMANDS[command].help in " ".join(capsys.readouterr().out.split())


def test_help_and_import_load_nothing_heavy() -> None:
    code = (
        "import sys, trtnemo\nfrom trtnemo.cli import cli\nfrom trtnemo.cli.group import run\nrun(cli, ['--help'])\n"
        "heavy = {'torch', 'numpy', 'pydantic', 'fastapi', 'tokenizers', 'transformers', 'modelopt', 'tensorrt'}\n"
        "print(sorted(heavy & sys.modules.keys()))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.splitlines()[-1] == "[]"


def test_checking_a_command_loads_no_numpy() -> None:
    code = (
        "import sys\nfrom trtnemo.cli import cli\nfrom trtnemo.cli.group import run\n"
        "print(run(cli, ['check', '--command', 'vllm serve m', '--server-version', '0.20.0']), 'numpy' in sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.splitlines()[-1] == "0 False"


def test_building_and_checking_load_no_torch(make_checkpoint: Any, tmp_path: Path) -> None:
    code = (
        "import sys\nfrom trtnemo.cli import cli\nfrom trtnemo.cli.group import run\n"
        "code = run(cli, sys.argv[1:])\nprint(code, 'torch' in sys.modules)"
    )
    for arguments in (
        ["check", make_checkpoint("mixed")],
        ["build", "--checkpoint", make_checkpoint("mixed"), "--output", tmp_path / "e"],
    ):
        result = subprocess.run(
            [sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True, check=True
        )
        assert result.stdout.splitlines()[-1] == "0 False"


def test_the_whole_way_of_a_checkpoint(make_checkpoint: Any, tmp_path: Path) -> None:
    engine = tmp_path / "engine"
    assert "passed: 0 errors" in trtnemo("check", make_checkpoint("nvfp4")).stdout
    built = trtnemo("build", "--recipe", "tiny", "--checkpoint", make_checkpoint("nvfp4"), "--output", engine)
    assert built.returncode == 0
    assert built.stdout.startswith(f"Built {engine} in ")
    assert built.stderr == ""
    inspected = trtnemo("inspect", engine, "--verify")
    assert inspected.returncode == 0
    assert "problems:    none" in inspected.stdout


def test_json_output_keeps_its_keys(make_checkpoint: Any, tmp_path: Path) -> None:
    def keys(*arguments: Any) -> Any:
        result = trtnemo(*arguments, "--json")
        assert result.returncode == 0, result.stderr
        return set(json.loads(result.stdout))

    engine = tmp_path / "engine"
    assert keys("check", make_checkpoint("bf16")) == {
        "passed",
        "directory",
        "tensors",
        "bytes",
        "formats",
        "producer",
        "remote_code",
        "modelopt",
        "values_read",
        "deep",
        "groups",
        "rules",
        "findings",
    }
    assert keys("build", "--checkpoint", make_checkpoint("bf16"), "--output", engine) == {
        "engine",
        "seconds",
        "format_version",
        "runtime",
        "layout",
        "recipe_name",
        "recipe",
        "checkpoint",
        "versions",
        "files",
        "digest",
    }
    assert keys("inspect", engine) == {
        "engine",
        "runtime",
        "layout",
        "recipe",
        "checkpoint",
        "versions",
        "bytes",
        "files",
        "verified",
        "problems",
        "ops",
        "has_mtp",
        "served_model_names",
    }
    assert keys("doctor") == {"machine", "recipes", "proof"}
    assert keys("recipes", "show", "tiny") >= {"runtime", "checkpoint", "limits", "cpu"}
    rows = json.loads(trtnemo("recipes", "list", "--json").stdout)
    assert {"b200", "tiny"} <= {row["name"] for row in rows}


def test_recipes_are_listed_shown_and_described() -> None:
    assert "tiny" in trtnemo("recipes", "list").stdout
    assert "max_batch_size: 3" in trtnemo("recipes", "show", "tiny", "--set", "limits.max_batch_size=3").stdout
    assert json.loads(trtnemo("recipes", "schema").stdout)["title"] == "trtnemo recipe"


def test_doctor_says_plainly_what_never_ran() -> None:
    text = trtnemo("doctor").stdout
    assert "never run:             anything on a GPU" in text
    assert re.search(r"native kernels: +(avx\w+, )*portable", text)


def test_findings_are_exit_code_1_with_a_table(copy_checkpoint: Any) -> None:
    directory = copy_checkpoint()
    edit_tensors(directory, lambda tensors: tensors.pop("backbone.norm_f.weight"))
    result = trtnemo("check", directory)
    assert result.returncode == 1
    assert "tensor-missing" in result.stdout
    assert "FAILED: 1 error, 0 warnings" in result.stdout
    assert (
        json.loads(trtnemo("check", directory, "--json").stdout)["findings"][0]["subject"] == "backbone.norm_f.weight"
    )


def test_every_failure_is_one_line_and_its_exit_code(copy_checkpoint: Any, make_engine: Any, tmp_path: Path) -> None:
    directory = copy_checkpoint()
    edit_config(directory, num_experts_per_tok=99)
    damaged = shutil.copytree(make_engine("bf16"), tmp_path / "damaged")
    (damaged / "engine.json").write_text((damaged / "engine.json").read_text().replace('"tiny"', '"mine"'))
    (tmp_path / "typo.yaml").write_text("runtime: cpu\nlimitz: {}\n")
    cases: list[tuple[list[Any], int, str]] = [
        (["bild"], 2, "did you mean 'build'?"),
        (["build", "--recipe", "tiny", "--set", "x"], 2, "key.path=value"),
        (["serve", "--recipe", "tiny", "--engine", "x"], 2, "not both"),
        (["build", "--port"], 2, "No such option"),
        (["build", "--recipe", "nope"], 3, "no recipe 'nope'"),
        (["build", "--recipe", tmp_path / "typo.yaml"], 3, "typo.yaml:2: unknown key 'limitz'; did you mean 'limits'?"),
        (["check", tmp_path / "nothing"], 4, "no such directory"),
        (["check", directory], 4, "exceeds n_routed_experts"),
        (["build", "--checkpoint", directory, "--output", tmp_path / "e"], 4, "exceeds n_routed_experts"),
        (["inspect", tmp_path], 5, "is not an engine"),
        (["inspect", damaged], 5, "edited after the build"),
        (["serve", "--engine", damaged], 5, "edited after the build"),
        (["build", "--recipe", "rtx-5090", "--output", tmp_path / "e"], 4, "the hub is offline"),
        (["serve", "--engine", make_engine("bf16"), "--interpret"], 2, "runtime 'cpu' has none"),
        (["serve", "--engine", make_engine("bf16"), "--host", "203.0.113.1"], 7, "cannot listen on 203.0.113.1"),
        (["chat", "hi", "--url", "http://127.0.0.1:1"], 7, "no server answers"),
    ]
    for arguments, code, message in cases:
        result = trtnemo(*arguments, cwd=tmp_path)
        assert result.returncode == code, (arguments, result)
        assert message in result.stderr, result.stderr
        assert "Traceback" not in result.stderr
        assert result.stdout == ""
        if not result.stderr.startswith("Usage:"):
            assert len(result.stderr.splitlines()) == 1
    assert not (tmp_path / "e").exists()


def test_inspect_reports_damage_with_exit_code_5(make_engine: Any, tmp_path: Path) -> None:
    engine = shutil.copytree(make_engine("bf16"), tmp_path / "engine")
    (engine / "graph.json").unlink()
    result = trtnemo("inspect", engine)
    assert result.returncode == 5
    assert "graph.json is missing" in result.stdout


def test_a_recipe_is_built_once_and_a_stale_engine_is_refused(tmp_path: Path) -> None:
    engine = tmp_path / "engines" / "tiny"
    assert trtnemo("build", cwd=tmp_path).returncode == 0
    assert engine.is_dir()
    result = trtnemo("serve", "--recipe", "tiny", "--set", "limits.max_batch_size=2", cwd=tmp_path)
    assert result.returncode == 5
    assert "another form of recipe 'tiny'" in result.stderr


def test_chat_prints_the_answer_alone_in_a_pipe(tiny_url: Any) -> None:
    question = "What is the capital of Japan?"
    result = trtnemo("chat", question, "--url", tiny_url, "--temperature", "0")
    assert result.stdout == "The capital of Japan is Tokyo.\n"
    assert "capital of Japan" in result.stderr
    result = trtnemo("chat", "--url", f"{tiny_url}/v1", "--no-thinking", "--temperature", "0", input=f"{question}\n\n")
    assert result.stdout == "The capital of Japan is Tokyo.\n"
    assert result.stderr == ""


def test_chat_thinks_less_at_low_effort(tiny_url: Any) -> None:
    thoughts = [
        trtnemo("chat", "What is the capital of Japan?", "--url", tiny_url, "--temperature", "0", *options).stderr
        for options in ((), ("--low-effort",))
    ]
    assert 0 < len(thoughts[1]) < len(thoughts[0]) / 2


def test_chat_tells_a_refusal(tiny_url: Any) -> None:
    result = trtnemo("chat", "hi", "--url", tiny_url, "--model", "nobody")
    assert result.returncode == 7
    assert "the model 'nobody' does not exist" in result.stderr
