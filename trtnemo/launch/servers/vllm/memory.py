"""What vLLM does with a device's memory, and what of it stops a start.

Free memory: it refuses where less is free than its share of the whole device. The worker looks first of all
(gpu_worker.init_device, request_memory: vLLM issue 48140; the message is in logs from 0.9.2 on). Users report as free:
    discrete    all but the process's own CUDA context, about 0.53 GiB: 78.66 of 79.19 GiB on an idle H100, 30.85 of
                31.36 on an RTX 5090 that nobody else uses, where 0.98 failed
    DGX Spark   101.3 to 102.2 of 121.69 GiB after a boot, so that 0.87 failed (MiaAI-Lab issue 47); 0.85 starts and
                0.92 does not (vllm-project/recipes PR 632); NVIDIA's model card gives 0.90
    Jetson Thor 110.49 of 122.82 GiB, so that 0.9 failed by 0.05 GiB
Where between those a machine stops depends on what else runs on it: there it is a warning.

Mamba blocks: a hybrid with full CUDA graphs starts only with one cache block for each sequence. Read in PR 38270 of
gpu_model_runner.py (0.20.0 has it; a report of 0.19.0 fails later, without it) and in v1/core/kv_cache_utils.py. Layers
of one kind are cut into groups, each as large as the smaller kind has layers (as the larger one, where that is less
than half as much again); the n-th layers of all groups share one tensor. So a block is one page in each of as many
tensors as a group has layers, and there are pool / (tensors x page) of them. Captured sizes do not matter: dispatch
leaves out those above max_num_seqs.
"""

from __future__ import annotations

import math
from dataclasses import replace

from trtnemo.checkpoint.family.config import ModelConfig
from trtnemo.launch.servers.surface import Surface
from trtnemo.plan.server_memory import Batch, Reservation, ServerMemory, Start, StartFault, StateBytes

_CONTEXT_BYTES = 1 << 29
_DISCRETE_SAFE = 0.97
_UNIFIED_SAFE, _UNIFIED_MOST = 0.85, 0.92
SHARE = "--gpu-memory-utilization"
_UNIFIED = "vllm-project/recipes PR 632, MiaAI-Lab GLM-5.3-Flash-EXL3-2x-DGX-Sparks issue 47"
_DISCRETE = "vLLM's start logs of H100 and RTX 5090"
_SINCE = "0.20.0.dev0"
# 524 blocks are reported where this formula, over a workspace that knows no captured graphs, says 719
_CERTAIN = 0.7
_COUNTED = "vLLM PR 38270; NVIDIA-AI-Blueprints retail-shopping-assistant PR 95"


def _reserve(batch: Batch, config: ModelConfig, state: StateBytes) -> Reservation:
    slots = batch.size * (1 + batch.draft_tokens)
    if not state.mamba_layers or not state.attention_layers:
        return Reservation(slots, 0, 16, "one state block a sequence and draft", inferred=True)
    # the attention page is made as large as a Mamba layer's state, so that both come from one pool
    kv = state.kv_per_token // state.attention_layers
    page = math.ceil(state.per_slot // state.mamba_layers / kv / 16) * 16
    reason = f"one state block a sequence and draft; KV in pages of {page} tokens, as large as a layer's state"
    return Reservation(slots, 0, page, reason, inferred=True)


def default_share(surface: Surface) -> float:
    """Return the share that a version takes where none is given: 0.92 in both recorded ones."""
    option = surface.find(SHARE)
    return option.default if option is not None and isinstance(option.default, float) else 0.92


def check_free_memory(start: Start) -> StartFault | None:
    """Return why the share is not free at start, or may not be."""
    if start.unified:
        return unified_share(start.share)
    share, left = _taken(start.share), start.memory_bytes * (1 - start.share)
    if left < _CONTEXT_BYTES:
        sentence = f"{share} and refuses to start: its own CUDA context leaves less than that free"
        return _fault(True, sentence, "0.95", _DISCRETE)
    if start.share > _DISCRETE_SAFE:
        sentence = f"{share}: it refuses to start where anything else, a display included, uses the device"
        return _fault(False, sentence, "0.95", _DISCRETE)
    return None


def _taken(share: float) -> str:
    return f"vLLM takes {share:g} of the device"


def unified_share(value: float) -> StartFault | None:
    """Return why a share of a memory that is the CPU's too is not free at start, or may not be."""
    share = _taken(value)
    if value >= _UNIFIED_MOST:
        sentence = f"{share} and refuses to start: the CPU's share is in the same memory, and so much is never free"
        return _fault(True, sentence, f"{_UNIFIED_SAFE:g}", _UNIFIED)
    if value > _UNIFIED_SAFE:
        sentence = (
            f"{share}, whose memory is the CPU's too: it refuses to start where less is free, as 0.84 was after a boot "
            "of a DGX Spark (NVIDIA's model card gives 0.90)"
        )
        return _fault(False, sentence, f"{_UNIFIED_SAFE:g}", _UNIFIED)
    return None


def _fault(stops: bool, sentence: str, lower: str, source: str) -> StartFault:
    return StartFault("vllm-free-memory", stops, sentence, f"give {SHARE} {lower} or less", source)


def check_blocks(start: Start) -> StartFault | None:
    """Return why there are too few blocks for the sequences, or why there may be."""
    size, blocks = start.batch.size, count_blocks(start)
    if blocks is None or start.batch.is_older_than(_SINCE) or size <= blocks * _CERTAIN:
        return None
    stops = size > blocks
    what = "exceeds" if stops else "is close to"
    verb = "refuses to start" if stops else "may refuse to start"
    sentence = f"vLLM {verb}: max_num_seqs {size:,} {what} the {blocks:,} Mamba cache blocks that its share leaves"
    most = max(blocks if stops else int(blocks * _CERTAIN), 1)
    remedy = f"lower limits.max_batch_size (--max-num-seqs) to {most} or fewer"
    return StartFault("vllm-mamba-blocks", stops, sentence, remedy, _COUNTED)


def count_blocks(start: Start) -> int | None:
    """Return how many cache blocks the pool has; None for a network or stage that is no hybrid."""
    state = start.state
    if not state.mamba_layers or not state.attention_layers:
        return None
    page = start.page_tokens * (state.kv_per_token // state.attention_layers)
    return start.pool // (_tensors(start) * page)


def _tensors(start: Start) -> int:
    """Return how many layers the largest group has on this stage."""
    mamba, attention = _layers(start.config, start.batch.draft_tokens)
    fewer, more = sorted((mamba, attention))
    size = more if more < fewer * 1.5 else fewer
    here = ((start.state.mamba_layers, mamba), (start.state.attention_layers, attention))
    return max(-(-layers // -(-every // size)) for layers, every in here)


def _layers(config: ModelConfig, drafts: int) -> tuple[int, int]:
    """Return Mamba and attention layers of all stages, the draft head's among them where it is loaded."""
    head = config.mtp_layer_kinds.count("attention") if drafts else 0
    return config.layer_kinds.count("mamba"), config.layer_kinds.count("attention") + head


MEMORY = ServerMemory(
    "vLLM", _reserve, states_with_kv=True, experts_over_data=True, start_checks=(check_free_memory, check_blocks)
)
# where blocks are not counted: without full CUDA graphs, or with a pool sized by hand
MEMORY_UNCOUNTED = replace(MEMORY, start_checks=(check_free_memory,))
