"""A model card that says where the weights are from, and how they were made: a beginning for whoever publishes them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

from trtnemo.checkpoint.checkpoint import Checkpoint
from trtnemo.checkpoint.format.encoder import Search
from trtnemo.checkpoint.format.storage import StorageType
from trtnemo.checkpoint.rewrite.quantizing.quantization_files import layer_map

_TEXT = """\
---
library_name: transformers
base_model: {source}
base_model_relation: quantized
---

# {name}

Quantized from `{source}` by trtnemo {version}, tensor by tensor: {search}.

| format | linear layers |
|---|---|
{formats}

- Scales of inputs, keys and values: {scales}.
- What is not named in hf_quant_config.json, the MTP head among it, is as it was.

What this model was trained on, is for, and must not be used for is not known here: it is for you to write.
"""


_SEARCHES: dict[Search, str] = {
    "max": "scales are set by the largest magnitude of each tensor and block, with the bits that ModelOpt 0.47 writes",
    "four-over-six": "the largest number of an NVFP4 block becomes 6 or 4, whichever leaves the smaller square error",
    "mse": "the scale of an NVFP4 block is the one of all that leaves the smallest square error",
}


def write_card(
    directory: Path,
    source: Checkpoint,
    storages: Mapping[str, StorageType],
    scales: str,
    search: Search,
) -> None:
    """Write README.md; scales: where those of inputs, keys and values are from."""
    counts = Counter(layer["quant_algo"] for layer in layer_map(storages).values())
    rows = "\n".join(f"| {name} | {count:,} |" for name, count in sorted(counts.items()))
    text = _TEXT.format(
        source=source.directory.name,  # without the folders of this machine
        name=f"{source.directory.name}, quantized",
        version=version("trtnemo"),
        formats=rows,
        scales=scales,
        search=_SEARCHES[search],
    )
    (directory / "README.md").write_text(text, encoding="utf-8")
