"""Every tensor that a checkpoint of a given network and quantization map must hold.

Source: the hub layout of NVIDIA-Nemotron-3-Super-120B-A12B and its relatives; names and shapes as their headers have
them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from trtnemo.checkpoint.family.config import LayerKind, ModelConfig
from trtnemo.checkpoint.family.layout import parts_of
from trtnemo.checkpoint.family.module_name import EMBEDDING
from trtnemo.checkpoint.family.quantization import QuantizationMap
from trtnemo.checkpoint.family.weight_format import WeightFormat
from trtnemo.checkpoint.format.storage import StorageType, TensorInfo

PLAIN_TYPES = {"bfloat16": StorageType.BF16, "float16": StorageType.F16, "float32": StorageType.F32}
EMBEDDINGS = f"{EMBEDDING}.weight"


@dataclass(frozen=True)
class ExpectedTensor:
    """One tensor by name: its shape, the element types it may have, and whether it may be absent."""

    name: str
    shape: tuple[int, ...]
    storages: tuple[StorageType, ...]
    optional: bool = False
    is_scale: bool = field(default=False)
    weight_format: WeightFormat | None = None  # of a linear layer's weight, not of its scales
    weights: int = 0  # numbers that a linear layer's weight holds, several to an element where it is packed
    follows: Literal["both", "rows", "columns"] = "both"

    @property
    def module(self) -> str:
        """The module that holds it."""
        return self.name.rpartition(".")[0]

    def is_met_by(self, info: TensorInfo | None) -> bool:
        """Return whether a tensor is there with a type and the shape that are expected."""
        return info is not None and info.storage in self.storages and info.shape == self.shape


def expected_tensors(config: ModelConfig, quantization: QuantizationMap) -> Iterator[ExpectedTensor]:
    """Yield what the checkpoint must hold, in network order."""
    return _Layout(config, quantization).all()


class _Layout:
    def __init__(self, config: ModelConfig, quantization: QuantizationMap) -> None:
        self.config = config
        self.quantization = quantization
        self.plain = PLAIN_TYPES[config.dtype]

    def all(self) -> Iterator[ExpectedTensor]:
        config = self.config
        hidden = config.hidden_size
        yield from self.embedding(config.vocab_size, hidden)
        for index, kind in enumerate(config.layer_kinds):
            yield from self.layer(f"backbone.layers.{index}", kind)
        yield self.tensor("backbone.norm_f.weight", hidden)
        if not config.tie_word_embeddings:
            yield from self.linear("lm_head", config.vocab_size, hidden)
        yield from self.mtp()

    def embedding(self, rows: int, columns: int) -> Iterator[ExpectedTensor]:
        """Yield the table: a plain tensor, or a quantized one where the map names it."""
        if self.quantization.layout_of(EMBEDDING).format is WeightFormat.PLAIN:
            yield self.tensor(EMBEDDINGS, rows, columns)
        else:
            yield from self.linear(EMBEDDING, rows, columns)

    def mtp(self) -> Iterator[ExpectedTensor]:
        kinds, hidden = self.config.mtp_layer_kinds, self.config.hidden_size
        if not kinds:
            return
        yield self.tensor("mtp.layers.0.enorm.weight", hidden)
        yield self.tensor("mtp.layers.0.hnorm.weight", hidden)
        yield from self.linear("mtp.layers.0.eh_proj", hidden, 2 * hidden)
        for index, kind in enumerate(kinds):
            yield from self.layer(f"mtp.layers.{index}", kind)
        yield self.tensor(f"mtp.layers.{len(kinds) - 1}.final_layernorm.weight", hidden)

    def layer(self, prefix: str, kind: LayerKind) -> Iterator[ExpectedTensor]:
        yield self.tensor(f"{prefix}.norm.weight", self.config.hidden_size)
        yield from getattr(self, kind)(f"{prefix}.mixer")

    def mamba(self, prefix: str) -> Iterator[ExpectedTensor]:
        config = self.config
        yield from self.linear(f"{prefix}.in_proj", config.in_proj_size, config.hidden_size)
        yield self.tensor(f"{prefix}.conv1d.weight", config.conv_channels, 1, config.conv_kernel)
        if config.use_conv_bias:
            yield self.tensor(f"{prefix}.conv1d.bias", config.conv_channels)
        for name in ("A_log", "D", "dt_bias"):
            yield self.tensor(f"{prefix}.{name}", config.mamba_num_heads, also=StorageType.F32)
        yield self.tensor(f"{prefix}.norm.weight", config.mamba_inner_size)
        yield from self.linear(f"{prefix}.out_proj", config.hidden_size, config.mamba_inner_size)

    def attention(self, prefix: str) -> Iterator[ExpectedTensor]:
        config = self.config
        queries, keys = config.num_attention_heads * config.head_dim, config.num_key_value_heads * config.head_dim
        for name, rows, columns in (
            ("q_proj", queries, config.hidden_size),
            ("k_proj", keys, config.hidden_size),
            ("v_proj", keys, config.hidden_size),
            ("o_proj", config.hidden_size, queries),
        ):
            yield from self.linear(f"{prefix}.{name}", rows, columns)
        if self.quantization.fp8_kv_cache and not prefix.startswith("mtp."):
            yield from self.cache_scales(prefix)

    def cache_scales(self, prefix: str) -> Iterator[ExpectedTensor]:
        """Yield the scales of keys and values: below the projections, or of the layer in compressed-tensors' form."""
        if self.quantization.tool is None:
            yield self.scale(f"{prefix}.k_proj.k_scale", optional=True)
            yield self.scale(f"{prefix}.v_proj.v_scale", optional=True)
            return
        for name in ("k_scale", "v_scale"):
            types = tuple(dict.fromkeys((self.plain, StorageType.F32)))
            yield ExpectedTensor(f"{prefix}.{name}", (1,), types, optional=True, is_scale=True)

    def moe(self, prefix: str) -> Iterator[ExpectedTensor]:
        config = self.config
        hidden, width, inner = config.hidden_size, config.expert_size, config.moe_intermediate_size
        yield self.tensor(f"{prefix}.gate.weight", config.n_routed_experts, hidden, also=StorageType.F32)
        bias = f"{prefix}.gate.e_score_correction_bias"
        yield ExpectedTensor(bias, (config.n_routed_experts,), (StorageType.F32,))
        if config.moe_latent_size:
            yield from self.linear(f"{prefix}.fc1_latent_proj", width, hidden)
            yield from self.linear(f"{prefix}.fc2_latent_proj", hidden, width)
        for expert in range(config.n_routed_experts):
            yield from self.linear(f"{prefix}.experts.{expert}.up_proj", inner, width)
            yield from self.linear(f"{prefix}.experts.{expert}.down_proj", width, inner)
        if config.shared_intermediate_size:
            yield from self.linear(f"{prefix}.shared_experts.up_proj", config.shared_intermediate_size, hidden)
            yield from self.linear(f"{prefix}.shared_experts.down_proj", hidden, config.shared_intermediate_size)

    def mlp(self, prefix: str) -> Iterator[ExpectedTensor]:
        config = self.config
        yield from self.linear(f"{prefix}.up_proj", config.intermediate_size, config.hidden_size)
        yield from self.linear(f"{prefix}.down_proj", config.hidden_size, config.intermediate_size)

    def linear(self, module: str, rows: int, columns: int) -> Iterator[ExpectedTensor]:
        layout = self.quantization.layout_of(module)
        for number, part in enumerate(parts_of(layout, rows, columns, self.plain)):
            yield ExpectedTensor(
                f"{module}.{part.suffix}",
                part.shape,
                part.storages,
                optional=part.optional,
                is_scale=part.is_scale,
                weight_format=None if number else layout.format,
                weights=0 if number else rows * columns,
                follows=part.follows,
            )

    def tensor(self, name: str, *shape: int, also: StorageType | None = None) -> ExpectedTensor:
        storages = (self.plain,) if also in (None, self.plain) else (self.plain, also)
        return ExpectedTensor(name, shape, storages)

    def scale(self, name: str, optional: bool = False) -> ExpectedTensor:
        return ExpectedTensor(name, (), (StorageType.F32,), optional=optional, is_scale=True)
