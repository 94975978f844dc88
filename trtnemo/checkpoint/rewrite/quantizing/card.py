"""What the model card of a quantized checkpoint says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from trtnemo.checkpoint.checkpoint import Checkpoint
from trtnemo.checkpoint.format.encoder import Search
from trtnemo.checkpoint.format.storage import StorageType
from trtnemo.checkpoint.rewrite.card import write_card
from trtnemo.checkpoint.rewrite.quantizing.quantization_files import layer_map

_TEXT = """\
How scales were chosen: {search}.

| format | linear layers |
|---|---|
{formats}

- Scales of inputs, keys and values: {scales}.
- What is not named in hf_quant_config.json, the MTP head among it, is as it was.\
"""

_SEARCHES: dict[Search, str] = {
    "max": "scales are set by the largest magnitude of each tensor and block, with the bits that ModelOpt 0.47 writes",
    "four-over-six": "the largest number of an NVFP4 block becomes 6 or 4, whichever leaves the smaller square error",
    "mse": "the scale of an NVFP4 block is the one of all that leaves the smallest square error",
}


def write_quantized_card(
    directory: Path, source: Checkpoint, storages: Mapping[str, StorageType], scales: str, search: Search
) -> None:
    """Write README.md; scales: where those of inputs, keys and values are from."""
    counts = Counter(layer["quant_algo"] for layer in layer_map(storages).values())
    rows = "\n".join(f"| {name} | {count:,} |" for name, count in sorted(counts.items()))
    text = _TEXT.format(formats=rows, scales=scales, search=_SEARCHES[search])
    # the name alone, without the folders of this machine
    write_card(directory, source.directory, "quantized", "Quantized from", text)
