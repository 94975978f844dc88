"""vLLM: `vllm serve`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from trtnemo.launch.servers.family_rules import Parsers, heads_issue, parser_issues
from trtnemo.launch.servers.invocation import Invocation, StartFile
from trtnemo.launch.servers.server import LoggedStart, Server
from trtnemo.launch.servers.surface import Surface
from trtnemo.launch.servers.vllm import free_share, issues, start_checks, transfer_issues
from trtnemo.launch.servers.vllm.dialect import DIALECT
from trtnemo.launch.servers.vllm.in_cluster import IN_CLUSTER
from trtnemo.launch.servers.vllm.memory import MEMORY, MEMORY_UNCOUNTED, SHARE, default_share
from trtnemo.launch.servers.vllm.metrics import METRICS
from trtnemo.launch.servers.vllm.start_log import read_start_log
from trtnemo.launch.servers.vllm.watch import STAGES, WATCH
from trtnemo.plan.element_types import cache_type, state_type
from trtnemo.plan.hardware import Device
from trtnemo.plan.network import Network

PLUGIN = Path(__file__).resolve().parent / "super_v3_reasoning_parser.py"
PLUGIN_OPTION = "--reasoning-parser-plugin"
PLUGIN_PARSER = "super_v3"
_MODULES = ("vllm.entrypoints.openai.api_server", "vllm.entrypoints.cli.main")
_PARSERS = Parsers(
    tool_option="--tool-call-parser",
    reasoning_option="--reasoning-parser",
    tools=("qwen3_coder", "qwen3_xml"),
    reasonings=("nemotron_v3", "deepseek_r1"),
    plugins=("--tool-parser-plugin", PLUGIN_OPTION),
)
_FAMILY = (*parser_issues("vllm", _PARSERS), heads_issue("vllm", "--tensor-parallel-size"))


class Vllm(Server):
    """vLLM."""

    dialect = DIALECT
    program = module = package = "vllm"
    image = "vllm"
    neutral = {  # noqa: RUF012 - a ClassVar of the protocol
        "revision": "--revision",
        "served_model_names": "--served-model-name",
        "parallel.tensor": "--tensor-parallel-size",
        "parallel.expert": "",
        "parallel.pipeline": "--pipeline-parallel-size",
        "parallel.data": "--data-parallel-size",
        "limits.max_batch_size": "--max-num-seqs",
        "limits.max_num_tokens": "--max-num-batched-tokens",
        "limits.max_seq_len": "--max-model-len",
        "kv_cache.dtype": "--kv-cache-dtype",
        "speculation.draft_tokens": "",
        "parsers.reasoning": "--reasoning-parser",
        "parsers.tool": "--tool-call-parser",
        "server.host": "--host",
        "server.port": "--port",
    }
    memory = MEMORY
    stages = STAGES
    watch = WATCH
    in_cluster = IN_CLUSTER
    faulty_streams_until = "0.22.0"  # its wheel and that of 0.20.0 have it, that of 0.33.0 has not
    metrics = METRICS
    probe = Path(__file__).resolve().parent / "probe" / "probe.py"
    issues = (*issues.ISSUES, *start_checks.ISSUES, *free_share.ISSUES, *transfer_issues.ISSUES, *_FAMILY)
    proof = "recipes taken by the engine configuration of the 0.20.0 wheel, on a stated GPU"

    def spelled(self, field: str, value: Any) -> Any:
        """Return a neutral field's value; it answers to any number of names."""
        return list(value) if field == "served_model_names" else value

    def special(self, field: str, value: Any, surface: Surface) -> dict[str, Any]:
        """Return expert parallelism as the switch that it is, and drafting as one object."""
        if field == "parallel.expert":
            return {"--enable-expert-parallel": True} if value > 1 else {}
        return {"--speculative-config": {"method": "mtp", "num_speculative_tokens": value}} if value else {}

    def implied(self, option: str, value: Any) -> dict[str, Any]:
        """Return our plug-in for the parser that it registers, and the switch without which tool parsers do nothing."""
        if option == "--reasoning-parser" and value == PLUGIN_PARSER:
            return {PLUGIN_OPTION: PLUGIN.name}
        return {"--enable-auto-tool-choice": True} if option == "--tool-call-parser" else {}

    def files(self, invocation: Invocation) -> list[StartFile]:
        """Return our reasoning plug-in, where it is named."""
        if invocation.options.get(PLUGIN_OPTION) != PLUGIN.name:
            return []
        return [StartFile(PLUGIN.name, PLUGIN_OPTION, PLUGIN.name, f"/app/{PLUGIN.name}", PLUGIN)]

    def replaced(self, invocation: Invocation) -> frozenset[str]:
        """Return the plug-in's option where the parser is the one that our own plug-in registers."""
        is_ours = invocation.options.get("--reasoning-parser") == PLUGIN_PARSER
        return frozenset({PLUGIN_OPTION}) if is_ours else frozenset()

    def words_after_start(self, words: Sequence[str]) -> list[str] | None:
        """Return the words after `vllm serve` or one of its modules."""
        if PurePosixPath(words[0]).name == self.program and list(words[1:2]) == ["serve"]:
            return list(words[2:])
        if words[0] not in _MODULES:
            return None
        return list(words[2:] if list(words[1:2]) == ["serve"] else words[1:])

    def logged_start(self, text: str) -> LoggedStart | None:
        """Return the start that a log tells of, by its line of arguments that are not the defaults."""
        return read_start_log(text)

    def deployment(self, invocation: Invocation, network: Network) -> dict[str, Any]:
        """Return what a plan needs; defaults are those for devices of 70 GiB and more."""
        speculative = invocation.option("--speculative-config") or {}
        drafts = speculative.get("num_speculative_tokens", 0) if isinstance(speculative, Mapping) else 0
        tensor, data = (invocation.count(name, 1) for name in ("--tensor-parallel-size", "--data-parallel-size"))
        return {
            "memory": MEMORY if _counts_blocks(invocation) else MEMORY_UNCOUNTED,
            "tensor": tensor,
            "data": data,
            "expert": tensor * data if invocation.option("--enable-expert-parallel") else 1,
            "pipeline": invocation.option("--pipeline-parallel-size") or 1,
            "max_batch_size": invocation.option("--max-num-seqs") or 1024,
            "max_num_tokens": invocation.option("--max-num-batched-tokens") or 8192,
            "max_seq_len": invocation.option("--max-model-len") or network.config.max_position_embeddings,
            "kv_dtype": cache_type(invocation.option("--kv-cache-dtype"), network),
            "ssm_dtype": state_type(invocation.option("--mamba-ssm-cache-dtype")),
            "draft_tokens": drafts,
            "memory_fraction": invocation.option(SHARE) or default_share(invocation.surface),
            "block_reuse": bool(invocation.option("--enable-prefix-caching")),
        }

    def replicas(self, invocation: Invocation) -> Any:
        """Return the copies of data parallelism."""
        return invocation.option("--data-parallel-size") or 1

    def sizes_on(self, device: Device | None, invocation: Invocation) -> dict[str, Any]:
        """Return 256 sequences and 2,048 tokens a step for devices of less than 70 GiB and for the A100."""
        lesser = {"max_batch_size": ("--max-num-seqs", 256), "max_num_tokens": ("--max-num-batched-tokens", 2048)}
        is_lesser = device is not None and _is_small(device)
        return {field: size for field, (name, size) in lesser.items() if is_lesser and not invocation.option(name)}


def _is_small(device: Device) -> bool:
    """Return whether vLLM takes its lesser defaults (get_batch_defaults in vllm/engine/arg_utils.py)."""
    return device.memory_bytes < 70 << 30 or "a100" in device.title.lower()


def _counts_blocks(invocation: Invocation) -> bool:
    """Return whether the start has full CUDA graphs, and a pool that its share of the memory sizes."""
    by_hand = ("--num-gpu-blocks-override", "--kv-cache-memory-bytes")
    if invocation.option("--enforce-eager") or any(invocation.option(name) is not None for name in by_hand):
        return False
    compilation = invocation.option("--compilation-config")
    mode = compilation.get("cudagraph_mode") if isinstance(compilation, Mapping) else None
    return mode is None or "FULL" in str(mode).upper()


SERVER = Vllm()
