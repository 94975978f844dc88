"""Which key of the YAML file an option of trtllm-serve meets."""

from __future__ import annotations

# YAML key by option: what trtllm-serve writes into the arguments that the file is laid over, or under.
FILE_KEYS: dict[str, str] = {
    "--max_batch_size": "max_batch_size",
    "--max_num_tokens": "max_num_tokens",
    "--max_seq_len": "max_seq_len",
    "--max_beam_width": "max_beam_width",
    "--tensor_parallel_size": "tensor_parallel_size",
    "--pipeline_parallel_size": "pipeline_parallel_size",
    "--context_parallel_size": "context_parallel_size",
    "--moe_expert_parallel_size": "moe_expert_parallel_size",
    "--moe_cluster_parallel_size": "moe_cluster_parallel_size",
    "--gpus_per_node": "gpus_per_node",
    "--kv_cache_free_gpu_memory_fraction": "kv_cache_config.free_gpu_memory_fraction",
    "--kv_cache_dtype": "kv_cache_config.dtype",
    "--num_postprocess_workers": "num_postprocess_workers",
    "--trust_remote_code": "trust_remote_code",
    "--hf_revision": "revision",
    "--reasoning_parser": "reasoning_parser",
    "--tokenizer": "tokenizer",
    "--custom_tokenizer": "custom_tokenizer",
    "--backend": "backend",
    "--enable_chunked_prefill": "enable_chunked_prefill",
    "--enable_attention_dp": "enable_attention_dp",
    "--otlp_traces_endpoint": "otlp_traces_endpoint",
    "--disagg_cluster_uri": "disagg_cluster",
}
