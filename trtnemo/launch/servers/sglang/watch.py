"""How SGLang starts and how it is watched; read in the wheels of 0.5.10 and 0.5.23.

Health makes a token, waits for it a second at least, and is 503 after 20 seconds without one, on a busy server too. Its
own watchdog ends it after 300 seconds without progress, which it looks at every 150. SIGTERM waits without a limit.
"""

from __future__ import annotations

from trtnemo.launch.servers.log_stages import DOWNLOADING, Stage
from trtnemo.launch.servers.watch import Watch

WATCH = Watch(
    health_seconds=10.0,
    health_patience=25.0,
    refused_seconds=120.0,  # long prompts refuse it for a while, and it is well
    own_stall_seconds=450.0,
    stall_needs_peers=False,
    running="sglang:num_running_reqs",
    steps=(
        "sglang:forward_execution_seconds_total",
        "sglang:gpu_execution_seconds_total",
        "sglang:generation_tokens_total",
        "sglang:prompt_tokens_total",
    ),
    drain_seconds=600.0,
)
STAGES = (
    DOWNLOADING,
    Stage("loading weights", r"Load weight (begin|end)|Loading safetensors"),
    Stage("allotting caches", r"(Mamba|KV) Cache is allocated|Memory pool end|max_total_num_tokens="),
    Stage("compiling", r"autotun\w+|torch\.?compile"),
    Stage("capturing CUDA graphs", r"Captur\w+ (cuda )?graph"),
    Stage("listening", r"Uvicorn running|Application startup complete|ready to roll"),
)
