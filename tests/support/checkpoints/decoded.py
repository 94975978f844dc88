"""A quantized checkpoint as plain BF16, decoded by ModelOpt and torch: what somebody would have before quantizing."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from tests.support.oracle import decoded_tensors


def write_decoded(source: Path, output: Path) -> None:
    """Write a BF16 copy: scales gone, the quantization block too; router biases stay float32."""
    output.mkdir()
    stored = {name: value for path in source.glob("*.safetensors") for name, value in load_file(path).items()}
    tensors = {
        name: value if stored[name].dtype is torch.float32 else value.bfloat16()
        for name, value in decoded_tensors(source).items()
    }
    save_file({name: value.contiguous() for name, value in tensors.items()}, output / "model.safetensors")
    config = json.loads((source / "config.json").read_text())
    config.pop("quantization_config", None)
    (output / "config.json").write_text(json.dumps(config))
    for path in source.glob("*"):
        if "tokenizer" in path.name or path.name in ("chat_template.jinja", "generation_config.json"):
            shutil.copyfile(path, output / path.name)
