"""Bytes of weights on each device, by kind: what tensor and expert parallelism split, and what every device holds.

Source of the splits: TensorRT-LLM modeling_nemotron_h.py (00620eb) and vLLM nemotron_h.py: latent projections, router
and norms are replicated; heads and groups are split; expert parallelism gives whole experts.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from dataclasses import dataclass

from trtnemo.checkpoint.family.config import ModelConfig
from trtnemo.checkpoint.family.expected import ExpectedTensor, expected_tensors
from trtnemo.checkpoint.family.quantization import QuantizationMap
from trtnemo.checkpoint.format.storage import StorageType
from trtnemo.plan.deployment import Deployment

DRAFT = "draft head"
KINDS = ("embedding", "lm head", "mamba", "attention", "mlp", "routed experts", "shared experts", "latent projections",
         "router", "norms", DRAFT)  # fmt: skip
_LAYER = re.compile(r"(backbone|mtp)\.layers\.(\d+)\.(?:mixer\.)?(.+)")
_COLUMNS = re.compile(r"(in_proj|q_proj|shared_experts\.up_proj|up_proj)\.[a-z_]+|conv1d\..*|A_log|D|dt_bias")
# eh_proj: by rows in TensorRT-LLM, by columns in vLLM (nemotron_h_mtp.py 01ca277); taken as split in the others too
_ROWS = re.compile(r"(eh_proj|out_proj|o_proj|shared_experts\.down_proj|down_proj)\.[a-z_]+")


TensorClasses = list[tuple[ExpectedTensor, int]]


@dataclass(frozen=True)
class WeightBytes:
    """One kind of weight: its bytes in the checkpoint, and on one device of each pipeline stage."""

    kind: str
    whole: int
    by_stage: tuple[int, ...]


def tensor_classes(config: ModelConfig, quantization: QuantizationMap) -> TensorClasses:
    """Return every tensor once with how many there are: the experts of a layer that are stored alike are one class."""
    classes: dict[tuple[str, tuple[int, ...], StorageType], tuple[ExpectedTensor, int]] = {}
    for item in expected_tensors(config, quantization):
        head, experts, tail = item.name.partition(".experts.")
        name = f"{head}{experts}*.{tail.partition('.')[2]}" if experts else item.name
        key = (name, item.shape, item.storages[0])
        first, count = classes.get(key, (item, 0))
        classes[key] = (first, count + 1)
    return list(classes.values())


def weight_bytes(classes: TensorClasses, config: ModelConfig, deployment: Deployment) -> list[WeightBytes]:
    """Return bytes by kind, in the order of KINDS, kinds that the network lacks left out.

    The draft head is counted where draft tokens are asked for: servers skip it otherwise. It, and a head tied to the
    embedding, need the embedding in the last stage too.
    """
    whole: Counter[str] = Counter()
    stages = [Counter[str]() for _ in range(deployment.pipeline)]
    for item, count in classes:
        kind, stage = place(item.name, config, deployment)
        if kind == DRAFT and not deployment.draft_tokens:
            continue
        held = rank_bytes(item, count, config, deployment)
        whole[kind] += count * tensor_bytes(item, deployment)
        stages[stage][kind] += held
        if kind == "embedding" and deployment.pipeline > 1 and (deployment.draft_tokens or config.tie_word_embeddings):
            stages[-1][kind] += held
    return [WeightBytes(kind, whole[kind], tuple(stage[kind] for stage in stages)) for kind in KINDS if whole[kind]]


def tensor_bytes(item: ExpectedTensor, deployment: Deployment) -> int:
    """Return a tensor's bytes as the server holds it: as stored, packed in our CPU runtime, float32 in torch."""
    stored = math.prod(item.shape) * item.storages[0].itemsize
    if not deployment.memory.on_host:
        return stored
    if deployment.packs:
        return _packed_bytes(item, stored)
    packed = 2 if item.storages[0] is StorageType.U8 else 1
    return 0 if item.is_scale else math.prod(item.shape) * packed * 4


def _packed_bytes(item: ExpectedTensor, stored: int) -> int:
    """Return a tensor's bytes in tiles of sixteen rows; vectors are float32, and single scales stand in the index."""
    if len(item.shape) == 2:
        rows = item.shape[0]
        return stored if item.name.startswith("backbone.embeddings") else stored // rows * (-(-rows // 16) * 16)
    return 0 if item.is_scale else math.prod(item.shape) * 4


def place(name: str, config: ModelConfig, deployment: Deployment) -> tuple[str, int]:
    """Return a tensor's kind and the pipeline stage that holds it; the draft head stands with the last."""
    last = deployment.pipeline - 1
    match = _LAYER.fullmatch(name)
    if match is None:
        if name.startswith("backbone.embeddings"):
            return "embedding", 0
        return ("lm head" if name.startswith("lm_head") else "norms"), last
    if match[1] == "mtp":
        return DRAFT, last
    layer = int(match[2])
    if name.endswith(f"layers.{layer}.norm.weight"):
        return "norms", stage_of(layer, len(config.layer_kinds), deployment.pipeline)
    return _kind(match[3], config.layer_kinds[layer]), stage_of(layer, len(config.layer_kinds), deployment.pipeline)


def stage_of(layer: int, layers: int, stages: int) -> int:
    """Return the stage of a layer: even runs, the first ones longer by one (inferred: servers may cut otherwise)."""
    size, longer = divmod(layers, stages)
    start = longer * (size + 1)
    return layer // (size + 1) if layer < start else longer + (layer - start) // size


def _kind(tail: str, layer_kind: str) -> str:
    if layer_kind != "moe":
        return layer_kind
    for start, kind in (("experts.", "routed experts"), ("shared_experts.", "shared experts"), ("gate.", "router")):
        if tail.startswith(start):
            return kind
    return "latent projections"


def rank_bytes(item: ExpectedTensor, count: int, config: ModelConfig, deployment: Deployment) -> int:
    """Return the bytes of `count` such tensors that one device of their stage holds."""
    size, tensor = tensor_bytes(item, deployment), deployment.attention_tensor
    match = _LAYER.fullmatch(item.name)
    if match is None:
        is_split = item.name.startswith(("backbone.embeddings", "lm_head")) and len(item.shape) > 1
        return _split(size, tensor) if is_split else size
    tail, is_single = match[3], math.prod(item.shape) == 1
    inner = tail.split(".", 2)[2] if tail.startswith("experts.") else tail
    by_rows = _COLUMNS.fullmatch(inner) and item.follows != "columns"
    by_columns = _ROWS.fullmatch(inner) and item.follows != "rows"
    is_split = not is_single and bool(by_rows or by_columns or ".mixer.norm." in item.name)
    if tail.startswith("experts."):
        return -(-count // deployment.expert) * _split(size, deployment.expert_tensor if is_split else 1)
    if re.match(r"[kv]_proj\.", tail) and not is_single and item.follows != "columns":
        heads = max(config.num_key_value_heads // tensor, 1)
        return size * heads // config.num_key_value_heads
    return _split(size, tensor) if is_split else size


def _split(size: int, parts: int) -> int:
    return -(-size // parts)


def replicated_bytes(weights: list[WeightBytes], deployment: Deployment) -> int:
    """Return the bytes that all devices together hold beyond one copy of the checkpoint."""
    devices = deployment.tensor * deployment.data
    return sum(sum(item.by_stage) * devices - item.whole for item in weights)
