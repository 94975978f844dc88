"""The best speed that bandwidth and arithmetic allow: an upper bound, no forecast.

A decode step reads every dense weight once, the experts that its tokens touch, all KV of its sequences, and reads and
writes their Mamba states; with drafts the target verifies draft + 1 tokens a sequence and the draft head runs once for
each draft, reading its own KV each time. A prompt chunk is taken as not the last one: no logits. Products of the draft
head and of the scan, links between devices, launches and samplers cost nothing here. Touched experts of one layer
follow a uniform router: E (1 - (1 - k/E)^tokens). Pipeline stages work one after another, as for one batch alone.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass

from trtnemo.checkpoint.family.config import ModelConfig
from trtnemo.checkpoint.family.expected import EMBEDDINGS
from trtnemo.checkpoint.family.weight_format import WeightFormat
from trtnemo.plan.deployment import Deployment
from trtnemo.plan.hardware import Device
from trtnemo.plan.network import Network
from trtnemo.plan.state import state_bytes
from trtnemo.plan.weights import DRAFT, WeightBytes, rank_bytes

# per draft, from the published mean of 3.45 tokens a verification at 7 drafts (SPEED-Bench): (1 - a^8) / (1 - a) = 3.45
ACCEPTANCE = 0.735
_UNITS = {
    WeightFormat.PLAIN: "bf16",
    WeightFormat.FP8: "fp8",
    WeightFormat.NVFP4: "fp4",
    WeightFormat.NVFP4_WEIGHT_ONLY: "bf16",
    WeightFormat.INTEGER: "bf16",
}
_READ_ONCE = ("mamba", "attention", "mlp", "shared experts", "latent projections", "router", "norms", "lm head")


@dataclass(frozen=True)
class Speed:
    """One point: sequences of all replicas together, their context, and what a step costs at best."""

    batch: int
    context: int
    experts_touched: float
    weight_bytes: int
    kv_bytes: int
    state_bytes: int
    seconds: float
    bound: str
    tokens_per_second: float

    @property
    def tokens_per_second_each(self) -> float:
        """Tokens a second of one sequence."""
        return self.tokens_per_second / self.batch


def tokens_per_step(draft_tokens: int, acceptance: float) -> float:
    """Return the tokens that one verification yields on average, with each draft accepted at the same rate."""
    return sum(acceptance**number for number in range(draft_tokens + 1))


def experts_touched(config: ModelConfig, tokens: float) -> float:
    """Return how many experts of a layer so many tokens read."""
    experts = config.n_routed_experts
    return float(experts * (1 - (1 - config.num_experts_per_tok / experts) ** tokens))


class Roofline:
    """Bounds for one deployment on one kind of device; pipeline stages are taken one after another."""

    def __init__(self, network: Network, deployment: Deployment, device: Device, weights: list[WeightBytes]) -> None:
        config = network.config
        self.config, self.deployment, self.device = config, deployment, device
        self.by_kind = {item.kind: sum(item.by_stage) for item in weights}
        if config.tie_word_embeddings:
            self.by_kind["lm head"] = sum(item.by_stage[-1] for item in weights if item.kind == "embedding")
        self.draft_experts = sum(
            rank_bytes(item, count, config, deployment)
            for item, count in network.tensors
            if item.name.startswith("mtp.") and ".experts." in item.name
        )
        self.states = [state_bytes(config, deployment, stage) for stage in range(deployment.pipeline)]
        self.operations = active_operations(network)
        self.chunk_operations = active_operations(network, head=False)

    def decode(self, batch: int, context: int, acceptance: float = ACCEPTANCE) -> Speed:
        """Return the bound of a decode step with `batch` sequences, all replicas together, at a context each."""
        deployment, drafts = self.deployment, self.deployment.draft_tokens
        here = math.ceil(batch / deployment.replicas)
        tokens = batch * (drafts + 1)
        weights = self._weights(tokens) + drafts * self._draft_weights(batch)
        kv = here * context * self._kv_per_token()
        moved = here * sum(2 * state.per_slot for state in self.states)
        memory = (weights + kv + moved) / self.device.bandwidth
        rows = here * (drafts + 1)
        arithmetic = self._arithmetic(rows * deployment.replicas, self.operations) + self._attention(rows, context)
        seconds = max(memory, arithmetic)
        done = batch * tokens_per_step(drafts, acceptance)
        touched = experts_touched(self.config, tokens) if self._has_experts() else 0.0
        bound = "memory" if memory >= arithmetic else "arithmetic"
        return Speed(batch, context, touched, int(weights), kv, moved, seconds, bound, done / seconds)

    def prefill(self, tokens: int) -> Speed:
        """Return the bound of one prompt chunk of so many tokens on each replica."""
        total = tokens * self.deployment.replicas
        weights = self._weights(total)
        memory = weights / self.device.bandwidth
        arithmetic = self._arithmetic(total, self.chunk_operations) + self._attention(tokens, tokens // 2)
        seconds = max(memory, arithmetic)
        touched = experts_touched(self.config, total) if self._has_experts() else 0.0
        bound = "memory" if memory >= arithmetic else "arithmetic"
        return Speed(1, tokens, touched, int(weights), 0, 0, seconds, bound, total / seconds)

    def _has_experts(self) -> bool:
        return "moe" in self.config.layer_kinds

    def _weights(self, tokens: float) -> float:
        """Return the bytes that one device reads for a step of so many tokens."""
        dense = sum(self.by_kind.get(kind, 0) for kind in _READ_ONCE)
        share = experts_touched(self.config, tokens) / self.config.n_routed_experts
        return dense + self.by_kind.get("routed experts", 0) * share

    def _draft_weights(self, tokens: float) -> float:
        """Return the bytes of one run of the draft head: its own, most of them experts, and the shared lm_head."""
        share = experts_touched(self.config, tokens) / self.config.n_routed_experts
        dense = self.by_kind.get(DRAFT, 0) - self.draft_experts
        return dense + self.draft_experts * share + self.by_kind.get("lm head", 0)

    def _kv_per_token(self) -> int:
        """Return the bytes of one token's KV that a step reads on a device; the draft head's once for each draft."""
        drafts, last = self.deployment.draft_tokens, self.states[-1]
        again = 0
        if drafts and last.attention_layers:
            layer = last.kv_per_token // last.attention_layers
            again = (drafts - 1) * layer * self.config.mtp_layer_kinds.count("attention")
        return again + sum(state.kv_per_token for state in self.states)

    def _arithmetic(self, tokens: float, operations: dict[str, int]) -> float:
        """Return the seconds of all products, split over the devices."""
        devices = self.deployment.tensor * self.deployment.data
        return sum(2 * count * tokens / devices / self.device.peak(kind) for kind, count in operations.items())

    def _attention(self, rows: float, context: float) -> float:
        config = self.config
        layers = config.layer_kinds.count("attention")
        products = 4 * layers * config.num_attention_heads * config.head_dim * rows * context
        return products / self.deployment.attention_tensor / self.device.peak("bf16")


def active_operations(network: Network, head: bool = True) -> dict[str, int]:
    """Return the weights that one token multiplies with, by the format whose units do it; the draft head's left out."""
    tied = network.config.tie_word_embeddings
    share = network.config.num_experts_per_tok / network.config.n_routed_experts
    counts: Counter[str] = Counter()
    for item, number in network.tensors:
        is_head = item.name == (EMBEDDINGS if tied else "lm_head.weight")
        is_product = item.weight_format is not None or item.name.endswith("gate.weight") or is_head
        if item.name.startswith("mtp.") or not is_product or (is_head and not head):
            continue
        kind = item.weight_format or WeightFormat.PLAIN
        weights = (item.weights or math.prod(item.shape)) * number
        counts[_UNITS[kind]] += round(weights * share) if ".experts." in item.name else weights
    return dict(counts)
