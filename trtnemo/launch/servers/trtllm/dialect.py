"""How TensorRT-LLM's trtllm-serve is called and reads its words: by click."""

from __future__ import annotations

from trtnemo.launch.servers.surface import Dialect

DIALECT = Dialect(
    title="TensorRT-LLM",
    variable_prefixes=("TLLM_", "TRTLLM_"),
    parser="click",
    series=((1, 4),),
)
