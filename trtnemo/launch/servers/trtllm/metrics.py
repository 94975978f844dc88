"""What TensorRT-LLM calls the uniform metrics. Source: metrics/collector.py of late 2026 (050f80de), names as scraped.

1.3.0rc12 has the four times for certain; the others came with later versions. It tells no verifications.
"""

from __future__ import annotations

METRICS = {
    "requests_running": "trtllm_num_requests_running",
    "requests_waiting": "trtllm_num_requests_waiting",
    "time_to_first_token_seconds": "trtllm_time_to_first_token_seconds",
    "time_per_output_token_seconds": "trtllm_time_per_output_token_seconds",
    "request_seconds": "trtllm_e2e_request_latency_seconds",
    "queue_seconds": "trtllm_request_queue_time_seconds",
    "prompt_tokens_total": "trtllm_prompt_tokens_total",
    "generated_tokens_total": "trtllm_generation_tokens_total",
    "cached_prompt_tokens_total": "trtllm_prompt_cached_tokens_total",
    "drafted_tokens_total": "trtllm_spec_decode_num_draft_tokens_total",
    "accepted_tokens_total": "trtllm_spec_decode_num_accepted_tokens_total",
    "acceptance_length": "trtllm_spec_decode_acceptance_length",
    "steps_total": "trtllm_iteration_latency_seconds_count",
}
