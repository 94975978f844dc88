"""What is compiled ahead: graphs, limits and a device, as one process tells another."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

CacheType = Literal["bfloat16", "float16", "float32", "fp8"]

StateType = Literal["float32", "float16"]


class Limits(BaseModel):
    """What an executor is made for: sequences, tokens of one, drafts, and the caches' element type.

    state: element type of recurrent states; kv_tokens: tokens of KV cache over all sequences, None being room for the
    longest of each; fp8_drafts: the draft head reads copies in FP8; native_fp4:
    rows of prompts meet NVFP4 experts in NVFP4; native_fp8: and FP8 weights in FP8.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    slots: int
    max_seq_len: int
    max_num_tokens: int
    draft_tokens: int
    cache: CacheType
    state: StateType = "float32"
    kv_tokens: int | None = None
    fp8_drafts: bool = False
    native_fp4: bool = False
    native_fp8: bool = False


class CompileRequest(BaseModel):
    """graphs: as in graph.json, the target first; directory: where Triton keeps what it compiled."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    graphs: list[dict[str, Any]]
    limits: Limits
    capability: tuple[int, int]
    directory: str
