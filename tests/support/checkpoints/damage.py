"""Ways in which a good checkpoint is damaged, each with the rule that must find it.

`KINDS` maps a name to (rule, or error class where nothing can be audited; precision; function of the directory).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file

Damage = Callable[[Path], None]
FILE, INDEX = "model.safetensors", "model.safetensors.index.json"
EXPERT = "backbone.layers.1.mixer.experts.3.up_proj"
IN_PROJ, GATE = "backbone.layers.0.mixer.in_proj", "backbone.layers.1.mixer.gate.weight"
KINDS: dict[str, tuple[str, str, Damage]] = {}


def kind(rule: str, precision: str = "nvfp4") -> Callable[[Damage], Damage]:
    """Register a damage by its function's name."""

    def register(function: Damage) -> Damage:
        KINDS[function.__name__] = (rule, precision, function)
        return function

    return register


def load(directory: Path) -> dict[str, torch.Tensor]:
    """Return all tensors of a single-file checkpoint."""
    with safe_open(directory / FILE, framework="pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118


def save(directory: Path, tensors: dict[str, torch.Tensor], name: str = FILE) -> None:
    """Write tensors to one file."""
    save_file({key: value.contiguous() for key, value in tensors.items()}, directory / name, {"format": "pt"})


def tensors(
    change: Callable[[dict[str, torch.Tensor]], Any], *, rule: str, name: str, precision: str = "nvfp4"
) -> None:
    """Register a damage that changes tensors."""

    def damage(directory: Path) -> None:
        content = load(directory)
        change(content)
        save(directory, content)

    damage.__name__ = name
    kind(rule, precision)(damage)


def config(rule: str, name: str, precision: str = "nvfp4", **changes: Any) -> None:
    """Register a damage that changes keys of config.json; `...` removes one."""

    def damage(directory: Path) -> None:
        path = directory / "config.json"
        content = {**json.loads(path.read_text()), **changes}
        path.write_text(json.dumps({key: value for key, value in content.items() if value is not ...}))

    damage.__name__ = name
    kind(rule, precision)(damage)


def edit_map(directory: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    """Change the quantization block of hf_quant_config.json."""
    path = directory / "hf_quant_config.json"
    content = json.loads(path.read_text())
    change(content["quantization"])
    path.write_text(json.dumps(content))


def shard(directory: Path, count: int = 2) -> dict[str, str]:
    """Split the file into shards with an index, and return its weight map."""
    content = load(directory)
    names = sorted(content)
    weight_map: dict[str, str] = {}
    for number in range(count):
        name = f"model-{number + 1:05}-of-{count:05}.safetensors"
        part = {key: content[key] for key in names[number::count]}
        save(directory, part, name)
        weight_map |= dict.fromkeys(part, name)
    (directory / FILE).unlink()
    total = sum(value.nbytes for value in content.values())
    write_index(directory, weight_map, total)
    return weight_map


def write_index(directory: Path, weight_map: dict[str, str], total: int | None = None) -> None:
    """Write the index."""
    metadata = {} if total is None else {"total_size": total}
    (directory / INDEX).write_text(json.dumps({"metadata": metadata, "weight_map": weight_map}))


def edit_header(directory: Path, change: Callable[[dict[str, Any]], Any], extra: bytes = b"") -> None:
    """Change the header of the single file and leave its data where it is."""
    path = directory / FILE
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    change(header)
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data[8 + length :] + extra)


def _lacks(name: str) -> Callable[[dict[str, torch.Tensor]], Any]:
    return lambda content: content.pop(name)


for _suffix in ("weight", "weight_scale", "weight_scale_2", "input_scale"):
    tensors(_lacks(f"{EXPERT}.{_suffix}"), rule="tensor-missing", name=f"expert_lacks_{_suffix}")
for _name in (GATE, "backbone.embeddings.weight", "backbone.norm_f.weight", "lm_head.weight", f"{IN_PROJ}.weight",
              "backbone.layers.0.mixer.A_log", "backbone.layers.0.mixer.conv1d.bias", "mtp.layers.0.eh_proj.weight",
              "backbone.layers.1.mixer.gate.e_score_correction_bias"):  # fmt: skip
    tensors(_lacks(_name), rule="tensor-missing", name=f"lacks_{_name.replace('.', '_')}", precision="bf16")


def _without(part: str) -> Callable[[dict[str, torch.Tensor]], None]:
    def change(content: dict[str, torch.Tensor]) -> None:
        for name in [name for name in content if part in name]:
            del content[name]

    return change


tensors(_without(".mixer.experts.3."), rule="tensor-missing", name="expert_3_of_every_layer_is_gone")
tensors(_without("backbone.layers.2."), rule="tensor-missing", name="a_layer_is_gone")
tensors(_without(".weight_scale_2"), rule="tensor-missing", name="no_weight_scale_2_anywhere")
tensors(_without("mtp."), rule="mtp-missing", name="the_draft_head_is_gone")


def _rename(content: dict[str, torch.Tensor]) -> None:
    for name in [name for name in content if name.startswith("backbone.")]:
        content[name.replace("backbone.", "model.")] = content.pop(name)


def _stack(content: dict[str, torch.Tensor]) -> None:
    names = [f"backbone.layers.1.mixer.experts.{expert}.up_proj.weight" for expert in range(8)]
    content["backbone.layers.1.mixer.experts.up_proj"] = torch.stack([content.pop(name) for name in names])


tensors(_rename, rule="layout-other", name="names_of_transformers", precision="bf16")
tensors(_stack, rule="layout-other", name="experts_of_a_layer_in_one_tensor", precision="bf16")
tensors(lambda t: t.update(stray=torch.zeros(3)), rule="tensor-unexpected", name="a_stray_tensor")
tensors(lambda t: t.update({"backbone.layers.0.mixer.in_proj.bias": torch.zeros(8)}), rule="tensor-unexpected",
        name="a_bias_that_the_config_denies")  # fmt: skip
tensors(lambda t: t.update({f"{IN_PROJ}.input_scale": torch.ones(())}), rule="tensor-unexpected", precision="bf16",
        name="a_scale_of_a_plain_layer")  # fmt: skip
tensors(lambda t: t.update({GATE: t[GATE].to(torch.float16)}), rule="tensor-dtype", name="gate_in_float16")
tensors(lambda t: t.update({f"{EXPERT}.weight_scale": t[f"{EXPERT}.weight_scale"].float()}), rule="tensor-dtype",
        name="block_scales_in_float32")  # fmt: skip
tensors(
    lambda t: t.update({f"{EXPERT}.input_scale": torch.ones(1)}), rule="tensor-shape", name="scalar_with_a_dimension"
)
tensors(lambda t: t.update({f"{EXPERT}.weight_scale": t[f"{EXPERT}.weight_scale"][:, :1]}), rule="tensor-shape",
        name="blocks_of_another_size")  # fmt: skip
tensors(lambda t: t.update({"lm_head.weight": t["lm_head.weight"].T}), rule="tensor-shape", name="lm_head_transposed")
tensors(lambda t: t.update({"lm_head.weight": t["lm_head.weight"][:-64]}), rule="tensor-shape", name="lm_head_cut")
tensors(lambda t: t.update({f"{EXPERT}.weight": torch.zeros(96, 64, dtype=torch.bfloat16)}), rule="format-mismatch",
        name="one_expert_left_in_bf16")  # fmt: skip
tensors(lambda t: t[f"{EXPERT}.weight_scale_2"].fill_(float("nan")), rule="scale-not-finite", name="a_scale_is_nan")
tensors(lambda t: t[f"{EXPERT}.input_scale"].fill_(float("inf")), rule="scale-not-finite", name="a_scale_is_infinite")
tensors(lambda t: t[f"{EXPERT}.weight_scale"].view(torch.uint8)[0, 0].fill_(0x7F), rule="scale-not-finite",
        name="a_block_scale_is_nan")  # fmt: skip
tensors(lambda t: t[f"{EXPERT}.weight_scale"].view(torch.uint8)[0, 0].fill_(0), rule="block-scale-zero",
        name="a_block_scale_is_zero")  # fmt: skip
tensors(lambda t: t[f"{EXPERT}.weight_scale"].view(torch.uint8)[0, 0].fill_(0xB8), rule="scale-not-positive",
        name="a_block_scale_is_negative")  # fmt: skip
tensors(lambda t: t[f"{EXPERT}.weight_scale_2"].fill_(0), rule="scale-not-positive", name="a_scale_is_zero")
config("ModelConfigError", "a_limit_that_is_no_number", time_step_limit=[float("nan"), float("inf")])
tensors(lambda t: t[f"{EXPERT}.weight_scale_2"].neg_(), rule="scale-not-positive", name="a_scale_is_negative")
config("tensor-shape", "vocabulary_doubled", vocab_size=2048)
config("tokenizer-vocabulary", "vocabulary_halved", vocab_size=512)
config("tensor-shape", "more_mamba_heads_than_stored", mamba_num_heads=16)
config("tensor-unexpected", "fewer_experts_than_stored", n_routed_experts=4, num_experts_per_tok=2)
config("tensor-missing", "more_experts_than_stored", n_routed_experts=16)
config("tensor-unexpected", "no_latent_though_stored", moe_latent_size=None)
config("tensor-unexpected", "no_draft_head_though_stored", num_nextn_predict_layers=0)
config("tensor-missing", "layers_in_another_order", hybrid_override_pattern="EMM*EME")
config("layers-spelling", "layers_spelled_by_transformers", hybrid_override_pattern=..., num_hidden_layers=...,
       layers_block_type=[f"{kind}_attention" if kind in ("linear", "full") else kind
                          for kind in ("linear", "moe", "linear", "full", "moe", "linear", "moe")])  # fmt: skip
config("time-step-limit", "infinity_as_an_object", time_step_limit=[0.0, {"__float__": "Infinity"}])
config("ModelConfigError", "no_experts", n_routed_experts=0)
config("ModelConfigError", "another_family", model_type="llama")
config("ModelConfigError", "more_experts_chosen_than_there", num_experts_per_tok=4096)


@kind("format-mismatch", "mixed")
def mixed_map_read_as_plain_nvfp4(directory: Path) -> None:
    """The damage that NVIDIA's users reported: the map lost, one algorithm for all."""
    edit_map(directory, lambda q: (q.pop("quantized_layers"), q.update(quant_algo="NVFP4", exclude_modules=[])))
    _drop_block(directory)


@kind("format-mismatch")
def no_map_at_all(directory: Path) -> None:
    """Quantized weights, and nothing that says so."""
    (directory / "hf_quant_config.json").unlink()
    _drop_block(directory)


def _drop_block(directory: Path) -> None:
    path = directory / "config.json"
    content = json.loads(path.read_text())
    content.pop("quantization_config", None)
    path.write_text(json.dumps(content))


@kind("format-mismatch", "mixed")
def one_layer_said_to_be_fp8(directory: Path) -> None:
    """One entry of the map changed."""
    edit_map(directory, lambda q: q["quantized_layers"].update({f"{EXPERT}": {"quant_algo": "FP8"}}))


@kind("maps-disagree", "mixed")
def two_maps_that_disagree(directory: Path) -> None:
    """config.json says NVFP4 of every layer, hf_quant_config.json the truth."""
    path = directory / "config.json"
    content = json.loads(path.read_text())
    content["quantization_config"] = {"quant_method": "modelopt", "quant_algo": "NVFP4", "ignore": ["lm_head"]}
    path.write_text(json.dumps(content))


@kind("names-damaged", "mixed")
def names_with_the_sentinel(directory: Path) -> None:
    """As ModelOpt 0.47 writes them."""
    edit_map(directory, lambda q: q.update(quantized_layers={
        f"{name}.\0backbone.pt_name_sentinel": entry for name, entry in q["quantized_layers"].items()}))  # fmt: skip


@kind("CheckpointError", "mixed")
def an_unknown_algorithm(directory: Path) -> None:
    """An algorithm that nobody here knows."""
    edit_map(directory, lambda q: q["quantized_layers"].update({EXPERT: {"quant_algo": "INT3"}}))


@kind("kv-scale-missing", "mixed")
def one_kv_scale_of_two(directory: Path) -> None:
    """One scale of the cache is gone."""
    content = load(directory)
    prefix = "backbone.layers.3.mixer"
    content[f"{prefix}.k_proj.k_scale"] = torch.ones(())
    content.pop(f"{prefix}.v_proj.v_scale", None)
    save(directory, content)
    edit_map(directory, lambda q: q.update(kv_cache_quant_algo="FP8"))


@kind("tokenizer-missing")
def no_tokenizer(directory: Path) -> None:
    """The tokenizer was not copied."""
    (directory / "tokenizer.json").unlink()
