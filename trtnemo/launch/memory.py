"""What a start needs of the devices' memory at least: weights and fixed states. The byte-exact plan is later work.

Sizes of Nemotron-3 Super, computed from its config: 40 Mamba layers of 128 x 64 x 128 states and 10,240 x 3 bfloat16
convolution columns. Documented sizes of the released weights.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from trtnemo.launch.invocation import Invocation
from trtnemo.launch.settings import effective_settings

WEIGHT_BYTES = {
    "nvidia/NVIDIA-Nemotron-3-Super-120B-A12B-BF16": 247_222_108_160,
    "nvidia/NVIDIA-Nemotron-3-Super-120B-A12B-FP8": 128_334_890_304,
    "nvidia/NVIDIA-Nemotron-3-Super-120B-A12B-NVFP4": 80_297_329_824,
}
_SSM_ELEMENTS = 40 * 128 * 64 * 128
_CONVOLUTION_BYTES = 40 * 10_240 * 3 * 2


def least_memory(invocation: Invocation) -> Iterator[tuple[str, int]]:
    """Yield (what, bytes over all devices) of what is allotted at start and known here; nothing for unknown models."""
    weights = _weight_bytes(invocation.model)
    if weights is not None:
        yield "weights", weights
    slots = effective_settings(invocation).get("max_batch_size")
    if invocation.server == "trtllm" and invocation.model in WEIGHT_BYTES and isinstance(slots, int):
        yield f"states of {slots} sequences", slots * _state_bytes(invocation)


def _state_bytes(invocation: Invocation) -> int:
    """Return the bytes of one sequence's states; float32 where nothing else is said, as config.json has it."""
    dtype = effective_settings(invocation).get("kv_cache_config.mamba_ssm_cache_dtype", "auto")
    return _SSM_ELEMENTS * (2 if dtype in ("float16", "bfloat16") else 4) + _CONVOLUTION_BYTES


def _weight_bytes(model: str) -> int | None:
    if model in WEIGHT_BYTES:
        return WEIGHT_BYTES[model]
    directory = Path(model).expanduser()
    files = list(directory.glob("*.safetensors")) if directory.is_dir() else []
    return sum(file.stat().st_size for file in files) or None
