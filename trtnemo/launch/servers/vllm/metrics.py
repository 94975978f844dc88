"""What vLLM calls the uniform metrics. Source: the wheels of 0.20.0 and 0.33.0, names as scraped."""

from __future__ import annotations

METRICS = {
    "requests_running": "vllm:num_requests_running",
    "requests_waiting": "vllm:num_requests_waiting",
    "kv_used_share": "vllm:kv_cache_usage_perc",
    "time_to_first_token_seconds": "vllm:time_to_first_token_seconds",
    "time_per_output_token_seconds": "vllm:inter_token_latency_seconds",
    "request_seconds": "vllm:e2e_request_latency_seconds",
    "queue_seconds": "vllm:request_queue_time_seconds",
    "prompt_tokens_total": "vllm:prompt_tokens_total",
    "generated_tokens_total": "vllm:generation_tokens_total",
    "cached_prompt_tokens_total": "vllm:prefix_cache_hits_total",
    "preemptions_total": "vllm:num_preemptions_total",
    "verifications_total": "vllm:spec_decode_num_drafts_total",
    "drafted_tokens_total": "vllm:spec_decode_num_draft_tokens_total",
    "accepted_tokens_total": "vllm:spec_decode_num_accepted_tokens_total",
    "steps_total": "vllm:iteration_tokens_total_count",
    "nan_logits_total": "vllm:corrupted_requests_total",
}
