"""The fields that every runtime understands, under neutral names."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

PositiveInt = Annotated[int, Field(ge=1)]


class RecipePart(BaseModel):
    """Base of every part of a recipe: frozen, and unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def _as_text(value: object) -> object:
    """Return a capability that YAML read as a number, as in --set hardware.compute_capability=8.9, as its text."""
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value}.0"
    return str(value) if isinstance(value, float) else value


class Hardware(RecipePart):
    """The devices that the recipe is written for."""

    name: str = Field("cpu", description="catalogue name of the device: cpu, b200, h100, ...; another with memory_mib")
    count: PositiveInt = Field(1, description="how many devices")
    compute_capability: Annotated[str | None, BeforeValidator(_as_text)] = Field(
        None, pattern=r"^\d+\.\d$", description="CUDA compute capability, such as '12.0'"
    )
    memory_mib: Annotated[int | None, Field(ge=1, le=1 << 30)] = Field(
        None, description="memory of one device in MiB, as nvidia-smi prints it; the catalogue's by default"
    )
    bandwidth_gbs: Annotated[float | None, Field(gt=0, le=1e9)] = Field(
        None, description="memory bandwidth of one device in GB/s; the catalogue's by default"
    )


class Parallel(RecipePart):
    """Sizes of the parallel groups."""

    tensor: PositiveInt = Field(1, description="tensor parallel size")
    expert: PositiveInt = Field(1, description="expert parallel size")
    pipeline: PositiveInt = Field(1, description="pipeline parallel size")
    data: PositiveInt = Field(1, description="data parallel size")


class Limits(RecipePart):
    """What one server accepts at a time, in sequences and tokens."""

    max_batch_size: PositiveInt = Field(8, description="sequences in flight, each with its own state slot")
    max_num_tokens: PositiveInt = Field(512, description="tokens in one step, over all sequences")
    max_seq_len: PositiveInt = Field(32768, description="tokens of one sequence, prompt and answer together")


class KvCache(RecipePart):
    """How keys and values of the attention layers are kept."""

    dtype: Literal["auto", "bfloat16", "float16", "float32", "fp8"] = Field("auto", description="element type")


class Speculation(RecipePart):
    """Drafting with the checkpoint's own MTP head."""

    draft_tokens: Annotated[int, Field(ge=0, le=16)] = Field(0, description="tokens drafted per step; 0 is off")


class Parsers(RecipePart):
    """Names of the output parsers; their meaning belongs to the runtime."""

    reasoning: str | None = Field(None, description="parser that separates thinking from the answer")
    tool: str | None = Field(None, description="parser that reads tool calls")


class ServerAddress(RecipePart):
    """Where the OpenAI-compatible server listens."""

    host: str = Field("127.0.0.1", description="address to bind")
    port: Annotated[int, Field(ge=0, le=65535)] = Field(8123, description="TCP port; 0 lets the system choose")


class Sampling(RecipePart):
    """Sampling that applies where a request says nothing."""

    temperature: Annotated[float, Field(ge=0, le=10)] = Field(1.0, description="0 is greedy")
    top_p: Annotated[float, Field(gt=0, le=1)] = Field(1.0, description="nucleus mass kept")
    top_k: Annotated[int, Field(ge=0)] = Field(0, description="candidates kept; 0 keeps all")


class SharedFields(RecipePart):
    """All that a recipe says in neutral names, whatever its runtime."""

    description: str = Field("", description="one line for `trtnemo recipes list`")
    checkpoint: str = Field("tiny", description="directory, hub id, or 'tiny' for the embedded one")
    revision: str | None = Field(None, description="hub revision: branch, tag or commit")
    served_model_names: tuple[str, ...] = Field((), description="names that clients may use; the first is reported")
    hardware: Hardware = Field(default_factory=Hardware)
    parallel: Parallel = Field(default_factory=Parallel)
    limits: Limits = Field(default_factory=Limits)
    kv_cache: KvCache = Field(default_factory=KvCache)
    speculation: Speculation = Field(default_factory=Speculation)
    parsers: Parsers = Field(default_factory=Parsers)
    server: ServerAddress = Field(default_factory=ServerAddress)
    sampling: Sampling = Field(default_factory=Sampling)
