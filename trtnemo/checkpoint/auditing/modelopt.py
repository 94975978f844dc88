"""Sampled weights decoded by our codec and by ModelOpt's own classes: equal in every bit, the sign of zero aside."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from trtnemo.checkpoint.checkpoint import Checkpoint
from trtnemo.checkpoint.format.codecs import decode_e4m3, decode_nvfp4, decode_plain
from trtnemo.checkpoint.format.storage import StorageType
from trtnemo.checkpoint.rules import found
from trtnemo.errors import MachineError
from trtnemo.findings import Finding

SAMPLES = 8
# a tensor of more elements is left out: an oracle must not need the memory of a lm_head
MAXIMUM_ELEMENTS = 1 << 26


@dataclass(frozen=True)
class Comparison:
    """Which ModelOpt it was, the tensors that were decoded both ways, and those that differ."""

    modelopt: str
    tensors: tuple[str, ...]
    findings: tuple[Finding, ...]


def compare_with_modelopt(checkpoint: Checkpoint, samples: int = SAMPLES) -> Comparison:
    """Decode up to `samples` weights of each format twice; raises MachineError without ModelOpt.

    Source of the other decoder: modelopt.torch.quantization.qtensor, NVFP4QTensor and FP8QTensor.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it warns of kernels and options that do not matter here
            import modelopt
            import modelopt.torch.quantization.qtensor
    except ImportError as error:
        raise MachineError(
            f"comparing needs ModelOpt ({error.name} is missing)", remedy="pip install 'trtnemo[modelopt]'"
        ) from None
    names = [*_sample(checkpoint, StorageType.U8, samples), *_sample(checkpoint, StorageType.F8_E4M3, samples)]
    findings = [finding for name in names for finding in _compare(checkpoint, name)]
    return Comparison(str(modelopt.__version__), tuple(names), tuple(findings))


def _sample(checkpoint: Checkpoint, storage: StorageType, count: int) -> list[str]:
    """Return weights of one element type, spread evenly over the checkpoint, the first and the last among them."""
    names = [
        name
        for name, info in sorted(checkpoint.tensors.items())
        if name.endswith(".weight") and info.storage is storage and info.elements <= MAXIMUM_ELEMENTS
    ]
    return [names[index] for index in sorted(set(np.linspace(0, len(names) - 1, min(count, len(names)), dtype=int)))]


def _compare(checkpoint: Checkpoint, name: str) -> Iterator[Finding]:
    module = name.removesuffix(".weight")
    if f"{module}.weight_scale" not in checkpoint.tensors:
        return
    if checkpoint.tensors[name].storage is StorageType.U8:
        if f"{module}.weight_scale_2" not in checkpoint.tensors:
            return
        ours, theirs = _nvfp4(checkpoint, module)
    else:
        ours, theirs = _fp8(checkpoint, module)
    # the code 1000 is minus zero here and zero in ModelOpt's table: adding zero makes both one
    differs = (ours + np.float32(0)).view(np.uint32) != (theirs + np.float32(0)).view(np.uint32)
    if differs.any():
        wrong = int(differs.sum())
        yield found("codec-disagrees", name, f"{wrong:,} of {ours.size:,} values differ from ModelOpt's")


def _nvfp4(checkpoint: Checkpoint, module: str) -> tuple[np.ndarray, np.ndarray]:
    import torch
    from modelopt.torch.quantization.qtensor import NVFP4QTensor

    packed, scale = checkpoint.read(f"{module}.weight"), checkpoint.read(f"{module}.weight_scale")
    scale_2 = decode_plain(checkpoint.read(f"{module}.weight_scale_2"))
    ours = decode_nvfp4(packed.data.astype(np.uint8), scale.data.astype(np.uint8), scale_2)
    codes = torch.from_numpy(np.array(packed.data))
    shape = torch.Size((codes.shape[0], codes.shape[1] * 2))
    blocks = torch.from_numpy(np.array(scale.data)).view(torch.float8_e4m3fn)
    theirs = NVFP4QTensor(shape, torch.float32, codes).dequantize(
        dtype=torch.float32, scale=blocks, double_scale=torch.from_numpy(np.array(scale_2)), block_sizes={-1: 16}
    )
    return ours, theirs.numpy()


def _fp8(checkpoint: Checkpoint, module: str) -> tuple[np.ndarray, np.ndarray]:
    import torch
    from modelopt.torch.quantization.qtensor import FP8QTensor

    codes = checkpoint.read(f"{module}.weight")
    scale = decode_plain(checkpoint.read(f"{module}.weight_scale"))
    ours = decode_e4m3(codes.data.astype(np.uint8)) * scale
    stored = torch.from_numpy(np.array(codes.data)).view(torch.float8_e4m3fn)
    theirs = FP8QTensor(stored.shape, torch.float32, stored).dequantize(
        dtype=torch.float32, scale=torch.from_numpy(np.array(scale))
    )
    return ours.astype(np.float32), theirs.numpy()
