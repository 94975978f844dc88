"""How TensorRT-LLM's trtllm-serve is called and reads its words: by click."""

from __future__ import annotations

from trtnemo.launch.servers.surface import Dialect
from trtnemo.launch.servers.trtllm.file_keys import FILE_KEYS

DIALECT = Dialect(
    title="TensorRT-LLM",
    words=("trtllm-serve",),
    variable_prefixes=("TLLM_", "TRTLLM_"),
    launcher="trtllm-llmapi-launch",
    file_keys=FILE_KEYS,
    parser="click",
    series=((1, 4),),
)
