"""LoRA adapters made by PEFT over transformers' NemotronH, and PEFT's own merge of them."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

EXPERTS = ("mixer.experts.up_proj", "mixer.experts.down_proj")


def make_adapter(base: Path, output: Path, dtype: torch.dtype = torch.bfloat16, **settings: Any) -> dict[str, Any]:
    """Train nothing: draw both matrices of every layer, save the adapter, and return the weights that PEFT merges.

    The weights have transformers' names and shapes: experts fused, `model.` for `backbone.`.
    """
    from peft import LoraConfig, get_peft_model
    from transformers import NemotronHForCausalLM

    with torch.random.fork_rng(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.manual_seed(7)
        model: Any = NemotronHForCausalLM.from_pretrained(base, dtype=dtype)
        model = get_peft_model(model, LoraConfig(**settings))
        for name, parameter in model.named_parameters():
            if parameter.requires_grad and "magnitude" not in name:
                torch.nn.init.normal_(parameter, std=0.05)
            elif "magnitude" in name:
                parameter.data *= 1.25
        model.save_pretrained(output)
        return dict(model.merge_and_unload().state_dict())


def edit_adapter(directory: Path, edit: Any = None, **settings: Any) -> None:
    """Change an adapter's tensors in place, by a function of them, and its settings."""
    path = directory / "adapter_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **settings}))
    if edit is not None:
        tensors = load_file(directory / "adapter_model.safetensors")
        edit(tensors)
        save_file(tensors, directory / "adapter_model.safetensors")
