"""How vLLM starts and how it is watched; read in the wheels of 0.20.0 and 0.33.0.

Health reads a flag and makes no token. When its engine dies it answers 503 for at most 5 seconds and ends with code 0.
Standing still ends it after 300 seconds where several GPUs wait for each other, on one never.
"""

from __future__ import annotations

from trtnemo.launch.servers.log_stages import DOWNLOADING, Stage
from trtnemo.launch.servers.watch import Watch

WATCH = Watch(
    drain_seconds=600.0,  # with --shutdown-timeout, which is given where the version has it: without, it aborts
    own_stall_seconds=300.0,  # VLLM_EXECUTE_MODEL_TIMEOUT_SECONDS
    running="vllm:num_requests_running",
    steps=("vllm:iteration_tokens_total_count", "vllm:generation_tokens_total", "vllm:prompt_tokens_total"),
)
STAGES = (
    DOWNLOADING,
    Stage("loading weights", r"Starting to load model|Loading (safetensors|weights)|Model loading took"),
    Stage("compiling", r"torch\.?compile|Dynamo bytecode transform|Autotun\w+"),
    Stage("allotting caches", r"Available KV cache memory|GPU KV cache size|Maximum concurrency for"),
    Stage("capturing CUDA graphs", r"Capturing CUDA graph|Graph capturing finished"),
    Stage("listening", r"Starting vLLM (API )?server|Uvicorn running|Application startup complete"),
)
