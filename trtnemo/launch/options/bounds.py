"""Bounds of numbers that no server can work outside of, where its parser says no more than `int`."""

from __future__ import annotations

from collections.abc import Mapping

_COUNTS = (
    "--max_batch_size",
    "--max_num_tokens",
    "--max_seq_len",
    "--max_beam_width",
    "--tensor_parallel_size",
    "--pipeline_parallel_size",
    "--context_parallel_size",
    "--gpus_per_node",
    "--max-num-seqs",
    "--max-num-batched-tokens",
    "--tensor-parallel-size",
    "--pipeline-parallel-size",
    "--data-parallel-size",
    "--expert-parallel-size",
    "--max-running-requests",
    "--context-length",
)
_SHARES = (
    "--kv_cache_free_gpu_memory_fraction",
    "--gpu-memory-utilization",
    "--device-memory-utilization",
    "--mem-fraction-static",
)
_OPTIONS: dict[str, tuple[float, float]] = {
    **dict.fromkeys(_COUNTS, (1, 2**31 - 1)),
    **dict.fromkeys(_SHARES, (0, 1)),
    **dict.fromkeys(("--gpu-memory-utilization", "--device-memory-utilization", "--mem-fraction-static"), (0.001, 1)),
    "--cpu-offload-gb": (0, 2**31 - 1),
    "--port": (0, 65535),
    "--num_postprocess_workers": (0, 2**31 - 1),
    "--max-model-len": (-1, 2**31 - 1),  # -1 lets vLLM choose
}


def key_out_of_range(key: str, value: object, file_keys: Mapping[str, str]) -> str | None:
    """Return what is wrong with the number under a dotted key of a file whose keys options meet, or None."""
    return next((out_of_range(name, value) for name, met in file_keys.items() if met == key), None)


def out_of_range(name: str, value: object) -> str | None:
    """Return what is wrong with the number of an option, or None."""
    bounds = _OPTIONS.get(name)
    if bounds is None or isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    low, high = bounds
    return None if low <= value <= high else f"{value} is out of range ({low}..{high})"
