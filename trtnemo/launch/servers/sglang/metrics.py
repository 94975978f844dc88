"""What SGLang calls the uniform metrics. Source: the wheels of 0.5.10 and 0.5.23, names as scraped.

It tells no drafted tokens, and needs --enable-metrics. Where a name differs between the two, both stand here.
"""

from __future__ import annotations

METRICS = {
    "requests_running": "sglang:num_running_reqs",
    "requests_waiting": "sglang:num_queue_reqs",
    "kv_used_share": "sglang:token_usage",
    "mamba_state_share": "sglang:mamba_usage",
    "time_to_first_token_seconds": "sglang:time_to_first_token_seconds",
    "time_per_output_token_seconds": "sglang:inter_token_latency_seconds",
    "request_seconds": "sglang:e2e_request_latency_seconds",
    "queue_seconds": "sglang:queue_time_seconds",
    "prompt_tokens_total": "sglang:prompt_tokens_total",
    "generated_tokens_total": "sglang:generation_tokens_total",
    "cached_prompt_tokens_total": "sglang:cached_tokens_total",
    "preemptions_total": "sglang:num_retracted_requests_total",
    "verifications_total": "sglang:spec_verify_calls_total",
    "acceptance_length": "sglang:spec_accept_length",
}
