"""ModelOpt's own recipe files, those that its package ships for this family and others that people start from."""

from __future__ import annotations

from collections import Counter
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from trtnemo.checkpoint.family.releases import find_release
from trtnemo.checkpoint.rewrite.maps.modelopt_recipe import map_of_recipe
from trtnemo.errors import UsageError

_SPEC = find_spec("modelopt_recipes")
SHIPPED = Path(str(_SPEC and _SPEC.origin)).parent
ULTRA = "models/nvidia/NVIDIA-Nemotron-3-Ultra-550B-A55B-BF16/ptq"
LIGHTNING = "models/nvidia/NVIDIA-Nemotron-3.5-Lightning-30B-A3B-BF16/ptq"
SUPER = "models/nvidia/NVIDIA-Nemotron-3-Super-120B-A12B-BF16/ptq"


@pytest.fixture(scope="module")
def config() -> Any:
    release = find_release("nvidia/NVIDIA-Nemotron-3-Super-120B-A12B-BF16")
    assert release is not None
    return release.config


def formats(found: Any) -> dict[str, int]:
    kinds: Counter[str] = Counter()
    for module, kind in found.layers.items():
        name = "experts" if ".experts." in module else module.partition(".mixer.")[2] or module
        kinds[f"{name} {kind.value}"] += 1
    return dict(kinds)


def test_supers_own_recipe_gives_what_its_comments_say(config: Any) -> None:
    found, search = map_of_recipe(config, SHIPPED / SUPER / "nvfp4-max-calib.yaml")
    assert search == "max"
    assert formats(found) == {
        "in_proj fp8": 40,
        "out_proj fp8": 40,
        "experts nvfp4": 2 * 512 * 40,
        "shared_experts.up_proj fp8": 40,
        "shared_experts.down_proj fp8": 40,
    }
    assert found.fp8_kv_cache


def test_rules_that_are_imported_take_the_place_of_the_import(config: Any) -> None:
    found, _ = map_of_recipe(config, SHIPPED / "configs/ptq/presets/model/mamba_moe_nvfp4_conservative.yaml")
    assert set(formats(found)) == {"experts nvfp4", "shared_experts.up_proj nvfp4", "shared_experts.down_proj nvfp4"}
    assert not found.fp8_kv_cache
    fp8 = formats(map_of_recipe(config, SHIPPED / "configs/ptq/presets/model/fp8.yaml")[0])
    assert fp8["q_proj fp8"] == 8
    assert "lm_head fp8" not in fp8


def test_weights_alone_and_a_quantized_embedding_are_read() -> None:
    release = find_release("nvidia/Nemotron-H-56B-Base-8K")  # dense, as the 4B that the recipe is for
    assert release is not None
    path = SHIPPED / "models/nvidia/NVIDIA-Nemotron-3-Nano-4B-BF16/ptq/nvfp4_w4a16.yaml"
    found = formats(map_of_recipe(release.config, path)[0])
    assert found["lm_head fp8"] == 1
    assert found["backbone.embeddings nvfp4_weight_only"] == 1
    named = (1, 3, 5, 8, 10, 18, 25, 33, 41)
    assert found["down_proj fp8"] == sum(release.config.layer_kinds[layer] == "mlp" for layer in named)


@pytest.mark.parametrize(
    ("release", "place", "search", "experts"),
    [
        ("NVIDIA-Nemotron-3-Super-120B-A12B-BF16", f"{SUPER}/nvfp4-mse.yaml", "mse", "nvfp4"),
        ("NVIDIA-Nemotron-3-Ultra-550B-A55B-BF16", f"{ULTRA}/nvfp4-4o6.yaml", "four-over-six", "nvfp4"),
        (
            "NVIDIA-Nemotron-3.5-Lightning-30B-A3B-NVFP4",
            f"{LIGHTNING}/w4a16_nvfp4_4o6.yaml",
            "four-over-six",
            "nvfp4_weight_only",
        ),
    ],
)
def test_the_recipes_of_the_releases_search_scales(release: str, place: str, search: str, experts: str) -> None:
    found = find_release(f"nvidia/{release}")
    assert found is not None
    chosen, how = map_of_recipe(found.config, SHIPPED / place)
    assert how == search
    assert any(name == f"experts {experts}" for name in formats(chosen))
    assert chosen.fp8_kv_cache


def test_the_map_of_ultra_is_that_of_its_recipe() -> None:
    found = find_release("nvidia/NVIDIA-Nemotron-3-Ultra-550B-A55B-NVFP4")
    assert found is not None
    chosen, _ = map_of_recipe(found.config, SHIPPED / "models/nvidia/NVIDIA-Nemotron-3-Ultra-550B-A55B-BF16/ptq"
                              "/nvfp4-4o6.yaml")  # fmt: skip
    assert (found.quantization.layers, found.inferred) == (chosen.layers, True)
    assert found.quantization.fp8_kv_cache


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("configs/ptq/presets/model/int4_awq.yaml", "algorithm|not written here"),
        ("configs/ptq/presets/model/mxfp8.yaml", "not written here"),
        ("configs/ptq/presets/model/nvfp4_awq_lite.yaml", "its algorithm is 'awq_lite'"),
        ("general/speculative_decoding/eagle3.yaml", "has no quantizer_name"),
    ],
)
def test_a_recipe_for_what_is_not_built_is_refused_by_name(config: Any, place: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        map_of_recipe(config, SHIPPED / place)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("quantize: {algorithm: max, quant_cfg: [{quantizer_name: '*', enable: false}]}", "none of its rules fits"),
        ("quantize: {algorithm: max, quant_cfg: [5]}", "5 is no rule"),
        ("quantize: {algorithm: max, quant_cfg: [{enable: true}]}", "has no quantizer_name"),
        ("quantize: {algorithm: max, quant_cfg: [{quantizer_name: '*weight_quantizer'}]}", "no 'cfg'"),
        ("quantize: {algorithm: max, quant_cfg: [{$import: fp8}]}", "names no file for"),
        ("imports: {fp8: ../../secret}\nquantize: {quant_cfg: [{$import: fp8}]}", "names no file for"),
        ("imports: {a: no/such}\nquantize: {quant_cfg: [{$import: a}]}", "which is not beside it"),
        ("quantize: {algorithm: max, quant_cfg: [{quantizer_name: '*', svd: 3}]}", "'svd', which is not read here"),
        ("quantize: {algorithm: max", "is not YAML"),
        ("quantize: {quant_cfg: [{$import: [1, 2]}]}", "names no file for"),
        (
            "quantize: {quant_cfg: [{quantizer_name: '*proj*weight_quantizer', cfg: {num_bits: e4m3, axis: 0}}]}",
            "axis 0 is not written",
        ),
        ("quantize: {algorithm: {method: awq_lite}, quant_cfg: []}", "its algorithm is 'awq_lite' with nothing else"),
        ("quantize: {algorithm: {method: mse, step_size: 0.1}, quant_cfg: []}", "'mse' with step_size; built are max"),
        ("- 5", "5 is no rule"),
        ("", "no list of rules"),
    ],
)
def test_what_is_no_recipe_is_told(config: Any, tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "mine.yaml").write_text(text)
    with pytest.raises(UsageError, match=message):
        map_of_recipe(config, tmp_path / "mine.yaml")


def test_a_file_that_imports_itself_ends(config: Any, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("imports: {a: mine}\nquant_cfg: [{$import: a}]")
    with pytest.raises(UsageError, match="files deep"):
        map_of_recipe(config, tmp_path / "mine.yaml")
