"""Every shipped recipe is one that its server takes, and means what the model card's line means."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.launch.machine import card
from tests.support.launch.meaning import EXTERNAL, meaning
from tests.support.paths import CARD, ROOT
from trtnemo.errors import RecipeError
from trtnemo.launch.check import check_invocation
from trtnemo.launch.from_recipe import to_invocation
from trtnemo.launch.pasted.command import read_command
from trtnemo.launch.render.write import render
from trtnemo.launch.servers.surface import load_surface
from trtnemo.recipe import load_recipe, shipped_names


def rendered(name: Any, *settings: Any) -> Any:
    recipe = load_recipe(name, settings)
    return read_command(render("docker", name, recipe, to_invocation(recipe)))


@pytest.mark.parametrize(
    ("name", "block"), [("b200", "trtllm"), ("vllm-dgx-spark", "vllm-spark"), ("sglang-b200", "sglang")]
)
def test_a_rendered_docker_line_means_the_cards(name: str, block: str) -> None:
    assert meaning(rendered(name)) == meaning(read_command(card(block)))


def test_the_rendered_command_means_the_cards_vllm_line_but_for_swap_space() -> None:
    recipe = load_recipe("vllm-b200")
    ours = read_command(render("command", "vllm-b200", recipe, to_invocation(recipe)), "0.20.0")
    theirs = read_command(card("vllm"))
    assert meaning(ours)[3:7] == meaning(theirs)[3:7]
    assert list(theirs.unknown) == ["--swap-space"]
    assert (theirs.findings, ours.findings, ours.unknown) == ((), (), {})


@pytest.mark.parametrize(
    ("name", "base", "option", "variable"),
    [
        ("vllm-b200-1m", "vllm-b200", "--max-model-len", "VLLM_ALLOW_LONG_MAX_MODEL_LEN"),
        ("sglang-b200-1m", "sglang-b200", "--context-length", "SGLANG_ALLOW_OVERWRITE_LONGER_CONTEXT_LEN"),
    ],
)
def test_the_long_forms_add_what_the_card_says_and_nothing_else(
    name: str, base: str, option: str, variable: str
) -> None:
    long, short = to_invocation(load_recipe(name)), to_invocation(load_recipe(base))
    assert long.options == {**short.options, option: 1048576}
    assert long.env == {variable: "1"}


def test_opencode_is_the_cards_but_for_port_context_key_and_what_makes_it_work() -> None:
    """By the card's file opencode asks for a model of another name, and never sends the card's temperature."""
    recipe = load_recipe("b200")
    ours = json.loads(render("opencode", "b200", recipe, to_invocation(recipe)))
    theirs = json.loads((CARD / "opencode.json").read_text(encoding="utf-8"))
    ours["provider"]["local"]["options"] = theirs["provider"]["local"]["options"]
    model = ours["provider"]["local"]["models"]["nvidia-nemotron-3-super"]
    assert model["limit"]["context"] == 1048576
    model["limit"]["context"] = 1000000
    assert (model.pop("id"), model.pop("temperature")) == (model["name"], True)
    assert ours == theirs


@pytest.mark.parametrize("name", EXTERNAL)
def test_no_option_of_a_shipped_recipe_is_refused(name: str) -> None:
    recipe = load_recipe(name)
    invocation = to_invocation(recipe)
    report = check_invocation(invocation, recipe.hardware.compute_capability)
    assert [finding for finding in report.findings if finding.severity == "error"] == []
    assert (invocation.record.is_exact, invocation.version) in [(True, invocation.version), (False, None)]


@pytest.mark.parametrize("name", [name for name in EXTERNAL if name != "b200"])
def test_no_shipped_recipe_but_the_cards_own_meets_a_known_issue(name: str) -> None:
    """b200 is the card's block, 13179 included; whatever we derived ourselves avoids what is known."""
    recipe = load_recipe(name)
    findings = check_invocation(to_invocation(recipe), recipe.hardware.compute_capability).findings
    assert [finding.rule for finding in findings if finding.severity == "warning"] == []


def test_b200_names_13179_and_the_remedy_and_taking_it_lifts_the_warning() -> None:
    def rules(*settings: Any) -> Any:
        return {f.rule: f.remedy for f in check_invocation(to_invocation(load_recipe("b200", settings))).findings}

    assert "enable_padding: false" in rules()["trtllm-13179"]
    assert "trtllm-13179" not in rules("trtllm.llm_args.cuda_graph_config.enable_padding=false")


def test_every_recipe_of_the_folder_ships() -> None:
    assert shipped_names() == sorted(path.stem for path in (ROOT / "recipes").glob("*.yaml"))
    assert len(shipped_names()) > 15


@pytest.mark.parametrize(
    ("name", "setting", "words"),
    [
        ("b200", "trtllm.args.max_batch_sice=8", "--max_batch_sice: .*Did you mean '--max_batch_size'"),
        ("b200", "trtllm.llm_args.kv_cache_config.dtyp=fp8", "kv_cache_config.dtyp: .*Did you mean 'dtype'"),
        ("b200", "trtllm.llm_args.mamba_ssm_cache_dtype=float16", "under kv_cache_config"),
        ("b200", "trtllm.args.trust_remote_code=maybe", "must be true or false"),
        ("b200", "trtllm.llm_args.kv_cache_config.dtype=auto", "Say it once"),
        ("b200", "trtllm.args.tp_size=2", "says 1 in a neutral field and 2 for --tensor_parallel_size"),
        ("b200", "parallel.data=2", "'parallel.data' has no equal in TensorRT-LLM 1.3.0rc12"),
        ("b200", "parallel.tensor=3", "1, 2, 4 or 8"),
        ("b200", "parallel.tensor=2", "hardware.count: 2 x 1 devices .tensor x pipeline. are needed"),
        ("vllm-b200", "parallel.pipeline=2", "hardware.count says 1"),
        ("b200x8-throughput", "hardware.count=4", "hardware.count says 4"),
        ("b200", "trtllm.version=newest", "is not a version"),
        ("sglang-b200", "limits.max_num_tokens=8192", "has no equal in SGLang"),
        ("sglang-b200", "served_model_names=[a, b]", "answers to one"),
        ("vllm-b200", "vllm.args.swap-space=0", "Leave it out"),
        ("vllm-dgx-spark", "speculation.draft_tokens=2", "says both 2 and 3"),
        ("vllm-b200", "vllm.args.max-num-seqs=[1, 2]", r"--max-num-seqs: takes one value, not the list \[1, 2\]"),
        ("b200", "parsers.tool=foo", "--tool_parser: 'foo' is not one of"),
        ("b200", "parsers.reasoning=foo", "--reasoning_parser: 'foo' is not one of"),
        ("vllm-b200", "parsers.tool=foo", "--tool-call-parser: 'foo' is not one of"),
        ("vllm-b200", "parsers.reasoning=foo", "--reasoning-parser: 'foo' is not one of"),
        ("sglang-b200", ["parsers.tool=foo", "sglang.version=0.5.10"], "--tool-call-parser: 'foo' is not one of"),
        ("vllm-b200", "kv_cache.dtype=float32", "--kv-cache-dtype: 'float32' is not one of"),
        ("vllm-b200", "vllm.image=a b", "image"),
        ("vllm-b200", "vllm.env.MY_API_KEY=abc", "is a secret"),
        ("b200", 'checkpoint=""', "has no name"),
        ("b200", "server.port=0", "lets the system choose"),
        ("vllm-b200", "vllm.args.api-key=abc", "holds a secret"),
        ("vllm-b200", "vllm.args.hf-token=abc", "holds a secret"),
        ("vllm-b200", 'vllm.args.chat-template="a\\0b"', "NUL"),
        ("b200", "trtllm.llm_args.cuda_graph_config.batch_sizes=[1, 2]", "the server stops at start"),
        ("vllm-b200", "vllm.container.shm_size=16 g", "shm_size"),
    ],
)
def test_a_recipe_that_its_server_refuses_is_no_bundle(name: str, setting: Any, words: str, tmp_path: Path) -> None:
    from trtnemo.launch.bundle.bundle import build_bundle

    with pytest.raises(RecipeError, match=words):
        build_bundle(load_recipe(name, [setting] if isinstance(setting, str) else setting), name, tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()


def test_neutral_fields_become_each_servers_own_options() -> None:
    neutral = ["parallel.tensor=2", "speculation.draft_tokens=2", "limits.max_batch_size=4", "kv_cache.dtype=fp8"]
    sglang = to_invocation(load_recipe("sglang-b200", neutral)).options
    assert sglang["--tensor-parallel-size"] == 2
    assert sglang["--kv-cache-dtype"] == "fp8_e4m3"
    assert (sglang["--speculative-num-steps"], sglang["--speculative-num-draft-tokens"]) == (2, 3)
    vllm = to_invocation(load_recipe("vllm-b200", [*neutral, "parallel.expert=2"])).options
    assert vllm["--speculative-config"] == {"method": "mtp", "num_speculative_tokens": 2}
    assert vllm["--enable-expert-parallel"] is True
    new = to_invocation(load_recipe("h200", ["trtllm.version=1.4.0"])).llm_args
    assert new is not None
    assert new["speculative_config"]["max_draft_len"] == 3


def test_the_yaml_of_a_recipe_is_what_llm_args_say() -> None:
    recipe: Any = load_recipe("b200")
    text = render("command", "b200", recipe, to_invocation(recipe))
    content = yaml.safe_load(text.partition("<< 'EOF'\n")[2].partition("EOF\n")[0])
    assert content == recipe.trtllm.llm_args
    assert set(content) <= load_surface("trtllm", "1.3.0rc12").classes["TorchLlmArgs"].keys()
