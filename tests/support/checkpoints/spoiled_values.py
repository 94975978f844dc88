"""Ways in which the values of a good checkpoint are spoiled, each with the rule that finds it and the tensor it names.

`KINDS` maps a name to (rule, precision, tensor, function of all tensors). Files, shapes and scales stay legal: the
audit without `--deep` sees nothing of them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

Tensors = dict[str, torch.Tensor]
Spoil = Callable[[Tensors], Any]
LAYER = "backbone.layers.1.mixer"
EXPERT, OTHER = f"{LAYER}.experts.3.up_proj", f"{LAYER}.experts.5.up_proj"
IN_PROJ, MAMBA = "backbone.layers.0.mixer.in_proj", "backbone.layers.0.mixer"
KINDS: dict[str, tuple[str, str, str, Spoil]] = {}


def kind(name: str, rule: str, precision: str, tensor: str, spoil: Spoil) -> None:
    """Register one."""
    KINDS[name] = (rule, precision, tensor, spoil)


def _set(tensor: str, place: Any, value: Any) -> Spoil:
    def spoil(content: Tensors) -> None:
        content[tensor][place] = value

    return spoil


def _bytes(tensor: str, change: Callable[[Any], Any]) -> Spoil:
    """Return a change of a tensor's bytes, seen as unsigned numbers."""

    def spoil(content: Tensors) -> None:
        shape, dtype = content[tensor].shape, content[tensor].dtype
        changed = change(content[tensor].contiguous().view(torch.uint8))
        content[tensor] = changed.contiguous().view(dtype).reshape(shape)

    return spoil


def _times(tensor: str, factor: float) -> Spoil:
    def spoil(content: Tensors) -> None:
        content[tensor] = (content[tensor].float() * factor).to(content[tensor].dtype)

    return spoil


def _copy(source: str, target: str, *endings: str) -> Spoil:
    def spoil(content: Tensors) -> None:
        for ending in endings:
            content[f"{target}.{ending}"] = content[f"{source}.{ending}"].clone()

    return spoil


def _random(bits: Any) -> Any:
    return torch.randint(0, 256, bits.shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


W, S, S2 = "weight", "weight_scale", "weight_scale_2"
for _number, _value in {"nan": float("nan"), "infinity": float("inf"), "minus_infinity": float("-inf")}.items():
    kind(f"{_number}_in_an_expert", "value-not-finite", "bf16", f"{EXPERT}.{W}", _set(f"{EXPERT}.{W}", (7, 5), _value))
    kind(f"{_number}_in_a_norm", "value-not-finite", "nvfp4", "backbone.norm_f.weight",
         _set("backbone.norm_f.weight", 9, _value))  # fmt: skip
kind("nan_in_the_router", "value-not-finite", "bf16", f"{LAYER}.gate.weight",
     _set(f"{LAYER}.gate.weight", (0, 0), float("nan")))  # fmt: skip
kind("nan_in_the_routers_bias", "value-not-finite", "bf16", f"{LAYER}.gate.e_score_correction_bias",
     _set(f"{LAYER}.gate.e_score_correction_bias", 0, float("nan")))  # fmt: skip
kind("nan_in_the_last_number_of_the_head", "value-not-finite", "bf16", "lm_head.weight",
     _set("lm_head.weight", (-1, -1), float("nan")))  # fmt: skip
kind("nan_in_the_embedding", "value-not-finite", "bf16", "backbone.embeddings.weight",
     _set("backbone.embeddings.weight", (4000, 0), float("nan")))  # fmt: skip
kind("nan_in_the_draft_head", "value-not-finite", "bf16", "mtp.layers.0.eh_proj.weight",
     _set("mtp.layers.0.eh_proj.weight", (3, 3), float("nan")))  # fmt: skip
kind("an_expert_of_zeros", "tensor-zero", "bf16", f"{EXPERT}.{W}", _times(f"{EXPERT}.{W}", 0))
kind("codes_of_zeros", "tensor-zero", "nvfp4", f"{EXPERT}.{W}", _bytes(f"{EXPERT}.{W}", torch.zeros_like))
kind("codes_of_minus_zeros", "tensor-zero", "nvfp4", f"{EXPERT}.{W}",
     _bytes(f"{EXPERT}.{W}", lambda bits: torch.full_like(bits, 0x88)))  # fmt: skip
kind("a_norm_of_zeros", "tensor-zero", "bf16", "backbone.layers.2.norm.weight",
     _times("backbone.layers.2.norm.weight", 0))  # fmt: skip
kind("a_gated_norm_of_zeros", "tensor-zero", "bf16", f"{MAMBA}.norm.weight", _times(f"{MAMBA}.norm.weight", 0))
kind("the_head_is_zeros", "tensor-zero", "bf16", "lm_head.weight", _times("lm_head.weight", 0))
kind("a_convolution_of_zeros", "tensor-zero", "bf16", f"{MAMBA}.conv1d.weight", _times(f"{MAMBA}.conv1d.weight", 0))
kind("a_router_of_zeros", "tensor-zero", "bf16", f"{LAYER}.gate.weight", _times(f"{LAYER}.gate.weight", 0))
kind("a_skip_of_zeros", "tensor-zero", "bf16", f"{MAMBA}.D", _times(f"{MAMBA}.D", 0))
kind("one_row_of_zeros", "rows-zero", "bf16", f"{EXPERT}.{W}", _set(f"{EXPERT}.{W}", 11, 0))
kind("the_last_row_of_zeros", "rows-zero", "bf16", "lm_head.weight", _set("lm_head.weight", -1, 0))
kind("rows_of_zero_codes", "rows-zero", "nvfp4", f"{EXPERT}.{W}", _set(f"{EXPERT}.{W}", slice(4, 8), 0))
kind("half_of_a_shard_lost", "rows-zero", "bf16", f"{IN_PROJ}.{W}", _set(f"{IN_PROJ}.{W}", slice(100, None), 0))
kind("a_bit_of_an_exponent", "value-far", "bf16", f"{EXPERT}.{W}", _set(f"{EXPERT}.{W}", (2, 2), 3e20))
kind("a_sign_of_an_exponent", "value-far", "bf16", f"{IN_PROJ}.{W}", _set(f"{IN_PROJ}.{W}", (0, 1), -1e30))
kind("a_number_far_from_the_rest", "value-far", "bf16", "lm_head.weight", _set("lm_head.weight", (5, 5), 500.0))
kind("one_byte_of_one_expert", "value-far", "bf16", f"{EXPERT}.{W}",
     _bytes(f"{EXPERT}.{W}", lambda bits: bits.flatten().index_fill(0, torch.tensor([1001]), 0x7E)))  # fmt: skip
kind("a_log_of_another_file", "value-out-of-range", "bf16", f"{MAMBA}.A_log", _set(f"{MAMBA}.A_log", 0, 60.0))
kind("a_step_far_away", "value-out-of-range", "bf16", f"{MAMBA}.dt_bias", _set(f"{MAMBA}.dt_bias", 3, -400.0))
kind("a_skip_far_away", "value-out-of-range", "bf16", f"{MAMBA}.D", _set(f"{MAMBA}.D", 3, 4e4))
kind("a_router_bias_far_away", "value-out-of-range", "bf16", f"{LAYER}.gate.e_score_correction_bias",
     _set(f"{LAYER}.gate.e_score_correction_bias", 2, 1e5))  # fmt: skip
kind("a_norm_far_away", "value-out-of-range", "bf16", "backbone.norm_f.weight",
     _set("backbone.norm_f.weight", 2, 1e6))  # fmt: skip
kind("codes_without_the_largest", "codes-unused", "nvfp4", f"{EXPERT}.{W}",
     _bytes(f"{EXPERT}.{W}", lambda bits: bits & 0xBB))  # fmt: skip
kind("an_expert_of_one_code", "codes-unused", "nvfp4", f"{EXPERT}.{W}",
     _bytes(f"{EXPERT}.{W}", lambda bits: torch.full_like(bits, 0x77)))  # fmt: skip
kind("an_input_scale_far_away", "value-out-of-range", "nvfp4", f"{EXPERT}.input_scale",
     _times(f"{EXPERT}.input_scale", 1e9))  # fmt: skip
kind("random_codes", "codes-flat", "nvfp4", f"{EXPERT}.{W}", _bytes(f"{EXPERT}.{W}", _random))
kind("block_scales_of_a_32nd", "second-scale-large", "nvfp4", f"{EXPERT}.{S}",
     _bytes(f"{EXPERT}.{S}", lambda bits: (bits.int() - 40).clamp(min=1).to(torch.uint8)))  # fmt: skip
kind("block_scales_cut_off", "block-scales-saturated", "nvfp4", f"{IN_PROJ}.{S}",
     _bytes(f"{IN_PROJ}.{S}", lambda bits: (bits.int() + 24).clamp(max=0x7E).to(torch.uint8)))  # fmt: skip
for _factor in (8.0, 0.1):
    kind(f"an_expert_times_{_factor:g}", "expert-far", "bf16", f"{EXPERT}.{W}", _times(f"{EXPERT}.{W}", _factor))
    kind(f"a_second_scale_times_{_factor:g}", "expert-far", "nvfp4", f"{EXPERT}.{W}", _times(f"{EXPERT}.{S2}", _factor))
kind("block_scales_times_8", "expert-far", "nvfp4", f"{EXPERT}.{W}", _times(f"{EXPERT}.{S2}", 64.0))
kind("down_proj_of_another_layer", "expert-far", "bf16", f"{LAYER}.experts.6.down_proj.{W}",
     _times(f"{LAYER}.experts.6.down_proj.{W}", 20.0))  # fmt: skip
kind("an_expert_twice", "weights-alike", "bf16", f"{OTHER}.{W}", _copy(EXPERT, OTHER, W))
kind("an_expert_twice_in_codes", "weights-alike", "nvfp4", f"{OTHER}.{W}", _copy(EXPERT, OTHER, W, S, S2))
kind("codes_twice_with_other_scales", "weights-alike", "nvfp4", f"{OTHER}.{W}", _copy(EXPERT, OTHER, W))
kind("an_expert_of_another_layer", "weights-alike", "bf16", "backbone.layers.4.mixer.experts.3.up_proj.weight",
     _copy(EXPERT, "backbone.layers.4.mixer.experts.3.up_proj", W))  # fmt: skip
kind("a_whole_layer_twice", "weights-alike", "bf16", "backbone.layers.2.mixer.in_proj.weight",
     _copy(MAMBA, "backbone.layers.2.mixer", "in_proj.weight", "out_proj.weight"))  # fmt: skip
MTP = "mtp.layers.1.mixer.experts.2.down_proj"
kind("a_draft_expert_of_zeros", "tensor-zero", "nvfp4", f"{MTP}.{W}", _times(f"{MTP}.{W}", 0))
kind("a_row_of_a_draft_expert_lost", "rows-zero", "nvfp4", f"{MTP}.{W}", _set(f"{MTP}.{W}", 5, 0))
kind("a_draft_expert_twice", "weights-alike", "nvfp4", "mtp.layers.1.mixer.experts.6.down_proj.weight",
     _copy(MTP, "mtp.layers.1.mixer.experts.6.down_proj", W))  # fmt: skip
kind("a_draft_expert_far_from_the_others", "expert-far", "nvfp4", f"{MTP}.{W}", _times(f"{MTP}.{W}", 12.0))
kind("nan_in_a_convolution", "value-not-finite", "nvfp4", f"{MAMBA}.conv1d.weight",
     _set(f"{MAMBA}.conv1d.weight", (1, 0, 2), float("nan")))  # fmt: skip
kind("nan_in_a_log", "value-not-finite", "nvfp4", f"{MAMBA}.A_log", _set(f"{MAMBA}.A_log", 1, float("nan")))
kind("infinity_in_a_latent_projection", "value-not-finite", "bf16", f"{LAYER}.fc1_latent_proj.weight",
     _set(f"{LAYER}.fc1_latent_proj.weight", (0, 3), float("inf")))  # fmt: skip
kind("keys_are_the_queries_of_zeros", "tensor-zero", "bf16", "backbone.layers.3.mixer.k_proj.weight",
     _times("backbone.layers.3.mixer.k_proj.weight", 0))  # fmt: skip
kind("values_are_the_keys", "weights-alike", "bf16", "backbone.layers.3.mixer.v_proj.weight",
     _copy("backbone.layers.3.mixer.k_proj", "backbone.layers.3.mixer.v_proj", W))  # fmt: skip
FP8 = "backbone.layers.2.mixer.in_proj"
kind("nan_among_codes_of_fp8", "value-not-finite", "mixed", f"{FP8}.{W}",
     _bytes(f"{FP8}.{W}", lambda bits: bits.flatten().index_fill(0, torch.tensor([77]), 0x7F)))  # fmt: skip
kind("codes_of_fp8_are_zeros", "tensor-zero", "mixed", f"{FP8}.{W}", _bytes(f"{FP8}.{W}", torch.zeros_like))
kind("codes_of_fp8_an_eighth_of_their_size", "codes-unused", "mixed", f"{FP8}.{W}",
     _bytes(f"{FP8}.{W}", lambda bits: torch.where((bits & 0x7F) > 24, bits - 24, bits & 0x80)))  # fmt: skip
kind("rows_of_fp8_lost", "rows-zero", "mixed", f"{FP8}.{W}", _bytes(f"{FP8}.{W}", lambda bits: bits * (
    torch.arange(len(bits)) != 9)[:, None].to(torch.uint8)))  # fmt: skip
