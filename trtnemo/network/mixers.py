"""The mixers of the hybrid: Mamba-2, attention, mixture of experts."""

from __future__ import annotations

from trtnemo.checkpoint import LayerKind, WeightFormat
from trtnemo.graph import DType, Tensor
from trtnemo.graph.ops import Attention as AttentionOp
from trtnemo.network import functional
from trtnemo.network.context import BuildContext
from trtnemo.network.layers import Linear, Mlp, RmsNorm
from trtnemo.network.module import ExpertBank, Module, Parameter
from trtnemo.plugins.latent_moe.op import LatentMoe
from trtnemo.plugins.mamba2.op import Mamba2


class Convolution(Module):
    """The weights of the depthwise causal convolution."""

    def __init__(self, channels: int, kernel: int, bias: bool) -> None:
        self.weight = Parameter(channels, 1, kernel)
        self.bias = Parameter(channels) if bias else None


class MambaMixer(Module):
    """in_proj, the mamba2 plugin, out_proj."""

    def __init__(self, context: BuildContext, path: str) -> None:
        config = context.config
        self.in_proj = Linear(context, f"{path}.in_proj", config.hidden_size, config.in_proj_size)
        self.conv1d = Convolution(config.conv_channels, config.conv_kernel, config.use_conv_bias)
        self.A_log = Parameter(config.mamba_num_heads)
        self.D = Parameter(config.mamba_num_heads)
        self.dt_bias = Parameter(config.mamba_num_heads)
        self.norm = RmsNorm(config.mamba_inner_size, config.norm_eps)
        self.out_proj = Linear(context, f"{path}.out_proj", config.mamba_inner_size, config.hidden_size)
        self.op = Mamba2(
            heads=config.mamba_num_heads,
            head_dim=config.mamba_head_dim,
            groups=config.n_groups,
            state_size=config.ssm_state_size,
            kernel=config.conv_kernel,
            epsilon=config.norm_eps,
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return [tokens, hidden]."""
        parameters = {
            "conv_weight": self.conv1d.weight.spec,
            "A_log": self.A_log.spec,
            "D": self.D.spec,
            "dt_bias": self.dt_bias.spec,
            "norm_weight": self.norm.weight.spec,
        }
        if self.conv1d.bias is not None:
            parameters["conv_bias"] = self.conv1d.bias.spec
        mixed = functional.plugin(f"{self.path}.{self.op.kind}", self.op, [self.in_proj(x)], parameters)
        result: Tensor = self.out_proj(mixed)
        return result


class AttentionMixer(Module):
    """Grouped-query attention without any position signal."""

    def __init__(self, context: BuildContext, path: str) -> None:
        config = context.config
        hidden = config.hidden_size
        queries, keys = config.num_attention_heads * config.head_dim, config.num_key_value_heads * config.head_dim
        self.q_proj = Linear(context, f"{path}.q_proj", hidden, queries)
        self.k_proj = Linear(context, f"{path}.k_proj", hidden, keys)
        self.v_proj = Linear(context, f"{path}.v_proj", hidden, keys)
        self.o_proj = Linear(context, f"{path}.o_proj", queries, hidden)
        self.op = AttentionOp(
            query_heads=config.num_attention_heads, kv_heads=config.num_key_value_heads, head_dim=config.head_dim
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return [tokens, hidden]."""
        attended = functional.attention(
            f"{self.path}.attention", self.q_proj(x), self.k_proj(x), self.v_proj(x), self.op
        )
        result: Tensor = self.o_proj(attended)
        return result


class Router(Module):
    """The gate: logits over experts in float32, and the bias that corrects the picks."""

    def __init__(self, context: BuildContext) -> None:
        experts = context.config.n_routed_experts
        self.weight = Parameter(experts, context.config.hidden_size)
        self.e_score_correction_bias = Parameter(experts)

    def forward(self, x: Tensor) -> Tensor:
        """Return [tokens, experts]."""
        return functional.linear(self.path, x, self.weight.spec, "weight_only", DType.FLOAT32)


class Expert(Module):
    """One projection of all experts of a layer, as a bank."""

    def __init__(self, context: BuildContext, prefix: str, name: str, columns: int, rows: int) -> None:
        format = context.bank_format(prefix, name)
        self.weight = Parameter(
            rows,
            columns,
            format=format,
            copies=context.config.n_routed_experts,
            input_scale=format in (WeightFormat.FP8, WeightFormat.NVFP4),
        )


class Experts(ExpertBank):
    """The routed experts of a layer."""

    def __init__(self, context: BuildContext, prefix: str) -> None:
        width, inner = context.config.expert_size, context.config.moe_intermediate_size
        self.up_proj = Expert(context, prefix, "up_proj", width, inner)
        self.down_proj = Expert(context, prefix, "down_proj", inner, width)


class MoeMixer(Module):
    """Router on the full width, experts in the latent one where there is one, shared expert beside them."""

    def __init__(self, context: BuildContext, path: str) -> None:
        config = context.config
        hidden, latent = config.hidden_size, config.moe_latent_size
        self.gate = Router(context)
        self.experts = Experts(context, path)
        self.fc1_latent_proj = Linear(context, f"{path}.fc1_latent_proj", hidden, latent) if latent else None
        self.fc2_latent_proj = Linear(context, f"{path}.fc2_latent_proj", latent, hidden) if latent else None
        shared = config.shared_intermediate_size
        self.shared_experts = Mlp(context, f"{path}.shared_experts", shared) if shared else None
        self.op = LatentMoe(
            experts=config.n_routed_experts,
            top_k=config.num_experts_per_tok,
            width=config.expert_size,
            inner=config.moe_intermediate_size,
            groups=config.n_group,
            top_groups=config.topk_group,
            normalize=config.norm_topk_prob,
            scaling_factor=config.routed_scaling_factor,
            compute=context.compute_of(self.experts.up_proj.weight.format),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return [tokens, hidden]."""
        parameters = {
            "correction_bias": self.gate.e_score_correction_bias.spec,
            "up": self.experts.up_proj.weight.spec,
            "down": self.experts.down_proj.weight.spec,
        }
        rows = self.fc1_latent_proj(x) if self.fc1_latent_proj else x
        result: Tensor = functional.plugin(f"{self.path}.experts", self.op, [self.gate(x), rows], parameters)
        if self.fc2_latent_proj:
            result = self.fc2_latent_proj(result)
        if self.shared_experts:
            result = functional.add(f"{self.path}.add", result, self.shared_experts(x))
        return result


def build_mixer(context: BuildContext, kind: LayerKind, path: str) -> Module:
    """Return the mixer of a layer of that kind at checkpoint path `path`."""
    if kind == "mamba":
        return MambaMixer(context, path)
    if kind == "attention":
        return AttentionMixer(context, path)
    if kind == "moe":
        return MoeMixer(context, path)
    return Mlp(context, path, context.config.intermediate_size)
