"""How a network is deployed, in the terms that a memory plan needs, whatever server runs it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from trtnemo.checkpoint.family.config import ModelConfig
from trtnemo.errors import RecipeError
from trtnemo.plan.server_memory import Batch, ServerMemory
from trtnemo.recipe import AnyRecipe
from trtnemo.validation import first_fault

Count = Annotated[int, Field(ge=1, le=1 << 30)]
_BYTES = {"bfloat16": 2, "float16": 2, "float32": 4, "fp8": 1}
StateType = Literal["float32", "float16", "bfloat16"]
CacheType = Literal["bfloat16", "float16", "float32", "fp8"]


class Deployment(BaseModel):
    """One deployment; sizes of parallel groups, limits of one replica, element types, and what the server holds back.

    `max_batch_size` counts the sequences of one data-parallel replica (of one device under attention DP).
    `memory_fraction` is what the server's own option says; each server means another thing by it (fit.py). `packs` is
    our CPU runtime's: weights stay packed for its kernels, or become float32 in torch.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    server: str
    memory: ServerMemory = Field(exclude=True, repr=False)
    version: str | None = None
    device: str = "cpu"
    devices: Count = 1
    tensor: Count = 1
    expert: Count = 1
    pipeline: Count = 1
    data: Count = 1
    attention_dp: bool = False
    max_batch_size: Count
    max_num_tokens: Count
    max_seq_len: Count
    kv_dtype: CacheType = "bfloat16"
    ssm_dtype: StateType = "float32"
    draft_tokens: Annotated[int, Field(ge=0, le=16)] = 0
    memory_fraction: Annotated[float, Field(gt=0, le=1)] = 1.0
    block_reuse: bool = False
    graph_padding: bool = False
    packs: bool = True

    @property
    def ranks(self) -> int:
        """Devices that the parallel sizes ask for."""
        return self.tensor * self.pipeline * self.data

    @property
    def attention_tensor(self) -> int:
        """Devices over which Mamba, attention and shared experts are split; one under attention DP."""
        return 1 if self.attention_dp else self.tensor

    @property
    def expert_group(self) -> int:
        """Devices that hold one copy of the experts."""
        return self.tensor * self.data if self.memory.experts_over_data else self.tensor

    @property
    def expert_tensor(self) -> int:
        """Devices over which each expert is split."""
        return max(self.expert_group // self.expert, 1)

    @property
    def replicas(self) -> int:
        """Groups of devices with sequences of their own."""
        return self.data * (self.tensor if self.attention_dp else 1)

    def batch(self, size: int) -> Batch:
        """Return what the server reserves memory for when `size` sequences run."""
        return Batch(
            size=size,
            draft_tokens=self.draft_tokens,
            version=self.version,
            attention_tensor=self.attention_tensor,
            attention_dp=self.attention_dp,
            block_reuse=self.block_reuse,
            graph_padding=self.graph_padding,
        )

    @property
    def kv_itemsize(self) -> int:
        """Bytes of one element of keys and values."""
        return _BYTES[self.kv_dtype]

    @property
    def ssm_itemsize(self) -> int:
        """Bytes of one element of the Mamba state."""
        return _BYTES[self.ssm_dtype]


def require_divisible(deployment: Deployment, config: ModelConfig) -> None:
    """Raise RecipeError where the network cannot be split as the deployment asks."""
    tensor, expert = deployment.attention_tensor, deployment.expert
    if deployment.ranks > deployment.devices:
        raise _refusal(f"the parallel sizes ask for {deployment.ranks} devices, hardware.count is {deployment.devices}")
    kinds = {*config.layer_kinds, *config.mtp_layer_kinds}
    checks = [
        ("mamba" in kinds and config.mamba_num_heads % tensor, f"{config.mamba_num_heads} Mamba heads"),
        ("mamba" in kinds and config.n_groups % tensor, f"{config.n_groups} Mamba groups"),
        ("attention" in kinds and config.num_attention_heads % tensor, f"{config.num_attention_heads} attention heads"),
        (
            "attention" in kinds and config.num_key_value_heads % tensor and tensor % config.num_key_value_heads,
            f"{config.num_key_value_heads} KV heads",
        ),
    ]
    for is_wrong, what in checks:
        if is_wrong:
            raise _refusal(f"{what} cannot be split over {tensor} devices (tensor parallel)")
    sizes = deployment.memory.tensor_sizes
    if sizes and tensor not in sizes:
        known = f"{', '.join(map(str, sizes[:-1]))} or {sizes[-1]}"
        raise _refusal(f"{deployment.memory.title} takes {known} as tensor parallel size of this family, not {tensor}")
    group = deployment.expert_group
    if "moe" in kinds and (config.n_routed_experts % expert or group % expert):
        raise _refusal(
            f"{config.n_routed_experts} experts cannot be laid out over expert parallel {expert} of {group} devices"
        )
    if deployment.pipeline > len(config.layer_kinds):
        raise _refusal(f"{len(config.layer_kinds)} layers cannot be cut into {deployment.pipeline} pipeline stages")


def _refusal(what: str) -> RecipeError:
    return RecipeError(
        what, where="parallel", remedy="Change parallel or hardware.count, as with --set parallel.tensor=1"
    )


def checked_deployment(recipe: AnyRecipe, name: str, config: ModelConfig, fields: dict[str, Any]) -> Deployment:
    """Return the deployment of a network of that name, by a recipe's neutral fields with these over them.

    Raises RecipeError for a value that no deployment has, and for drafts of a network without a draft head.
    """
    neutral: dict[str, Any] = {
        "server": recipe.runtime,
        "device": recipe.hardware.name,
        "devices": recipe.hardware.count,
        "tensor": recipe.parallel.tensor,
        "expert": recipe.parallel.expert,
        "pipeline": recipe.parallel.pipeline,
        "data": recipe.parallel.data,
        "draft_tokens": recipe.speculation.draft_tokens,
    }
    try:
        deployment = Deployment(**{**neutral, **fields})
    except ValidationError as error:
        fault = first_fault(error)
        raise RecipeError(f"{fault.key} {fault.message}, not {fault.given!r}", where="the recipe") from None
    if deployment.draft_tokens and not config.has_mtp:
        raise RecipeError(
            f"asks for {deployment.draft_tokens} drafts, but {name} has no draft head",
            where="the recipe",
            remedy="Set speculation.draft_tokens=0, and switch drafts off in the server's own section",
        )
    return deployment
