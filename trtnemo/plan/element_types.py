"""Element types of caches and states, as servers spell them."""

from __future__ import annotations

from typing import Any

from trtnemo.plan.deployment import CacheType, StateType
from trtnemo.plan.network import Network

_CACHE_TYPES: dict[str, CacheType] = {
    "fp8": "fp8", "fp8_e4m3": "fp8", "bfloat16": "bfloat16", "bf16": "bfloat16", "float16": "float16",
    "float32": "float32",
}  # fmt: skip
_STATE_TYPES: dict[str, StateType] = {"float16": "float16", "bfloat16": "bfloat16", "float32": "float32"}


def cache_type(name: Any, network: Network) -> CacheType:
    """Return the type of keys and values; `auto` follows the checkpoint's map."""
    known = _CACHE_TYPES.get(str(name).lower())
    return known or ("fp8" if network.quantization.fp8_kv_cache else "bfloat16")


def state_type(name: Any) -> StateType:
    """Return the type of the Mamba state; float32 where nothing else is said, as every release's config has it."""
    return _STATE_TYPES.get(str(name).lower(), "float32")
