"""Write a checkpoint of a released model's size and formats with random weights, to measure and to try commands with.

usage: python -m benchmarks.made OUT [--model nano]     (Nano in NVFP4: 19.3 GB, about a minute)

Names, shapes, formats and configuration are the released model's; the tokenizer is the embedded model's, whose
vocabulary is smaller; answers mean nothing.
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from tests.support.checkpoints import phantom
from trtnemo.checkpoint.format.codecs import encode_bfloat16
from trtnemo.checkpoint.hub.source import EMBEDDED

_DRAWN = 32 << 20  # bytes of noise, begun anywhere, so that no two experts are alike
_SCALE = 0.02


def made(output: Path, model: str, shards: int) -> None:
    """Write the phantom of a model, and random weights over its holes."""
    phantom.write_phantom(output, "nvfp4", shards, model)
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "generation_config.json"):
        source = EMBEDDED / name
        if source.is_file():
            shutil.copyfile(source, output / name)
    noise = _Noise()
    for number, path in enumerate(sorted(output.glob("*.safetensors"))):
        print(f"{path.name} ({number + 1} of {shards})", flush=True)
        with path.open("r+b") as file:
            header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
            start = file.tell()
            for tensor, entry in header.items():
                if tensor != "__metadata__":
                    file.seek(start + entry["data_offsets"][0])
                    noise.write(file, tensor, entry["dtype"], entry["data_offsets"][1] - entry["data_offsets"][0])


class _Noise:
    """Random bytes of each element type: codes, block scales about 2, and numbers of a layer's usual size."""

    def __init__(self) -> None:
        self._draw = np.random.default_rng(0)
        normal = self._draw.standard_normal(_DRAWN // 2, np.float32)
        self._bytes: dict[str, npt.NDArray[np.uint8]] = {
            "U8": self._draw.integers(0, 256, _DRAWN, np.uint8),
            "F8_E4M3": self._draw.integers(0x38, 0x48, _DRAWN, np.uint8),
            "BF16": encode_bfloat16(normal * np.float32(_SCALE)).view(np.uint8),
        }

    def write(self, file: BinaryIO, tensor: str, kind: str, size: int) -> None:
        """Write one tensor where the file stands."""
        if special := self._special(tensor, kind, size):
            file.write(special)
            return
        source = self._bytes[kind].data
        begin = int(self._draw.integers(0, _DRAWN // 4)) * 2
        while size:
            size -= file.write(source[begin : begin + size])
            begin = 0

    def _special(self, tensor: str, kind: str, size: int) -> bytes | None:
        """Return what is no noise: norms and D are 1, A_log and dt_bias in the family's range, scales as searched."""
        if kind == "F32":
            value = 0.0 if tensor.endswith("e_score_correction_bias") else _SCALE / 6
            return np.full(size // 4, value, np.float32).tobytes()
        ranges = {"A_log": (0.0, 2.0), "dt_bias": (-6.0, -2.0)}
        for ending, (low, high) in ranges.items():
            if tensor.endswith(ending):
                return encode_bfloat16(self._draw.uniform(low, high, size // 2).astype(np.float32)).tobytes()
        if tensor.endswith((".D", "norm.weight", "norm_f.weight", "layernorm.weight")):
            return encode_bfloat16(np.ones(size // 2, np.float32)).tobytes()
        return None


def main() -> None:
    """Write, and say how large it is."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("output", type=Path)
    parser.add_argument("--model", default="nano", choices=["nano", "super", "lightning"])
    parser.add_argument("--shards", type=int, default=5)
    options = parser.parse_args()
    made(options.output, options.model, options.shards)
    size = sum(path.stat().st_size for path in options.output.glob("*.safetensors"))
    print(f"{options.output}: {size / 1e9:.1f} GB")


if __name__ == "__main__":
    main()
