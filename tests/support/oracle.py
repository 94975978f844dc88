"""transformers as an independent oracle: the same checkpoint through somebody else's NemotronH, in float32."""

from __future__ import annotations

import json
import tempfile
import warnings
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

E2M1 = torch.tensor([0, 0.5, 1, 1.5, 2, 3, 4, 6, 0, -0.5, -1, -1.5, -2, -3, -4, -6])


def decoded_tensors(directory: Path) -> dict[str, Tensor]:
    """Return a checkpoint's weights in float32, decoded with torch and ModelOpt, none of our code."""
    tensors = {}
    for path in sorted(directory.glob("*.safetensors")):
        with safe_open(path, framework="pt") as file:
            tensors.update({name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118
    result = {}
    for name, value in tensors.items():
        module, _, last = name.rpartition(".")
        if last in ("weight_scale", "weight_scale_2", "input_scale", "k_scale", "v_scale"):
            continue
        if value.dtype is torch.uint8:
            scales = tensors[f"{module}.weight_scale"], tensors[f"{module}.weight_scale_2"]
            result[name] = decode_with_modelopt(value, *scales)
        elif value.dtype is torch.float8_e4m3fn:
            result[name] = value.float() * tensors[f"{module}.weight_scale"]
        else:
            result[name] = value.float()
    return result


def decode_with_modelopt(packed: Tensor, block_scale: Tensor, scale_2: Tensor) -> Tensor:
    """Return an NVFP4 weight as ModelOpt's own class decodes it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from modelopt.torch.quantization.qtensor import NVFP4QTensor

    shape = torch.Size((packed.shape[0], packed.shape[1] * 2))
    tensor = NVFP4QTensor(shape, torch.float32, packed)
    decoded: Tensor = tensor.dequantize(
        scale=block_scale, double_scale=scale_2, block_sizes={-1: 16}, dtype=torch.float32
    )
    return decoded


def load_model(directory: Path) -> Any:
    """Return transformers' model over the checkpoint's decoded weights, its prefill's dt clamp switched off."""
    config = json.loads((directory / "config.json").read_text())
    config.pop("quantization_config", None)
    tensors = {name: value for name, value in decoded_tensors(directory).items() if not name.startswith("mtp.")}
    return load_from_tensors(config, tensors)


def load_from_tensors(config: dict[str, Any], tensors: dict[str, Tensor]) -> Any:
    """Return transformers' model of a config and float32 weights under hub names."""
    from transformers import NemotronHForCausalLM

    config = {**config, "time_step_min": 1e-30, "torch_dtype": "float32"}
    with tempfile.TemporaryDirectory() as place, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        save_file({k: v.contiguous() for k, v in tensors.items()}, f"{place}/model.safetensors", {"format": "pt"})
        Path(place, "config.json").write_text(json.dumps(config))
        model: Any = NemotronHForCausalLM.from_pretrained(place, dtype=torch.float32, attn_implementation="eager")
    return model.eval()


def mtp_model(directory: Path) -> tuple[Any, dict[str, Tensor]]:
    """Return transformers' layers as an MTP head (attention, MoE, final norm), and all decoded weights."""
    config = json.loads((directory / "config.json").read_text())
    config.pop("quantization_config", None)
    tensors = decoded_tensors(directory)
    head = {
        name.replace("mtp.", "backbone."): value
        for name, value in tensors.items()
        if name.startswith("mtp.")
        and not any(part in name for part in ("enorm", "hnorm", "eh_proj", "final_layernorm"))
    }
    head["backbone.norm_f.weight"] = tensors["mtp.layers.1.final_layernorm.weight"]
    head["backbone.embeddings.weight"] = tensors["backbone.embeddings.weight"]
    head["lm_head.weight"] = tensors["lm_head.weight"]
    config |= {"hybrid_override_pattern": "*E", "num_hidden_layers": 2}
    return load_from_tensors(config, head), tensors


def mtp_inputs(tensors: dict[str, Tensor], next_ids: Tensor, hidden: Tensor) -> Tensor:
    """Return eh_proj over [enorm(embedding) | hnorm(hidden)], written out."""

    def norm(x: Tensor, name: str) -> Tensor:
        return tensors[name] * x / torch.sqrt((x * x).mean(-1, keepdim=True) + 1e-5)

    embedded = tensors["backbone.embeddings.weight"][next_ids]
    joined = [norm(embedded, "mtp.layers.0.enorm.weight"), norm(hidden, "mtp.layers.0.hnorm.weight")]
    return torch.cat(joined, -1) @ tensors["mtp.layers.0.eh_proj.weight"].T


def logits(model: Any, token_ids: Tensor, **inputs: Any) -> Tensor:
    """Return logits [T, vocabulary] of one sequence."""
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result: Tensor = model(token_ids[None], **inputs).logits[0]
    return result
