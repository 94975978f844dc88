"""Recipes: found by name or path, validated with one error that names file, line, key and the nearest valid key."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from trtnemo.errors import RecipeError, UsageError
from trtnemo.recipe import CpuRecipe, ExternalRecipe, json_schema, load_recipe, shipped_names, validate
from trtnemo.recipe.runtimes import RECIPE_TYPES
from trtnemo.recipe.source import SHIPPED_RECIPES, parse


def write(directory: Path, text: str) -> Path:
    path = directory / "my.yaml"
    path.write_text(text)
    return path


def test_a_recipe_is_found_by_bare_name_file_name_and_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    by_name = load_recipe("tiny")
    assert by_name == load_recipe("tiny.yaml") == load_recipe(SHIPPED_RECIPES / "tiny.yaml")
    assert isinstance(by_name, CpuRecipe)


def test_every_shipped_recipe_is_valid() -> None:
    assert {"b200", "tiny"} <= set(shipped_names())
    for name in shipped_names():
        assert load_recipe(name).description


def test_b200_holds_the_model_cards_block() -> None:
    recipe = load_recipe("b200")
    assert isinstance(recipe, ExternalRecipe)
    assert recipe.checkpoint == "nvidia/NVIDIA-Nemotron-3-Super-120B-A12B-NVFP4"
    server: Any = recipe
    assert server.trtllm.image == "nvcr.io/nvidia/tensorrt-llm/release:1.3.0rc12"
    assert server.trtllm.llm_args == yaml.safe_load(
        """
kv_cache_config:
  dtype: fp8
  enable_block_reuse: false
  free_gpu_memory_fraction: 0.9
  mamba_ssm_cache_dtype: float16
  mamba_ssm_stochastic_rounding: true
  mamba_ssm_philox_rounds: 5
moe_config:
  backend: CUTLASS
cuda_graph_config:
  enable_padding: true
  max_batch_size: 8
enable_attention_dp: false
enable_chunked_prefill: true
stream_interval: 1
print_iter_log: true
speculative_config:
  decoding_type: MTP
  num_nextn_predict_layers: 3
  allow_advanced_sampling: true
"""
    )
    assert (recipe.limits.max_batch_size, recipe.limits.max_num_tokens, recipe.limits.max_seq_len) == (8, 8192, 1048576)


@pytest.mark.parametrize("runtime", sorted(RECIPE_TYPES))
def test_every_runtime_takes_the_shared_fields_and_its_own_section(runtime: Any) -> None:
    sections: dict[str, dict[str, Any]] = {
        "cpu": {"threads": 2},
        "tensorrt": {"flavor": "rtx"},
        "cuda": {"compile_ahead": False},
    }
    section = sections.get(runtime, {"args": {"any-key": [1, "x"]}})
    text = yaml.safe_dump({"runtime": runtime, "limits": {"max_batch_size": 3}, runtime: section})
    recipe = validate(parse(text, "x"))
    assert recipe.limits.max_batch_size == 3
    assert recipe.model_dump(mode="json")[runtime].items() >= section.items()


@pytest.mark.parametrize(
    ("text", "where", "message"),
    [
        (
            "runtime: cpu\nlimits:\n  max_batchsize: 3\n",
            ":3",
            r"unknown key 'limits.max_batchsize'; did you mean 'max_batch_size'\?",
        ),
        ("runtime: cpu\nserverr: {}\n", ":2", r"unknown key 'serverr'; did you mean 'server'\?"),
        ("runtime: cpu\nvllm: {}\n", ":2", "unknown key 'vllm'"),
        (
            "runtime: cpu\n\nlimits: {max_seq_len: many}\n",
            ":3",
            "'limits.max_seq_len' must be a valid integer, not 'many'",
        ),
        ("runtime: cpu\nlimits: {max_seq_len: '8'}\n", ":2", "must be a valid integer, not '8'"),
        ("runtime: cpu\nspeculation: {draft_tokens: 7}\n", ":2", "less than or equal to 6"),
        ("runtime: cpu\nparsers: {reasoning: super_v4}\n", ":2", "'super_v3'"),
        ("runtime: cpu\nparsers: {tool: hermes}\n", ":2", "qwen3_coder"),
        ("runtime: cpu\nserver: {port: 65536}\n", ":2", "'server.port' must be less than or equal to 65535"),
        ("runtime: cpu\nsampling: {top_p: 0}\n", ":2", "greater than 0"),
        ("runtime: cpu\nlimits: 3\n", ":2", "'limits' must be an object"),
        ("runtime: cpuu\n", ":1", r"runtime 'cpuu' is not one of.*did you mean 'cpu'\?"),
        ("limits: {}\n", "", "the key 'runtime' is missing"),
        ("runtime: cpu\nruntime: cpu\n", ":2", "stands twice"),
        ("runtime: cpu\n3: x\n", ":2", "is not text"),
        ("runtime: [\n", ":2", "not valid YAML"),
        ("- runtime\n", "", "mapping"),
        ("", "", "mapping"),
        ("runtime: cpu\nlimits: {max_seq_len: .inf}\n", "", "no JSON form"),
        ("runtime: cpu\ncheckpoint: !!python/object:os.system {}\n", ":2", "not valid YAML"),
        ("runtime: cpu\nserved_model_names: [a, 3]\n", ":2", "served_model_names.1"),
        ("runtime: cpu\ncpu: " + "{a: " * 40 + "1" + "}" * 40, ":2", "deeper than 32"),
    ],
)
def test_a_bad_recipe_gives_one_error_with_file_line_and_key(
    tmp_path: Path, text: Any, where: str, message: str
) -> None:
    path = write(tmp_path, text)
    with pytest.raises(RecipeError, match=message) as caught:
        load_recipe(path)
    assert str(caught.value).startswith(f"{path}{where}: ")


def test_an_unknown_name_is_told_with_the_nearest_one() -> None:
    with pytest.raises(RecipeError, match=r"no recipe 'tinny'; did you mean 'tiny'\?"):
        load_recipe("tinny")


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_bytes(b"runtime: \xff\xfe")
    with pytest.raises(RecipeError, match="UTF-8"):
        load_recipe(path)


def test_set_changes_one_value_and_keeps_the_rest() -> None:
    recipe = load_recipe("tiny", ["limits.max_batch_size=3", "served_model_names=[a, b]", "cpu.threads=1", "revision="])
    assert recipe.limits.max_batch_size == 3
    assert recipe.limits.max_seq_len == 32768
    assert recipe.served_model_names == ("a", "b")
    assert recipe.model_dump()["cpu"]["threads"] == 1
    assert recipe.revision is None


@pytest.mark.parametrize(
    "setting", ["limits", "=3", "a..b=3", "limits.max_batch_size.more=3", "limits=[", "x={a: 1, a: 2}"]
)
def test_a_malformed_set_is_a_usage_error(setting: str) -> None:
    with pytest.raises(UsageError, match="--set"):
        load_recipe("tiny", [setting])


def test_an_unknown_key_in_set_is_told_as_such() -> None:
    with pytest.raises(RecipeError, match=r"^--set: unknown key 'limits.max_batch'; did you mean 'max_batch_size'\?"):
        load_recipe("tiny", ["limits.max_batch=3"])


def test_a_recipe_without_served_names_serves_the_checkpoints() -> None:
    assert validate(parse("runtime: cpu\ncheckpoint: a/b-c\n", "x")).served_model_names == ("b-c",)


CARD = ("tiny", "nvidia/nemotron-3-super")


@pytest.mark.parametrize(
    ("settings", "checkpoint", "names"),
    [
        ([], None, CARD),
        ([], "tiny", CARD),
        ([], "/models/finetuned/", ("finetuned",)),
        ([], "me/my-nemotron", ("my-nemotron",)),
        (["checkpoint=me/my-nemotron"], None, ("my-nemotron",)),
        (["checkpoint=me/a"], "me/b", ("b",)),
        ([], "/copies/tiny", CARD),  # the same checkpoint, elsewhere
        (["served_model_names=[chosen]"], "me/b", ("chosen",)),
    ],
)
def test_another_checkpoint_is_announced_under_its_own_name(
    settings: list[Any], checkpoint: str | None, names: Any
) -> None:
    assert load_recipe("tiny", settings, checkpoint).served_model_names == names


def test_names_of_an_external_server_stay_with_another_checkpoint() -> None:
    own = load_recipe("b200").served_model_names
    assert own
    assert load_recipe("b200", [], "me/finetuned").served_model_names == own


def test_a_loaded_recipe_is_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        load_recipe("tiny").limits.max_batch_size = 3  # type: ignore[misc]


def test_what_show_prints_is_a_recipe_again() -> None:
    for name in shipped_names():
        recipe = load_recipe(name)
        assert validate(parse(yaml.safe_dump(recipe.model_dump(mode="json")), "x")) == recipe


def test_the_json_schema_names_every_runtime() -> None:
    schema = json_schema()
    assert set(schema["discriminator"]["mapping"]) == set(RECIPE_TYPES)
    assert json.dumps(schema)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-10, 70000) | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
KEYS = st.sampled_from([*CpuRecipe.model_fields, "limit", "x"])


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(KEYS, VALUES, max_size=5))
def test_any_mapping_is_a_recipe_or_one_recipe_error(data: Any) -> None:
    text = yaml.safe_dump({"runtime": "cpu", **data})
    try:
        assert validate(parse(text, "x")).model_dump()
    except RecipeError as error:
        assert len(str(error).splitlines()) == 1


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=80))
def test_any_text_is_a_recipe_or_a_recipe_error(text: str) -> None:
    try:
        recipe = validate(parse(text, "x"))
    except RecipeError as error:
        assert re.match(r"x(:\d+)?: ", str(error))
        assert len(str(error).splitlines()) == 1
        return
    assert isinstance(recipe, RECIPE_TYPES[recipe.runtime])


def test_a_secret_in_a_recipe_is_refused_without_its_value() -> None:
    with pytest.raises(RecipeError, match="MY_API_KEY is a secret") as caught:
        load_recipe("vllm-b200", ["vllm.env.MY_API_KEY=sk-1"])
    assert "sk-1" not in str(caught.value)
