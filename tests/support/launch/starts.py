"""Starts of external servers, written by hand."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from trtnemo.launch.servers.invocation import Invocation
from trtnemo.launch.servers.surface import choose_surface


def start_of(server: str, version: str | None, model: str, options: Mapping[str, Any], **fields: Any) -> Invocation:
    """Return a start of a server's version."""
    return Invocation(record=choose_surface(server, version), model=model, options=options, **fields)


def at_version(start: Invocation, version: str) -> Invocation:
    """Return the same start of another version."""
    return dataclasses.replace(start, record=choose_surface(start.server, version))


SUPER = "nvidia/NVIDIA-Nemotron-3-Super-120B-A12B-NVFP4"
MTP = {"decoding_type": "MTP", "num_nextn_predict_layers": 3, "allow_advanced_sampling": True}
FINE = start_of(
    "trtllm",
    "1.3.0rc12",
    SUPER,
    {"--max_batch_size": 8},
    llm_args={"speculative_config": MTP, "cuda_graph_config": {"enable_padding": False}},
)
FINE_VLLM = start_of("vllm", "0.20.0", SUPER, {"--port": 8000})
FINE_SGLANG = start_of("sglang", "0.5.10", SUPER, {"--port": 30000})


def pasted(start: Invocation) -> Invocation:
    """Return the same start as a pasted text gives it."""
    return dataclasses.replace(start, is_pasted=True)


def with_file(**keys: Any) -> Invocation:
    """Return the sound start with other keys in its file."""
    return dataclasses.replace(FINE, llm_args={**(FINE.llm_args or {}), **keys})


def with_options(base: Invocation = FINE, **options: Any) -> Invocation:
    """Return a start with more options, written as the server spells them."""
    given = {f"--{name}": value for name, value in options.items()}
    if base is not FINE:
        given = {name.replace("_", "-"): value for name, value in given.items()}
    return dataclasses.replace(base, options={**base.options, **given})


def of_model(start: Invocation, precision: str) -> Invocation:
    """Return the same start of another precision."""
    return dataclasses.replace(start, model=SUPER.replace("NVFP4", precision))


def with_drafts(**keys: Any) -> Invocation:
    """Return a start with this section of speculation alone."""
    return with_file(speculative_config=keys)


VLLM_MTP = {"method": "mtp", "num_speculative_tokens": 3}
ROUNDED = with_options(FINE_VLLM, enable_mamba_cache_stochastic_rounding=True)
