"""One recipe type per runtime, told apart by the field `runtime`."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter

from trtnemo.recipe.external import SglangSection, TrtllmSection, VllmSection
from trtnemo.recipe.shared import PositiveInt, RecipePart, SharedFields

# super_v3 is the model card's; the others are what TensorRT-LLM, vLLM, SGLang and Dynamo call it.
ReasoningParser = Literal["super_v3", "nano_v3", "nano-v3", "nemotron_v3", "nemotron-v3", "nemotron_3", "nemotron_nano"]
ToolParser = Literal["qwen3_coder", "qwen3-coder"]


class CpuSection(RecipePart):
    """Options of our own CPU runtime."""

    threads: PositiveInt | None = Field(None, description="worker threads; absent means all cores")
    lowering: Literal["auto", "native", "torch"] = Field(
        "auto", description="compiled kernels, or the plain torch reference; auto is native where it was compiled"
    )
    activations: Literal["int16", "int8"] = Field(
        "int16",
        description="whole numbers that activations become, block by block, where they meet NVFP4 weights",
    )
    ssm_state: Literal["float32", "float16"] = Field(
        "float32", description="element type of recurrent states; float16 is rounded by chance at each token"
    )
    kv_tokens: PositiveInt | None = Field(
        None, description="tokens of KV cache over all sequences; absent means max_batch_size x max_seq_len"
    )
    prefix_cache_mib: Annotated[int, Field(ge=0)] = Field(
        100, description="memory for the states of prompts' beginnings, which later prompts may share; 0 is off"
    )
    max_waiting: PositiveInt = Field(256, description="requests that may wait for a slot; more are refused with 429")


class TensorrtSection(RecipePart):
    """Options of our own TensorRT runtime."""

    flavor: Literal["auto", "rtx", "full"] = Field("auto", description="TensorRT for RTX or full TensorRT")
    compute: Literal["native", "weight_only"] = Field(
        "native", description="products of a prefill: in the weights' own format, or with activations as they are"
    )
    products: Literal["bfloat16", "float16", "float32"] = Field(
        "bfloat16", description="element type of what is multiplied as matrices"
    )
    cuda_graphs: bool = Field(True, description="capture decode steps of TensorRT for RTX as CUDA graphs")
    prefill_rows: PositiveInt = Field(512, description="prompt tokens in one run of a plan")


class OwnParsers(RecipePart):
    """The output parsers of our own server, under the names that other servers give the same ones."""

    reasoning: ReasoningParser | None = Field(None, description="parser that separates thinking from the answer")
    tool: ToolParser | None = Field(None, description="parser that reads tool calls")


class OwnSpeculation(RecipePart):
    """Drafting with the checkpoint's own MTP head, as our own runtimes do it."""

    draft_tokens: Annotated[int, Field(ge=0, le=6)] = Field(0, description="tokens drafted per step; 0 is off")
    adaptive: bool = Field(True, description="draft fewer tokens, or none, while measured acceptance and cost say so")


class CpuRecipe(SharedFields):
    """Serve from our own CPU runtime, in process."""

    runtime: Literal["cpu"]
    parsers: OwnParsers = Field(default_factory=OwnParsers)  # type: ignore[assignment]
    speculation: OwnSpeculation = Field(default_factory=OwnSpeculation)  # type: ignore[assignment]
    cpu: CpuSection = Field(default_factory=CpuSection)


class TensorrtRecipe(SharedFields):
    """Serve from serialized TensorRT plans."""

    runtime: Literal["tensorrt"]
    parsers: OwnParsers = Field(default_factory=OwnParsers)  # type: ignore[assignment]
    speculation: OwnSpeculation = Field(default_factory=OwnSpeculation)  # type: ignore[assignment]
    tensorrt: TensorrtSection = Field(default_factory=TensorrtSection)


class TrtllmRecipe(SharedFields):
    """Serve with `trtllm-serve`."""

    runtime: Literal["trtllm"]
    trtllm: TrtllmSection = Field(default_factory=TrtllmSection)


class VllmRecipe(SharedFields):
    """Serve with `vllm serve`."""

    runtime: Literal["vllm"]
    vllm: VllmSection = Field(default_factory=VllmSection)


class SglangRecipe(SharedFields):
    """Serve with `sglang.launch_server`."""

    runtime: Literal["sglang"]
    sglang: SglangSection = Field(default_factory=SglangSection)


Recipe = Annotated[
    CpuRecipe | TensorrtRecipe | TrtllmRecipe | VllmRecipe | SglangRecipe, Field(discriminator="runtime")
]
RECIPE_TYPES: dict[str, type[SharedFields]] = {
    "cpu": CpuRecipe,
    "tensorrt": TensorrtRecipe,
    "trtllm": TrtllmRecipe,
    "vllm": VllmRecipe,
    "sglang": SglangRecipe,
}
AnyRecipe = CpuRecipe | TensorrtRecipe | TrtllmRecipe | VllmRecipe | SglangRecipe
ADAPTER: TypeAdapter[AnyRecipe] = TypeAdapter(Recipe)


def json_schema() -> dict[str, Any]:
    """Return the JSON schema of all recipes, for editors and other tools."""
    schema = ADAPTER.json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "trtnemo recipe", **schema}
