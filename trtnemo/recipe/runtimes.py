"""One recipe type per runtime, distinguished by the field `runtime`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, Literal, Union

from pydantic import BeforeValidator, ConfigDict, Field, TypeAdapter, WithJsonSchema, create_model

from trtnemo.files.path_word import PathWord
from trtnemo.formats.registry import reasoning_formats, tool_formats
from trtnemo.front.options import FrontSection
from trtnemo.recipe.cluster import Cluster
from trtnemo.recipe.external import EXTERNAL, ExternalSection
from trtnemo.recipe.nearest import suggestion
from trtnemo.recipe.shared import PositiveInt, RecipePart, ServerAddress, SharedFields


def _one_of(names: Iterable[str]) -> tuple[BeforeValidator, WithJsonSchema]:
    """Return what makes a text one of the names of registered chat formats, for pydantic and for the JSON schema."""
    known = tuple(names)

    def check(name: object) -> object:
        if isinstance(name, str) and name not in known:
            raise ValueError(f"{name!r} is not one of: {', '.join(known)}{suggestion(name, known)}")
        return name

    return BeforeValidator(check), WithJsonSchema({"enum": list(known), "type": "string"})


_REASONING, _TOOL = _one_of(reasoning_formats()), _one_of(tool_formats())
ReasoningParser = Annotated[str, _REASONING[0], _REASONING[1]]
ToolParser = Annotated[str, _TOOL[0], _TOOL[1]]


class CpuSection(RecipePart):
    """Options of our own CPU runtime."""

    threads: PositiveInt | None = Field(
        None, description="worker threads; absent means the processors that affinity and cgroup leave"
    )
    lock_memory: bool = Field(
        False, description="read the weights at start and lock them in memory, so that none is dropped or read again"
    )
    huge_pages: bool = Field(
        False, description="ask for huge pages under the weights; kernel and file system may give none"
    )
    lowering: Literal["auto", "native", "torch"] = Field(
        "auto", description="compiled kernels, or the plain torch reference; auto is native where it was compiled"
    )
    activations: Literal["int16", "int8"] = Field(
        "int16",
        description="whole numbers that activations become, block by block, where they meet NVFP4 weights",
    )
    ssm_state: Literal["float32", "float16"] = Field(
        "float32", description="element type of recurrent states; float16 uses stochastic rounding at each token"
    )
    kv_tokens: PositiveInt | None = Field(
        None, description="tokens of KV cache over all sequences; absent means max_batch_size x max_seq_len"
    )
    prefix_cache_mib: Annotated[int, Field(ge=0)] = Field(
        100, description="MiB for states of prompt prefixes that later prompts may share; 0 turns it off"
    )
    max_waiting: PositiveInt = Field(256, description="requests that may wait for a slot; more are refused with 429")


class TensorrtSection(RecipePart):
    """Options of our own TensorRT runtime."""

    flavor: Literal["auto", "rtx", "full"] = Field("auto", description="TensorRT for RTX or full TensorRT")
    compute: Literal["native", "weight_only"] = Field(
        "native",
        description="matrix products of a prefill: in the weights' format, or dequantized to the activations' type",
    )
    matmul_dtype: Literal["bfloat16", "float16", "float32"] = Field(
        "bfloat16", description="element type of matrix products, and of the KV cache where that is auto"
    )
    cuda_graphs: bool = Field(True, description="capture decode steps of TensorRT for RTX as CUDA graphs")
    prefill_rows: PositiveInt = Field(512, description="prompt tokens in one run of a plan")


class CudaSection(RecipePart):
    """Options of our own CUDA runtime."""

    compile_ahead: bool = Field(
        True, description="compile kernels into the engine; false leaves it to the machine with the device"
    )
    kv_tokens: PositiveInt | None = Field(
        None, description="tokens of KV cache over all sequences; absent means max_batch_size x max_seq_len"
    )
    ssm_state: Literal["float32", "float16"] = Field(
        "float32", description="element type of recurrent states; float16 uses stochastic rounding every 4 tokens"
    )
    fp8_drafts: bool = Field(
        False, description="let the draft head read FP8 copies of what it reads most; no answer changes, drafts may"
    )
    native_fp4: bool = Field(
        False,
        description="round rows of prompts to NVFP4 where they meet NVFP4 experts (10.x and 12.x): faster, coarser",
    )
    native_fp8: bool = Field(
        False, description="round prompts' rows to FP8 where they meet FP8 weights, from 8.9 on: faster, coarser"
    )
    prefix_cache_mib: Annotated[int, Field(ge=0)] = Field(
        512, description="MiB of the device for states of prompt prefixes that later prompts may share; 0 turns it off"
    )


class OwnParsers(RecipePart):
    """The output parsers of our own server, under the names that other servers give the same ones."""

    reasoning: ReasoningParser | None = Field(None, description="parser that separates thinking from the answer")
    tool: ToolParser | None = Field(None, description="parser that reads tool calls")


class OwnSpeculation(RecipePart):
    """Drafting with the checkpoint's own MTP head, as our own runtimes do it."""

    draft_tokens: Annotated[int, Field(ge=0, le=6)] = Field(0, description="tokens drafted per step; 0 is off")
    adaptive: bool = Field(True, description="draft fewer tokens, or none, while measured acceptance and cost say so")


class OwnServer(ServerAddress, FrontSection):
    """Our own server: where it listens, who may ask, how much, and what it keeps."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kept_responses: Annotated[int, Field(ge=0)] = Field(
        256, description="responses of /v1/responses that can be asked for again; 0 keeps none"
    )
    kept_mib: PositiveInt = Field(64, description="MiB that they may take together")
    kept_minutes: PositiveInt = Field(60, description="minutes that each is kept")


class CpuServer(OwnServer):
    """The server of our own CPU runtime, which can keep states of prompts on disk."""

    prefix_dir: PathWord | None = Field(
        None, description="directory of states of long prompts, which outlive the server; as private as the prompts"
    )
    prefix_dir_gib: Annotated[float, Field(gt=0, le=1 << 20)] = Field(
        8.0, description="GiB that its files may take, those of all engines together"
    )


class OwnFields(SharedFields):
    """What the recipes of our own runtimes share."""

    parsers: OwnParsers = Field(default_factory=OwnParsers)  # type: ignore[assignment]
    speculation: OwnSpeculation = Field(default_factory=OwnSpeculation)  # type: ignore[assignment]
    server: OwnServer = Field(default_factory=OwnServer)


class CpuRecipe(OwnFields):
    """Serve from our own CPU runtime, in process."""

    runtime: Literal["cpu"]
    server: CpuServer = Field(default_factory=CpuServer)
    cpu: CpuSection = Field(default_factory=CpuSection)


class TensorrtRecipe(OwnFields):
    """Serve from serialized TensorRT plans."""

    runtime: Literal["tensorrt"]
    tensorrt: TensorrtSection = Field(default_factory=TensorrtSection)


class CudaRecipe(OwnFields):
    """Serve from our own kernels on an NVIDIA GPU."""

    runtime: Literal["cuda"]
    cuda: CudaSection = Field(default_factory=CudaSection)


class ExternalRecipe(SharedFields):
    """Serve with a server that is not ours; its section stands under the server's own name."""

    runtime: str
    cluster: Cluster = Field(default_factory=Cluster)

    @property
    def section(self) -> ExternalSection:
        """The part of the recipe that is in its server's own words."""
        section: ExternalSection = getattr(self, self.runtime)
        return section


def _external_recipe(server: str, section: type[ExternalSection]) -> type[ExternalRecipe]:
    fields: dict[str, Any] = {"runtime": (Literal[server], ...), server: (section, Field(default_factory=section))}
    name = f"{server.title().replace('_', '')}Recipe"
    return create_model(name, __base__=ExternalRecipe, __doc__=f"Serve with {server}.", **fields)


OwnRecipe = CpuRecipe | TensorrtRecipe | CudaRecipe
AnyRecipe = OwnRecipe | ExternalRecipe
RECIPE_TYPES: dict[str, type[SharedFields]] = {
    "cpu": CpuRecipe,
    "tensorrt": TensorrtRecipe,
    "cuda": CudaRecipe,
    **{server: _external_recipe(server, section) for server, section in EXTERNAL.items()},
}
OWN_RUNTIMES = tuple(name for name, kind in RECIPE_TYPES.items() if name not in EXTERNAL)
_UNION: Any = Union[tuple(RECIPE_TYPES.values())]  # noqa: UP007 - made at run time, of every server's type
ADAPTER: TypeAdapter[AnyRecipe] = TypeAdapter(Annotated[_UNION, Field(discriminator="runtime")])


def json_schema() -> dict[str, Any]:
    """Return the JSON schema of all recipes, for editors and other tools."""
    schema = ADAPTER.json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "trtnemo recipe", **schema}
