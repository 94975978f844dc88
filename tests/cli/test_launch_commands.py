"""The commands about external servers: output, exit codes, one bad input per door."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.commands import trtnemo, trtnemo_here
from tests.support.launch.machine import card


def test_check_of_the_cards_vllm_line_names_swap_space() -> None:
    result = trtnemo("check", "--command", card("vllm"))
    assert result.returncode == 1
    assert "error: --swap-space [vllm-swap-space]" in result.stdout
    assert "-> Leave it out: 0 was what it did" in result.stdout
    assert result.stdout.splitlines()[-1].startswith("FAILED: 1 error, 0 warnings,")


def test_check_reads_a_command_from_a_pipe() -> None:
    result = trtnemo("check", "--command", "-", "--json", input=card("trtllm"))
    assert result.returncode == 0
    report = json.loads(result.stdout)
    about = {"server", "version", "checked_against", "evidence", "model", "form", "witnesses"}
    assert report.keys() == {"passed", "unread", "read", "findings", *about}
    assert "trtllm-13179" in {finding["rule"] for finding in report["findings"]}
    assert report["findings"][0].keys() == {"severity", "rule", "subject", "message", "remedy"}


def test_check_of_a_command_is_told_the_gpu() -> None:
    told = trtnemo_here("check", "--command", card("trtllm"), "--compute-capability", "9.0")
    assert "note: checkpoint [trtllm-nvfp4-hopper]" in told.stdout
    assert "trtllm-nvfp4-hopper" not in trtnemo_here("check", "--command", card("trtllm")).stdout


def test_check_of_the_cards_recipe_names_13179_and_the_remedy() -> None:
    result = trtnemo_here("check", "--recipe", "b200")
    assert result.returncode == 0
    assert "warning: cuda_graph_config.enable_padding [trtllm-13179]" in result.stdout
    assert "-> Set cuda_graph_config.enable_padding: false" in result.stdout
    refused = trtnemo_here("check", "--recipe", "b200.yaml", "--set", "trtllm.llm_args.max_batch_sice=3")
    assert refused.returncode == 1
    assert "error: max_batch_sice [unknown-key]" in refused.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["check"], 2, "one of them"),
        (["check", "tiny", "--recipe", "b200"], 2, "one of them"),
        (["check", "tiny", "--set", "a=b"], 2, "give --recipe"),
        (["check", "--recipe", "b200", "--headers-only"], 2, "go with a CHECKPOINT"),
        (
            ["check", "--command", "vllm serve m", "--server-version", "abc"],
            2,
            "--server-version: 'abc' is not a version",
        ),
        (["check", "--recipe", "b200", "--compute-capability", "9.0"], 2, "a recipe has hardware.compute_capability"),
        (
            ["check", "--command", "vllm serve m", "--compute-capability", "sm90"],
            2,
            "'sm90' is not a compute capability",
        ),
        (["check", "--command", "ls"], 2, "holds none of these commands: trtllm-serve"),
        (["check", "--recipe", "tiny", "--set", "parallel.tensor=2"], 3, "does not do yet"),
        (["check", "--recipe", "rtx-5090", "--set", "kv_cache.dtype=fp8"], 3, "TensorRT updates no FP8 cache in place"),
        (["check", "--recipe", "rtx-5090", "--set", "hardware.compute_capability=8.9"], 3, "12.0 and later only"),
        (["check", "--recipe", "rtx-5090", "--set", "hardware.compute_capability=9.0"], 3, "not 9.0"),
        (["check", "--recipe", "rtx-5090", "--set", "hardware.compute_capability=null"], 3, "must say which device"),
        (["check", "--recipe", "rtx-pro-6000", "--set", "hardware.name=rtx-5090"], 3, "does not fit"),
        (["check", "--recipe", "rtx-5090", "--set", "limits.max_batch_size=64"], 3, "39.5 GiB short of all"),
        (["check", "--recipe", "rtx-5090", "--set", "hardware.count=2"], 3, "uses one device"),
        (["check", "--recipe", "rtx-5090", "--set", "tensorrt.flavor=full"], 6, "full TensorRT is not installed"),
        (["check", "--recipe", "rtx-5090", "--set", "speculation.draft_tokens=8"], 3, "speculation.draft_tokens"),
        (["render", "--recipe", "tiny"], 3, "is our own"),
        (["check", "--recipe", "b2000"], 3, "did you mean 'b200'"),
        (["render", "--recipe", "b200", "--as", "docker", "--set", "trtllm.image=null"], 3, "names no image"),
        (["render", "--recipe", "b200", "--as", "helm"], 2, "helm"),
        (["render", "--recipe", "b200", "--output", "/nowhere/x"], 2, "cannot be written"),
        (["render", "--recipe", "b200", "--set", "trtllm.args.nope=1"], 3, "--nope"),
        (["recipes", "import", "vllm serve m --port x"], 2, "is not a whole number"),
        (["diff", "/nowhere", "/nowhere"], 2, "there is no such directory"),
        (["build", "--recipe", "tiny", "--interpret"], 2, "runtime 'cpu' has none"),
        (["eval", "--url", "http://127.0.0.1:9"], 7, "no server answers"),
        (["eval", "--include-path", "/nowhere"], 2, "is not a directory"),
    ],
)
def test_every_door_refuses_bad_input_in_one_line(arguments: list[Any], code: int, words: str, tmp_path: Path) -> None:
    result = trtnemo_here(*arguments, cwd=tmp_path)
    assert result.returncode == code, result.stderr
    assert words in result.stderr
    assert "Traceback" not in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_check_of_our_own_recipe_says_that_every_field_is_honoured() -> None:
    result = trtnemo_here("check", "--recipe", "tiny")
    assert (result.returncode, result.stdout.splitlines()[-1]) == (0, "passed: 0 errors, 0 warnings, 0 notes")
    assert json.loads(trtnemo_here("check", "--recipe", "tiny", "--json").stdout)["passed"] is True


def test_render_prints_or_writes_the_same_text(tmp_path: Path) -> None:
    printed = trtnemo_here("render", "--recipe", "b200", "--as", "docker")
    written = trtnemo_here("render", "--recipe", "b200.yaml", "--as", "docker", "--output", tmp_path / "run.sh")
    assert (written.returncode, written.stdout) == (0, "")
    assert (tmp_path / "run.sh").read_text() == printed.stdout
    assert printed.stdout.startswith("#!/bin/sh\n# TensorRT-LLM 1.3.0rc12, from trtnemo recipe b200\n")


def test_an_imported_command_is_a_recipe(tmp_path: Path) -> None:
    result = trtnemo_here("recipes", "import", card("vllm-spark"))
    assert result.returncode == 0
    (tmp_path / "mine.yaml").write_text(result.stdout)
    assert yaml.safe_load(result.stdout)["limits"] == {"max_batch_size": 4, "max_seq_len": 1000000}
    assert trtnemo_here("check", "--recipe", tmp_path / "mine.yaml").returncode == 0


def test_the_way_of_a_bundle(tmp_path: Path) -> None:
    built = trtnemo_here("build", "--recipe", "b200.yaml", cwd=tmp_path)
    assert built.returncode == 0
    assert "Built engines/b200 in" in built.stdout
    assert "not audited" in built.stdout
    other = trtnemo_here(
        "build", "--recipe", "b200", "--output", "o", "--set", "server.port=8124", "--json", cwd=tmp_path
    )
    assert {"engine", "seconds", "command", "container", "env", "findings", "checked_against"} <= json.loads(
        other.stdout
    ).keys()
    inspected = trtnemo_here("inspect", "engines/b200", "--verify", cwd=tmp_path)
    assert inspected.returncode == 0
    assert "runtime:     trtllm 1.3.0rc12" in inspected.stdout
    assert "warning: cuda_graph_config.enable_padding [trtllm-13179]" in inspected.stdout
    assert json.loads(trtnemo_here("inspect", "o", "--json", cwd=tmp_path).stdout)["layout"] == "bundle-v1"
    same, differs = (trtnemo("diff", "engines/b200", name, cwd=tmp_path) for name in ("engines/b200", "o"))
    assert (same.returncode, same.stdout) == (0, "the same\n")
    assert differs.returncode == 1
    assert "recipe.server.port\n  - 8123\n  + 8124\n" in differs.stdout
    found = json.loads(trtnemo_here("diff", "engines/b200", "o", "--json", cwd=tmp_path).stdout)
    assert found["same"] is False
    assert found["differences"][0].keys() == {"key", "first", "second"}


def test_serving_a_bundle_without_a_gpu_is_this_machines_lack(tmp_path: Path) -> None:
    result = trtnemo("serve", "--recipe", "b200", cwd=tmp_path)
    assert result.returncode == 6
    assert "this machine has none" in result.stderr
    assert "fails devices: found: none" in result.stdout


def test_listing_and_doctor_know_every_recipe() -> None:
    listed = trtnemo_here("recipes", "list").stdout.splitlines()
    assert len(listed) == 27  # with `gpu`, which picks one of them
    doctor = json.loads(trtnemo_here("doctor", "--json").stdout)
    verdicts = {verdict["recipe"]: verdict for verdict in doctor["recipes"]}
    assert verdicts["b200"]["build"] == "yes, a bundle"
    assert verdicts["b200x8-throughput"]["serve"].startswith("no: it needs 8 x b200")
    assert verdicts["rtx-5090"]["build"] == "yes"
    assert verdicts["rtx-5090"]["serve"].startswith("interpreted only")
