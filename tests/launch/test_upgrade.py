"""A recipe for another version: its text stays but for what the version changes, and every change is told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from trtnemo.cli.recipes import recipes
from trtnemo.errors import RecipeError
from trtnemo.launch.upgrade import upgrade_recipe
from trtnemo.recipe import load_recipe

SWAPPING = """# mine
runtime: vllm
checkpoint: nvidia/NVIDIA-Nemotron-3-Super-120B-A12B-NVFP4 # the model
hardware: {name: b200}
vllm:
  version: 0.17.0
  image: vllm/vllm-openai:v0.17.0
  args:
    swap-space: 0 # gone later
    max-num-seqs: 8
    compilation-config:
      cudagraph_mode: FULL
"""


def upgraded(folder: Path, text: Any, version: Any) -> Any:
    (folder / "r.yaml").write_text(text)
    found = upgrade_recipe(str(folder / "r.yaml"), version)
    (folder / "new.yaml").write_text(found.text)
    return found, load_recipe(folder / "new.yaml")


def told(found: Any) -> set[tuple[str, str]]:
    return {(change.kind, change.subject) for change in found.changes}


def test_version_and_tag_change_and_comments_stay(tmp_path: Path) -> None:
    found, recipe = upgraded(tmp_path, SWAPPING, "0.33.0")
    assert (recipe.section.version, recipe.section.image) == ("0.33.0", "vllm/vllm-openai:v0.33.0")
    assert found.text.startswith("# mine\n")
    assert "# the model" in found.text
    assert {("written", "vllm.version"), ("written", "vllm.image")} <= told(found)


def test_an_option_that_is_gone_becomes_a_comment_with_its_reason(tmp_path: Path) -> None:
    text = SWAPPING.replace("0.17.0", "0.20.0").replace("swap-space: 0", "mamba-cache-philox-rounds: 5")
    text = text.replace("vllm", "sglang").replace("sglang/sglang-openai:v", "lmsysorg/sglang:v")
    text = text.replace("0.20.0", "0.5.10").replace(
        "mamba-cache-philox-rounds: 5", "disable-piecewise-cuda-graph: true"
    )
    text = text.replace("max-num-seqs", "max-running-requests").replace("    compilation-config:\n", "")
    text = text.replace("      cudagraph_mode: FULL\n", "")
    found, recipe = upgraded(tmp_path, text, "0.5.23")
    assert "    # disable-piecewise-cuda-graph: true # gone later" in found.text
    assert recipe.section.args == {"max-running-requests": 8}
    assert ("written", "--disable-piecewise-cuda-graph") in told(found)
    assert [finding for finding in found.findings if finding.severity == "error"] == []


@pytest.mark.parametrize(
    "args", ["{disable-piecewise-cuda-graph: true, port: 1}", "{port: 1, disable-piecewise-cuda-graph: true}"]
)
def test_a_section_in_one_line_loses_the_key_alone(args: str, tmp_path: Path) -> None:
    text = f"runtime: sglang\ncheckpoint: m/m\nsglang: {{version: 0.5.10, args: {args}}}\n"
    found, recipe = upgraded(tmp_path, text, "0.5.23")
    assert (recipe.section.version, recipe.section.args) == ("0.5.23", {"port": 1})
    assert ("written", "--disable-piecewise-cuda-graph") in told(found)


def test_the_only_option_of_a_section_leaves_an_empty_one(tmp_path: Path) -> None:
    text = "runtime: sglang\ncheckpoint: m/m\nsglang:\n  args:\n    disable-piecewise-cuda-graph: true\n"
    _, recipe = upgraded(tmp_path, text, "0.5.23")
    assert (recipe.section.version, recipe.section.args) == ("0.5.23", {})


def test_a_changed_default_is_told_where_the_recipe_does_not_say_it(tmp_path: Path) -> None:
    text = "runtime: sglang\ncheckpoint: m/m\nsglang: {version: 0.5.10, args: {%s}}\n"
    found, _ = upgraded(tmp_path, text % "port: 1", "0.5.23")
    assert ("default", "--hicache-mem-layout") in told(found)
    found, _ = upgraded(tmp_path, text % "hicache-mem-layout: layer_first", "0.5.23")
    assert ("default", "--hicache-mem-layout") not in told(found)


GONE = """runtime: trtllm
checkpoint: nvidia/NVIDIA-Nemotron-3-Super-120B-A12B-NVFP4
trtllm:
  version: 1.3.0rc12
  args: {max_batch_size: 8}
  llm_args:
    sampler_type: TorchSampler # 1.4 has it no more
    kv_cache_config:
      onboard_blocks: true
      enable_block_reuse: false
"""


def test_keys_of_the_file_that_are_gone_become_comments_at_any_depth(tmp_path: Path) -> None:
    found, recipe = upgraded(tmp_path, GONE, "1.4.0rc1")
    assert recipe.section.llm_args == {"kv_cache_config": {"enable_block_reuse": False}}
    assert "    # sampler_type: TorchSampler # 1.4 has it no more\n" in found.text
    assert {("written", "sampler_type"), ("written", "kv_cache_config.onboard_blocks")} <= told(found)
    assert [finding.rule for finding in found.findings if finding.severity == "error"] == []


@pytest.mark.parametrize(
    ("name", "version", "words"),
    [
        ("tiny", "1.0", "is our own"),
        ("vllm-b200", "0.20.0", "is written for 0.20.0 already"),
        ("vllm-b200", "newest", "is not a version"),
        ("no-such-recipe", "1.0", "there is no recipe"),
    ],
)
def test_what_cannot_be_upgraded_is_refused(name: str, version: str, words: str) -> None:
    with pytest.raises(RecipeError, match=words):
        upgrade_recipe(name, version)


def test_the_command_writes_beside_the_caller_and_never_over_a_file(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    call = ["upgrade", "vllm-b200", "--to", "0.33.0"]
    first = CliRunner().invoke(recipes, call)
    assert (first.exit_code, load_recipe(tmp_path / "vllm-b200-0.33.0.yaml").runtime) == (0, "vllm")
    assert first.output.splitlines()[-1] == "vllm-b200-0.33.0.yaml: written for vLLM 0.33.0, 0 errors left"
    assert "exists already" in str(CliRunner().invoke(recipes, call).exception)
    answer = json.loads(CliRunner().invoke(recipes, [*call, "--force", "--json"]).output)
    assert answer.keys() == {"written", "passed", "changes", "findings"}
    assert {"kind", "subject", "sentence"} == answer["changes"][0].keys()
