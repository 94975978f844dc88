"""The network that config.json describes, in one spelling, whichever of the family's spellings it uses."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from trtnemo.errors import ModelConfigError
from trtnemo.validation import first_fault

LayerKind = Literal["mamba", "attention", "moe", "mlp"]
Size = Annotated[int, Field(ge=1, le=1 << 32)]
# beyond anything that is stored: 108 layers of 512 experts is the largest release
MAXIMUM_LAYERS = 4096
MAXIMUM_EXPERTS = 1 << 17

LETTERS: dict[str, LayerKind] = {"M": "mamba", "*": "attention", "E": "moe", "-": "mlp"}
_WORDS: dict[str, LayerKind] = {
    "mamba": "mamba",
    "linear_attention": "mamba",
    "attention": "attention",
    "full_attention": "attention",
    "moe": "moe",
    "mlp": "mlp",
}


class ModelConfig(BaseModel):
    """Sizes of one Nemotron-H network; names follow config.json where it has one name only."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    layer_kinds: tuple[LayerKind, ...]
    mtp_layer_kinds: tuple[LayerKind, ...] = ()
    hidden_size: Size
    vocab_size: Size
    norm_eps: Annotated[float, Field(gt=0, lt=1)] = 1e-5
    dtype: Literal["bfloat16", "float16", "float32"] = "bfloat16"
    tie_word_embeddings: bool = False
    max_position_embeddings: Size = 262144

    mamba_num_heads: Size = 1
    mamba_head_dim: Size = 1
    n_groups: Size = 1
    ssm_state_size: Size = 1
    conv_kernel: Size = 4
    use_conv_bias: bool = True
    time_step_limit: tuple[float, float] = (0.0, math.inf)

    num_attention_heads: Size = 1
    num_key_value_heads: Size = 1
    head_dim: Size = 1

    intermediate_size: Size = 1
    n_routed_experts: Size = 1
    num_experts_per_tok: Size = 1
    moe_intermediate_size: Size = 1
    shared_intermediate_size: Annotated[int, Field(ge=0, le=1 << 32)] = 0
    moe_latent_size: Size | None = None
    n_group: Size = 1
    topk_group: Size = 1
    norm_topk_prob: bool = True
    routed_scaling_factor: Annotated[float, Field(gt=0)] = 1.0

    @property
    def mamba_inner_size(self) -> int:
        """Channels of the Mamba mixer, heads times head size (not expand times hidden)."""
        return self.mamba_num_heads * self.mamba_head_dim

    @property
    def conv_channels(self) -> int:
        """Channels that the causal convolution runs over: x, B and C."""
        return self.mamba_inner_size + 2 * self.n_groups * self.ssm_state_size

    @property
    def in_proj_size(self) -> int:
        """Rows of in_proj: z, then x, B, C, then dt."""
        return self.mamba_inner_size + self.conv_channels + self.mamba_num_heads

    @property
    def expert_size(self) -> int:
        """Width that the routed experts work in: the latent one, or the hidden one where there is no latent."""
        return self.moe_latent_size or self.hidden_size

    @property
    def has_mtp(self) -> bool:
        """Whether the checkpoint promises a multi-token-prediction head."""
        return bool(self.mtp_layer_kinds)

    def computes_like(self, other: ModelConfig) -> bool:
        """Return whether two target networks are the same function of their weights, whatever their element types."""
        unlike = {"dtype": other.dtype, "mtp_layer_kinds": other.mtp_layer_kinds,
                  "max_position_embeddings": other.max_position_embeddings}  # fmt: skip
        return self.model_copy(update=unlike) == other

    def has_layers_of(self, other: ModelConfig) -> bool:
        """Return whether module names mean the same in another network: its layers' kinds and number of experts."""
        return (self.layer_kinds, self.n_routed_experts) == (other.layer_kinds, other.n_routed_experts)


def parse_config(data: dict[str, Any], where: str = "config.json") -> ModelConfig:
    """Return the network described by the content of config.json; raises ModelConfigError."""
    if data.get("model_type") != "nemotron_h":
        raise ModelConfigError(
            f"model_type is {data.get('model_type')!r}, not 'nemotron_h'",
            where=where,
            remedy="trtnemo serves the Nemotron-H family only",
        )
    _refuse_unknown_parts(data, where)
    layers = _layer_kinds(data, "hybrid_override_pattern", "layers_block_type", where)
    if not layers:
        raise ModelConfigError("has neither hybrid_override_pattern nor layers_block_type", where=where)
    count = data.get("num_hidden_layers")
    if count is not None and count != len(layers):
        raise ModelConfigError(f"num_hidden_layers is {count}, but the pattern has {len(layers)} layers", where=where)
    try:
        config = ModelConfig.model_validate(_fields(data, layers, where), strict=False)
    except ValidationError as error:
        fault = first_fault(error)
        raise ModelConfigError(f"'{fault.key}' {fault.message}", where=where) from None
    _check_sizes(config, where)
    return config


def _refuse_unknown_parts(data: dict[str, Any], where: str) -> None:
    """Raise where config.json switches on a part that no release of the family has and no formula here computes."""
    for key in ("attention_bias", "mlp_bias", "use_bias", "mamba_proj_bias", "sliding_window", "block_configs"):
        if data.get(key):
            raise ModelConfigError(
                f"{key} is {data[key]!r}, which no released network uses and trtnemo cannot run", where=where
            )
    for key, known in (("mlp_hidden_act", "relu2"), ("mamba_hidden_act", "silu")):
        if data.get(key, known) != known:
            raise ModelConfigError(f"{key} is {data[key]!r}, not '{known}'", where=where)


def _fields(data: dict[str, Any], layers: tuple[LayerKind, ...], where: str) -> dict[str, Any]:
    names = set(ModelConfig.model_fields) - {"layer_kinds", "mtp_layer_kinds", "dtype", "norm_eps", "time_step_limit"}
    fields: dict[str, Any] = {name: data[name] for name in names if data.get(name) is not None}
    fields["layer_kinds"] = layers
    fields["mtp_layer_kinds"] = _mtp_kinds(data, where)
    fields["norm_eps"] = _first(data, "layer_norm_epsilon", "norm_eps", "rms_norm_eps", default=1e-5)
    fields["dtype"] = str(_first(data, "dtype", "torch_dtype", default="bfloat16")).removeprefix("torch.")
    fields["head_dim"] = _head_dim(data)
    fields["time_step_limit"] = _time_step_limit(data.get("time_step_limit"), where)
    if "moe" in (*layers, *fields["mtp_layer_kinds"]):
        shared = _first(data, "n_shared_experts", default=1)
        fields["shared_intermediate_size"] = data.get("moe_shared_expert_intermediate_size", 0) if shared else 0
    return fields


def _first(data: dict[str, Any], *names: str, default: Any) -> Any:
    return next((data[name] for name in names if data.get(name) is not None), default)


def _head_dim(data: dict[str, Any]) -> Any:
    found = _first(data, "head_dim", "attention_head_dim", default=None)
    if found is not None:
        return found
    hidden, heads = data.get("hidden_size"), data.get("num_attention_heads")
    return hidden // heads if isinstance(hidden, int) and isinstance(heads, int) and heads > 0 else 1


def _layer_kinds(data: dict[str, Any], letters_key: str, words_key: str, where: str) -> tuple[LayerKind, ...]:
    letters, words = data.get(letters_key), data.get(words_key)
    for value in (letters, words):
        if isinstance(value, (str, list)) and len(value) > MAXIMUM_LAYERS:
            raise ModelConfigError(f"has {len(value)} layers; at most {MAXIMUM_LAYERS} are read", where=where)
    if isinstance(letters, str) and letters:
        return tuple(_kind(letter, LETTERS, letters_key, where) for letter in letters)
    if isinstance(words, list) and words:
        return tuple(_kind(word, _WORDS, words_key, where) for word in words)
    return ()


def _kind(spelling: Any, spellings: dict[str, LayerKind], key: str, where: str) -> LayerKind:
    kind = spellings.get(spelling) if isinstance(spelling, str) else None
    if kind is None:
        raise ModelConfigError(f"{key} has the unknown layer {spelling!r} (known: {', '.join(spellings)})", where=where)
    return kind


def _mtp_kinds(data: dict[str, Any], where: str) -> tuple[LayerKind, ...]:
    depth = _first(data, "num_nextn_predict_layers", default=0)
    if depth == 0:
        return ()
    if depth != 1:
        raise ModelConfigError(
            f"num_nextn_predict_layers is {depth!r}; known are 0 and 1 (one shared head)", where=where
        )
    kinds = _layer_kinds(data, "mtp_hybrid_override_pattern", "mtp_layers_block_type", where)
    return kinds or ("attention", "moe")


def _time_step_limit(value: Any, where: str) -> tuple[float, float]:
    """Read `[0, Infinity]`, `[0, 1e308]` or ModelOpt's `{"__float__": "Infinity"}`."""
    if value is None:
        return 0.0, math.inf
    try:
        low, high = (float(item["__float__"] if isinstance(item, dict) else item) for item in value)
    except (TypeError, ValueError, KeyError):
        raise ModelConfigError(f"time_step_limit {value!r} is not a pair of numbers", where=where) from None
    return low, high


def _check_sizes(config: ModelConfig, where: str) -> None:
    kinds = (*config.layer_kinds, *config.mtp_layer_kinds)
    limits = [
        (
            kinds.count("moe") * config.n_routed_experts <= MAXIMUM_EXPERTS,
            f"{kinds.count('moe')} layers of {config.n_routed_experts} experts are more than {MAXIMUM_EXPERTS} experts",
        ),
        (config.mamba_num_heads % config.n_groups == 0, "mamba_num_heads must be a multiple of n_groups"),
        (
            config.num_attention_heads % config.num_key_value_heads == 0,
            "num_attention_heads must be a multiple of num_key_value_heads",
        ),
        (
            config.num_experts_per_tok <= config.n_routed_experts,
            f"num_experts_per_tok ({config.num_experts_per_tok}) exceeds n_routed_experts ({config.n_routed_experts})",
        ),
        (config.n_routed_experts % config.n_group == 0, "n_routed_experts must be a multiple of n_group"),
        (config.topk_group <= config.n_group, "topk_group exceeds n_group"),
        (
            config.num_experts_per_tok <= config.n_routed_experts // config.n_group * config.topk_group,
            "num_experts_per_tok exceeds the experts in topk_group groups",
        ),
    ]
    for holds, message in limits:
        if not holds:
            raise ModelConfigError(message, where=where)
    # The served semantics clamp nothing (mamba_ssm, vLLM, SGLang); a real limit would change every number.
    low, high = config.time_step_limit
    if not (low <= 0 and high >= 1e30):
        raise ModelConfigError(f"time_step_limit [{low}, {high}] clamps dt; only [0, Infinity] is served", where=where)
