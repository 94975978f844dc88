"""LoRA adapters made by PEFT over transformers' NemotronH, and PEFT's own merge of them."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from trtnemo.checkpoint import Checkpoint
from trtnemo.checkpoint.rewrite.merging.adapter import open_adapter
from trtnemo.checkpoint.rewrite.merging.merge import MergeReport, merge_stream

EXPERTS = ("mixer.experts.up_proj", "mixer.experts.down_proj")
LAYERS: dict[str, Any] = {"r": 4, "lora_alpha": 8, "target_modules": ["in_proj", "q_proj", "up_proj", "lm_head"]}
FUSED: dict[str, Any] = {
    "r": 2,
    "lora_alpha": 3,
    "target_modules": [],
    "target_parameters": [*EXPERTS, "mixer.gate.weight"],
}
ONLY_DOWN = {**FUSED, "target_parameters": EXPERTS[1:]}
PATTERNS = {**LAYERS, "rank_pattern": {"in_proj": 7, r"layers\.3\.mixer\.q_proj": 1},
            "alpha_pattern": {"q_proj": 5}, "use_rslora": True}  # fmt: skip
DORA = {**LAYERS, "use_dora": True, "target_modules": ["in_proj", "q_proj", "up_proj"]}
EMBEDDING: dict[str, Any] = {"r": 3, "target_modules": ["embeddings"], "modules_to_save": ["norm_f", "lm_head"]}
BY_PROJECTION: dict[str, Any] = {**FUSED, "target_parameters": [*EXPERTS, "mixer.gate.weight"], "rank_pattern": {
    "experts.down_proj": 5}, "alpha_pattern": {"experts.up_proj": 11, "gate.weight": 7}}  # fmt: skip
FORMS = {"by projection": BY_PROJECTION, "layers": LAYERS, "fused": FUSED, "one of two": ONLY_DOWN,
         "patterns": PATTERNS, "dora": DORA, "embedding": EMBEDDING}  # fmt: skip


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


def merged(base: Path, output: Path, *adapters: Path) -> tuple[dict[str, torch.Tensor], MergeReport]:
    """Merge in files of 900 kB, and return all tensors and the report."""
    done = merge_stream(Checkpoint.open(base), output, [open_adapter(one) for one in adapters], shard_bytes=900_000)
    assert done.files > 1
    tensors: dict[str, torch.Tensor] = {}
    for path in output.glob("*.safetensors"):
        tensors |= load_file(path)
    return tensors, done
