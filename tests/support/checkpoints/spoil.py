"""Ways to spoil a checkpoint, for tests."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file

Tensors = dict[str, torch.Tensor]


def edit_tensors(directory: Path, change: Callable[[Tensors], object]) -> None:
    """Load all tensors, let `change` change the dictionary, and write them back."""
    path = directory / "model.safetensors"
    with safe_open(path, framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    change(tensors)
    save_file({name: value.contiguous() for name, value in tensors.items()}, path, {"format": "pt"})


def edit_config(directory: Path, **changes: object) -> None:
    """Change keys of config.json."""
    path = directory / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
