"""TensorRT-LLM in pods, and in a worker of NVIDIA Dynamo.

Sources: dynamo/trtllm of ai-dynamo 1.6.1; NVIDIA's recipe nemotron-3-super-fp8/trtllm/disagg.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from trtnemo.launch.servers.in_cluster import DynamoWorker, Half, HalvesCommand, InCluster, WorkerStart
from trtnemo.launch.servers.invocation import Invocation
from trtnemo.launch.servers.settings import effective_settings
from trtnemo.launch.servers.trtllm.file_keys import FILE_KEYS
from trtnemo.launch.servers.trtllm.transfer_issues import between_starts

_REPLACED = frozenset(["--host", "--port", "--tool_parser", "--reasoning_parser", "--served_model_name"])
_VALUED_TEXT = """
    --conversation-affinity-dp-rank-source --kv-block-size --override-engine-args --model-loader-extra-config
    --modality --encode-endpoint --allowed-local-media-path --max-file-size-mb --guided-decoding-backend --load-format
"""


def _of_half(content: dict[str, Any], half: Half) -> dict[str, Any]:
    """Return the YAML of one half: it passes caches on by UCX, the only way for Mamba states in this release.

    The half that reads prompts schedules without overlap; blocks are not used again.
    """
    if half is None:
        return content
    content = copy.deepcopy(content)
    content["cache_transceiver_config"] = {"backend": "UCX", **(content.get("cache_transceiver_config") or {})}
    content["kv_cache_config"] = {**(content.get("kv_cache_config") or {}), "enable_block_reuse": False}
    content["disable_overlap_scheduler"] = half == "prefill"
    return content


def _start(invocation: Invocation, half: Half) -> WorkerStart:
    """Return the start of a worker: it takes all but names from the YAML file."""
    settings = effective_settings(invocation)
    content: dict[str, Any] = copy.deepcopy(dict(invocation.llm_args or {}))
    left_out = []
    for name in invocation.options:
        key = FILE_KEYS.get(name)
        if name in _REPLACED:
            continue
        if key is None:
            left_out.append(name)
            continue
        *parents, last = key.split(".")
        target = content
        for parent in parents:
            target = target.setdefault(parent, {})
        target[last] = settings.get(key)
    notes = (f"Dynamo's worker takes no {', '.join(left_out)}: left out",) if left_out else ()
    served = invocation.options.get("--served_model_name")
    options = {"--served-model-name": served[0] if isinstance(served, list) else served} if served else {}
    return WorkerStart(options, _of_half(content, half), notes=notes)


_NAMES: Mapping[Half, str] = {"prefill": "context", "decode": "generation"}


def _front_file(host: str, port: int, addresses: Mapping[Half, list[str]]) -> dict[str, Any]:
    """Return the file of the server in front; unknown keys of its top level are taken in silence, so there are none."""
    sections = {
        f"{_NAMES[half]}_servers": {"num_instances": len(urls), "urls": urls} for half, urls in addresses.items()
    }
    return {"hostname": host, "port": port, **sections}


def _metrics_need(invocation: Invocation) -> str:
    has_them = effective_settings(invocation).get("return_perf_metrics")
    return "" if has_them else "return_perf_metrics: true under trtllm.llm_args"


IN_CLUSTER = InCluster(
    worker=DynamoWorker(
        module="dynamo.trtllm",
        image="tensorrtllm-runtime",
        model_option="--model-path",
        versions={"1.6.1": "1.3.0rc29"},
        start=_start,
        valued=frozenset(_VALUED_TEXT.split()),
        flags=frozenset(["--publish-kv-events", "--publish-metrics", "--conversation-affinity"]),
        spelled={
            "--extra-engine-args": "--config",
            "--served-model-name": "--served_model_name",
            "--tensor-parallel-size": "--tensor_parallel_size",
            "--pipeline-parallel-size": "--pipeline_parallel_size",
            "--expert-parallel-size": "--moe_expert_parallel_size",
            "--enable-attention-dp": "--enable_attention_dp",
            "--gpus-per-node": "--gpus_per_node",
            "--max-batch-size": "--max_batch_size",
            "--max-num-tokens": "--max_num_tokens",
            "--max-seq-len": "--max_seq_len",
            "--max-beam-width": "--max_beam_width",
            "--free-gpu-memory-fraction": "--kv_cache_free_gpu_memory_fraction",
            "--revision": "--hf_revision",
        },
    ),
    elsewhere="its ranks need MPI, and MPI needs ssh between pods: --as dynamo sets that up, --as slurm needs none",
    halves=HalvesCommand(("trtllm-serve", "disaggregated", "-c"), _NAMES, _of_half, _front_file),
    metrics_need=_metrics_need,
    between=between_starts,
)
