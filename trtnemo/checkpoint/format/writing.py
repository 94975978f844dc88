"""Write a checkpoint out of others: tensors that lie in their files, and the text files beside them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

from trtnemo.checkpoint.format.storage import TensorInfo
from trtnemo.errors import CheckpointError

_CHUNK = 16 << 20
# the code that config.json's auto_map names is copied with them, and run by nobody here
_TEXT_FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json",
               "chat_template.jinja", "generation_config.json", "*.py")  # fmt: skip


def copy_text_files(source: Path, target: Path) -> None:
    """Copy tokenizer, template, generation settings and model code that `target` has not got."""
    for pattern in _TEXT_FILES:
        for path in sorted(source.glob(pattern)):
            if path.is_file() and not (target / path.name).exists():
                shutil.copyfile(path, target / path.name)


def write_safetensors(path: Path, tensors: Mapping[str, TensorInfo]) -> None:
    """Write tensors that lie in other files into one, in name order, a tensor at a time in memory."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    position = 0
    for name, info in sorted(tensors.items()):
        offsets = [position, position + info.size]
        header[name] = {"dtype": info.storage.value, "shape": list(info.shape), "data_offsets": offsets}
        position += info.size
    with path.open("wb") as file:
        file.write(encode_header(header))
        for _, info in sorted(tensors.items()):
            _copy_bytes(info, file)


def encode_header(header: Mapping[str, Any]) -> bytes:
    """Return a header as it stands at the beginning of a safetensors file, its length first, filled up to 8 bytes."""
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def _copy_bytes(info: TensorInfo, file: BinaryIO) -> None:
    with Path(info.file).open("rb") as source:
        source.seek(info.offset)
        left = info.size
        while left:
            chunk = source.read(min(_CHUNK, left))
            if not chunk:
                raise CheckpointError("shrank while it was copied", where=info.file)
            file.write(chunk)
            left -= len(chunk)
