"""SGLang: `python3 -m sglang.launch_server`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from trtnemo.errors import RecipeError
from trtnemo.launch.servers.family_rules import Parsers, heads_issue, parser_issues
from trtnemo.launch.servers.invocation import Invocation
from trtnemo.launch.servers.server import Server
from trtnemo.launch.servers.sglang.dialect import DIALECT, MODULE
from trtnemo.launch.servers.sglang.in_cluster import IN_CLUSTER
from trtnemo.launch.servers.sglang.issues import ISSUES
from trtnemo.launch.servers.sglang.mamba_pool import RATIO, MambaPool
from trtnemo.launch.servers.sglang.memory import MEMORY, memory_with
from trtnemo.launch.servers.sglang.metrics import METRICS
from trtnemo.launch.servers.sglang.transfer_issues import ISSUES as TRANSFER_ISSUES
from trtnemo.launch.servers.sglang.watch import STAGES, WATCH
from trtnemo.launch.servers.spelling import one_name
from trtnemo.launch.servers.surface import Surface
from trtnemo.plan.element_types import cache_type, state_type
from trtnemo.plan.network import Network

_PARSERS = Parsers(
    tool_option="--tool-call-parser",
    reasoning_option="--reasoning-parser",
    tools=("qwen3_coder", "auto"),
    reasonings=("nemotron_3", "deepseek-r1", "auto"),
)
_FAMILY = (
    *parser_issues("sglang", _PARSERS),
    heads_issue("sglang", "--tensor-parallel-size", "--enable-dp-attention"),
)


class Sglang(Server):
    """SGLang."""

    dialect = DIALECT
    program = module = package = "sglang"
    image = "sglang"
    neutral = {  # noqa: RUF012 - a ClassVar of the protocol
        "revision": "--revision",
        "served_model_names": "--served-model-name",
        "parallel.tensor": "--tp-size",
        "parallel.expert": "--ep-size",
        "parallel.pipeline": "--pp-size",
        "parallel.data": "--dp-size",
        "limits.max_batch_size": "--max-running-requests",
        "limits.max_seq_len": "--context-length",
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
    metrics = METRICS
    probe = Path(__file__).resolve().parent / "probe" / "probe.py"
    issues = (*ISSUES, *TRANSFER_ISSUES, *_FAMILY)
    proof = "recipes taken by the checks of arguments of the 0.5.10 wheel"

    def spelled(self, field: str, value: Any) -> Any:
        """Return a neutral field's value; it answers to one name, and calls FP8 by its layout."""
        if field == "served_model_names":
            return one_name(field, value)
        return "fp8_e4m3" if field == "kv_cache.dtype" and value == "fp8" else value

    def special(self, field: str, value: Any, surface: Surface) -> dict[str, Any]:
        """Return the options that switch drafting on; one verification takes the token before the drafts too."""
        if not value:
            return {}
        return {
            "--speculative-algorithm": "NEXTN",
            "--speculative-num-steps": value,
            "--speculative-eagle-topk": 1,
            "--speculative-num-draft-tokens": value + 1,
        }

    def words_after_start(self, words: Sequence[str]) -> list[str] | None:
        """Return the words after its module, or after `sglang serve`."""
        if words[0] == MODULE:
            return list(words[1:])
        is_program = PurePosixPath(words[0]).name == self.program and list(words[1:2]) == ["serve"]
        return list(words[2:]) if is_program else None

    def deployment(self, invocation: Invocation, network: Network) -> dict[str, Any]:
        """Return what a plan needs.

        Running requests and prompt chunk, which SGLang chooses at start, are taken as 48 and 8,192 (inferred).
        """
        tensor, data, shared = *_parallel(invocation), 1
        attention_dp = bool(invocation.option("--enable-dp-attention"))
        if attention_dp:
            # its replicas lie inside the tensor parallel group, and share requests and prompt chunk out among them
            data, shared = 1, tensor
        context = invocation.count("--context-length", network.config.max_position_embeddings)
        chunk = invocation.count("--chunked-prefill-size", 8192)
        pool = MambaPool(
            ratio=invocation.option("--mamba-full-memory-ratio") or RATIO,
            slots=invocation.option("--max-mamba-cache-size"),
            replicas=shared,
            is_capped=invocation.option("--max-running-requests") is not None,
        )
        return {
            "memory": memory_with(pool),
            "tensor": tensor,
            "data": data,
            "attention_dp": attention_dp,
            "expert": invocation.option("--expert-parallel-size") or 1,
            "pipeline": invocation.option("--pipeline-parallel-size") or 1,
            "max_batch_size": max(invocation.count("--max-running-requests", 48) // shared, 1),
            "max_num_tokens": context if chunk == -1 else max(chunk // shared, 1),
            "max_seq_len": context,
            "kv_dtype": cache_type(invocation.option("--kv-cache-dtype"), network),
            "ssm_dtype": state_type(invocation.option("--mamba-ssm-dtype")),
            "draft_tokens": _drafts(invocation),
            "memory_fraction": invocation.option("--mem-fraction-static") or 0.85,
            "block_reuse": not invocation.option("--disable-radix-cache"),
        }

    def replicas(self, invocation: Invocation) -> Any:
        """Return the copies of data parallelism; attention over the devices of one copy makes none."""
        return 1 if invocation.option("--enable-dp-attention") else invocation.option("--data-parallel-size") or 1


def _parallel(invocation: Invocation) -> tuple[int, int]:
    """Return (tensor, data) parallel sizes; raises RecipeError for attention over a part of the devices."""
    tensor, data = (invocation.count(name, 1) for name in ("--tensor-parallel-size", "--data-parallel-size"))
    if invocation.option("--enable-dp-attention") and data != tensor:
        raise RecipeError(
            f"attention over {data} of {tensor} devices is not planned",
            where="the recipe",
            remedy="Give --data-parallel-size as large as --tensor-parallel-size, or plan without dp attention",
        )
    return tensor, data


def _drafts(invocation: Invocation) -> int:
    if not invocation.option("--speculative-algorithm"):
        return 0
    # its draft tokens are all that one verification takes, the token before the drafts among them
    tokens = invocation.count("--speculative-num-draft-tokens", 0)
    return tokens - 1 if tokens else invocation.count("--speculative-num-steps", 3)


SERVER = Sglang()
