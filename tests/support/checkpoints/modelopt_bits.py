"""Say which quantized weights of a checkpoint are not what ModelOpt's own functions make of its BF16 source.

usage: modelopt_bits.py SOURCE OURS        (a process of its own: ModelOpt patches torch for good; none of our code)

Prints a JSON object: how many weights were compared by format, and the names of tensors that differ.
"""

from __future__ import annotations

import json
import sys
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open

FUSED = ("q_proj", "k_proj", "v_proj")  # which share one second scale


class Files:
    """Tensors of all shards by name, read when they are asked for."""

    def __init__(self, directory: Path) -> None:
        files: list[Any] = [safe_open(path, framework="pt") for path in sorted(directory.glob("*.safetensors"))]
        self.place = {name: file for file in files for name in file.keys()}  # noqa: SIM118

    def __getitem__(self, name: str) -> torch.Tensor:
        tensor: torch.Tensor = self.place[name].get_tensor(name)
        return tensor


def main() -> None:
    """Compare every weight."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from modelopt.torch.export.quant_utils import to_quantized_weight
        from modelopt.torch.quantization.qtensor import NVFP4QTensor

    source, ours = Files(Path(sys.argv[1])), Files(Path(sys.argv[2]))
    counts: Counter[str] = Counter()
    differing: list[str] = []

    def compare(name: str, wanted: Any) -> None:
        found = ours[name]
        one, other = (value.contiguous().reshape(-1).view(torch.uint8) for value in (found, wanted))
        if found.shape != wanted.shape or found.dtype is not wanted.dtype or not torch.equal(one, other):
            differing.append(name)

    for name in sorted(ours.place):
        module, _, last = name.rpartition(".")
        if last != "weight":
            continue
        kind, plain = ours[name].dtype, source[name]
        counts[str(kind)] += 1
        if kind is torch.uint8:
            head, _, own = module.rpartition(".")
            together = [f"{head}.{other}.weight" for other in (FUSED if own in FUSED else (own,))]
            amax = max(source[one].abs().max() for one in together if ours[one].dtype is torch.uint8)
            second = amax.float() / (6 * 448)
            scale, _ = NVFP4QTensor.get_weights_scaling_factor(plain, 16, second)
            compare(name, to_quantized_weight(plain, scale, "nvfp4", second, 16))
            compare(f"{module}.weight_scale", scale)
            compare(f"{module}.weight_scale_2", second.reshape(()))
        elif kind is torch.float8_e4m3fn:
            scale = plain.abs().max().float() / 448
            compare(name, to_quantized_weight(plain, scale, "fp8"))
            compare(f"{module}.weight_scale", scale.reshape(()))
        else:
            compare(name, plain)
    print(json.dumps({"counts": counts, "differing": differing}))


if __name__ == "__main__":
    main()
