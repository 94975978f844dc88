"""How trtllm-serve starts and how it is watched; read in its public source.

Health is 503 for ever when the executor is dead. Standing still ends it after 300 seconds where several ranks work, on
one GPU never. Without `return_perf_metrics` nothing counts steps, and our own token is the only sign.
"""

from __future__ import annotations

from trtnemo.launch.servers.log_stages import DOWNLOADING, Stage
from trtnemo.launch.servers.watch import Watch

WATCH = Watch(
    own_stall_seconds=300.0,
    metrics="/prometheus/metrics",
    running="trtllm_num_requests_running",
    steps=("trtllm_generation_tokens_total", "trtllm_prompt_tokens_total", "trtllm_iteration_latency_seconds_count"),
)
STAGES = (
    DOWNLOADING,
    Stage("loading weights", r"Prefetching .*checkpoint files|Loading (weights|safetensors)"),
    Stage("compiling", r"Autotun\w+"),
    Stage("allotting caches", r"Max KV cache|KV cache.*(alloc|block|tokens)"),
    Stage("capturing CUDA graphs", r"CUDA graph (instances|warmup)|Captur\w+.*graph"),
    Stage("listening", r"Uvicorn running|Application startup complete"),
)
