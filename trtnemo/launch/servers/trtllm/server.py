"""TensorRT-LLM: `trtllm-serve`, with a YAML file of LLM arguments beside its options."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from trtnemo.errors import UsageError
from trtnemo.launch.servers.family_rules import Parsers, parser_issues
from trtnemo.launch.servers.invocation import Invocation, StartFile
from trtnemo.launch.servers.server import Server, Several
from trtnemo.launch.servers.settings import effective_settings
from trtnemo.launch.servers.spelling import one_name
from trtnemo.launch.servers.surface import Surface
from trtnemo.launch.servers.trtllm import issues, memory_issues, refusals, transfer_issues
from trtnemo.launch.servers.trtllm.dialect import DIALECT
from trtnemo.launch.servers.trtllm.disaggregated import read_disaggregated
from trtnemo.launch.servers.trtllm.in_cluster import IN_CLUSTER
from trtnemo.launch.servers.trtllm.memory import MEMORY
from trtnemo.launch.servers.trtllm.metrics import METRICS
from trtnemo.launch.servers.trtllm.watch import STAGES, WATCH
from trtnemo.plan.element_types import cache_type, state_type
from trtnemo.plan.network import Network

CONFIG_FILE = "extra-llm-api-config.yml"
_OTHER_SUBCOMMANDS = ("disaggregated_mpi_worker", "mm_embedding_serve", "embeddings")
_PARSERS = Parsers(
    tool_option="--tool_parser",
    reasoning_option="--reasoning_parser",
    tools=("qwen3_coder", "auto"),
    reasonings=("nano-v3", "nemotron-v3", "deepseek-r1", "auto"),
)


class Trtllm(Server):
    """TensorRT-LLM."""

    dialect = DIALECT
    program = "trtllm-serve"
    module = package = "tensorrt_llm"
    image = "tensorrt-llm"
    neutral = {  # noqa: RUF012 - a ClassVar of the protocol
        "revision": "--hf_revision",
        "served_model_names": "--served_model_name",
        "parallel.tensor": "--tp_size",
        "parallel.expert": "--ep_size",
        "parallel.pipeline": "--pp_size",
        "limits.max_batch_size": "--max_batch_size",
        "limits.max_num_tokens": "--max_num_tokens",
        "limits.max_seq_len": "--max_seq_len",
        "kv_cache.dtype": "kv_cache_config.dtype",
        "speculation.draft_tokens": "",
        "parsers.reasoning": "--reasoning_parser",
        "parsers.tool": "--tool_parser",
        "server.host": "--host",
        "server.port": "--port",
    }
    memory = MEMORY
    stages = STAGES
    watch = WATCH
    in_cluster = IN_CLUSTER
    metrics = METRICS
    issues = (
        *issues.ISSUES,
        *memory_issues.ISSUES,
        *transfer_issues.ISSUES,
        *refusals.ISSUES,
        *parser_issues("trtllm", _PARSERS),
    )
    file_option = "--extra_llm_api_options"
    config_option = None

    def spelled(self, field: str, value: Any) -> Any:
        """Return a neutral field's value; it answers to one name."""
        return one_name(field, value) if field == "served_model_names" else value

    def special(self, field: str, value: Any, surface: Surface) -> dict[str, Any]:
        """Return the keys that switch drafting on; releases of 1.3 call the length otherwise."""
        length = "num_nextn_predict_layers" if surface.version.startswith("1.3") else "max_draft_len"
        return {"speculative_config.decoding_type": "MTP", f"speculative_config.{length}": value} if value else {}

    def files(self, invocation: Invocation) -> list[StartFile]:
        """Return the YAML file, where there is something to say in one."""
        if not invocation.llm_args:
            return []
        workdir = invocation.container.workdir if invocation.container else None
        inside = f"{workdir or '/workspace'}/{CONFIG_FILE}"
        return [StartFile(CONFIG_FILE, self.file_option, f"./{CONFIG_FILE}", inside)]

    def words_after_start(self, words: Sequence[str]) -> list[str] | None:
        """Return the words after `trtllm-serve [serve]`; raises UsageError for its other subcommands."""
        if PurePosixPath(words[0]).name != self.program:
            return None
        after = list(words[1:])
        if after[:1] == ["disaggregated"]:
            raise UsageError(
                "trtllm-serve disaggregated is checked by its YAML file, which is not in the text",
                where="--command",
                remedy="Paste the file that -c names, alone or in a here-document before the command",
            )
        if after[:1] and after[0] in _OTHER_SUBCOMMANDS:
            raise UsageError(f"trtllm-serve {after[0]} is not checked here", remedy="`trtllm-serve serve` is")
        return after[1:] if after[:1] == ["serve"] else after

    def file_of_several(self, words: Sequence[str]) -> str | None:
        """Return the file of `trtllm-serve disaggregated -c FILE`."""
        if PurePosixPath(words[0]).name != self.program or list(words[1:2]) != ["disaggregated"]:
            return None
        for place, word in enumerate(words):
            name, equals, value = word.partition("=")
            if name in ("-c", "--config_file", "--config"):
                return value if equals else next(iter(words[place + 1 :]), None)
        return None

    def several(self, content: Mapping[str, Any]) -> Several | None:
        """Return the context and generation servers of a disaggregated file."""
        return read_disaggregated(content)

    def parallel_sizes(self, invocation: Invocation) -> tuple[Any, Any]:
        """Return the sizes that hold after the file has been laid over the options."""
        settings = effective_settings(invocation)
        if settings.get("backend") == "_autodeploy":
            return settings.get("world_size", 1), 1
        return settings.get("tensor_parallel_size", 1), settings.get("pipeline_parallel_size", 1)

    def deployment(self, invocation: Invocation, network: Network) -> dict[str, Any]:
        """Return what a plan needs; defaults are those of the recorded LLM arguments."""
        settings = effective_settings(invocation)
        speculative = settings.get("speculative_config")
        speculative = speculative if isinstance(speculative, Mapping) else {}
        lengths = (speculative.get(key) for key in ("num_nextn_predict_layers", "max_draft_len"))
        return {
            "tensor": settings.get("tensor_parallel_size") or 1,
            "expert": settings.get("moe_expert_parallel_size") or 1,
            "pipeline": settings.get("pipeline_parallel_size") or 1,
            "attention_dp": bool(settings.get("enable_attention_dp")),
            "max_batch_size": settings.get("max_batch_size") or 2048,
            "max_num_tokens": settings.get("max_num_tokens") or 8192,
            "max_seq_len": settings.get("max_seq_len") or network.config.max_position_embeddings,
            "kv_dtype": cache_type(settings.get("kv_cache_config.dtype"), network),
            "ssm_dtype": state_type(settings.get("kv_cache_config.mamba_ssm_cache_dtype")),
            "draft_tokens": next((length for length in lengths if length), 0),
            "memory_fraction": settings.get("kv_cache_config.free_gpu_memory_fraction") or 0.9,
            "block_reuse": bool(settings.get("kv_cache_config.enable_block_reuse")),
            "graph_padding": bool(settings.get("cuda_graph_config.enable_padding")),
        }


SERVER = Trtllm()
