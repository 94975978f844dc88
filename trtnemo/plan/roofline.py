"""The best speed that bandwidth and arithmetic allow: an upper bound, no forecast.

A decode step reads every dense weight once, the experts that its tokens touch, all KV of its sequences, and reads and
writes their Mamba states; with drafts the target verifies draft + 1 tokens a sequence and the draft head runs once for
each draft. Links between devices, launches and samplers cost nothing here. Touched experts of one layer follow a
uniform router: E (1 - (1 - k/E)^tokens).
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from trtnemo.checkpoint.config import ModelConfig
from trtnemo.checkpoint.quantization import WeightFormat
from trtnemo.plan.deployment import Deployment
from trtnemo.plan.hardware import Device
from trtnemo.plan.network import Network
from trtnemo.plan.state import state_bytes
from trtnemo.plan.weights import DRAFT, WeightBytes

# per draft, from the published mean of 3.45 tokens a verification at 7 drafts (SPEED-Bench): (1 - a^8) / (1 - a) = 3.45
ACCEPTANCE = 0.735
_UNITS = {
    WeightFormat.PLAIN: "bf16",
    WeightFormat.FP8: "fp8",
    WeightFormat.NVFP4: "fp4",
    WeightFormat.NVFP4_WEIGHT_ONLY: "bf16",
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
        self.states = [state_bytes(config, deployment, stage) for stage in range(deployment.pipeline)]
        self.operations = active_operations(network)

    def decode(self, batch: int, context: int, acceptance: float = ACCEPTANCE) -> Speed:
        """Return the bound of a decode step with `batch` sequences, all replicas together, at a context each."""
        deployment, drafts = self.deployment, self.deployment.draft_tokens
        here = batch / deployment.replicas
        tokens = batch * (drafts + 1)
        weights = self._weights(tokens) + drafts * self._draft_weights(batch)
        kv = int(here * context * sum(state.kv_per_token for state in self.states))
        moved = int(here * sum(2 * state.per_slot for state in self.states))
        memory = (weights + kv + moved) / (self.device.bandwidth_gbs * 1e9)
        arithmetic = self._arithmetic(tokens) + self._attention(here * (drafts + 1), context)
        seconds = max(memory, arithmetic)
        done = batch * tokens_per_step(drafts, acceptance)
        touched = experts_touched(self.config, tokens) if self._has_experts() else 0.0
        bound = "memory" if memory >= arithmetic else "arithmetic"
        return Speed(batch, context, touched, int(weights), kv, moved, seconds, bound, done / seconds)

    def prefill(self, tokens: int) -> Speed:
        """Return the bound of one prompt chunk of so many tokens on each replica."""
        total = tokens * self.deployment.replicas
        weights = self._weights(total)
        memory = weights / (self.device.bandwidth_gbs * 1e9)
        arithmetic = self._arithmetic(total) + self._attention(tokens, tokens // 2)
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
        head = self.by_kind.get(DRAFT, 0)
        experts = self._draft_expert_share()
        return head * (1 - experts) + head * experts * share + self.by_kind.get("lm head", 0)

    def _draft_expert_share(self) -> float:
        config = self.config
        experts = 2 * config.n_routed_experts * config.expert_size * config.moe_intermediate_size
        hidden, shared = config.hidden_size, config.shared_intermediate_size
        rest = 2 * hidden * hidden + 2 * hidden * shared + config.n_routed_experts * hidden
        return experts / (experts + rest)

    def _arithmetic(self, tokens: float) -> float:
        """Return the seconds of all products, split over the devices."""
        devices = self.deployment.tensor * self.deployment.data
        return sum(2 * count * tokens / devices / self.device.peak(kind) for kind, count in self.operations.items())

    def _attention(self, rows: float, context: float) -> float:
        config = self.config
        layers = config.layer_kinds.count("attention")
        products = 4 * layers * config.num_attention_heads * config.head_dim * rows * context
        return products / self.deployment.attention_tensor / self.device.peak("bf16")


def active_operations(network: Network) -> dict[str, int]:
    """Return the weights that one token multiplies with, by the format whose units do it; the draft head's left out."""
    share = network.config.num_experts_per_tok / network.config.n_routed_experts
    counts: Counter[str] = Counter()
    for item, number in network.tensors:
        is_router = item.name.endswith("gate.weight")
        if item.name.startswith("mtp.") or (item.weight_format is None and not is_router):
            continue
        kind = item.weight_format or WeightFormat.PLAIN
        weights = item.shape[0] * item.shape[1] * (2 if kind.is_nvfp4 else 1) * number
        counts[_UNITS[kind]] += round(weights * share) if ".experts." in item.name else weights
    return dict(counts)
