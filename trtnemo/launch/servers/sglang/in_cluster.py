"""SGLang in pods, and in a worker of NVIDIA Dynamo. Sources: the wheels of SGLang 0.5.10 and of ai-dynamo 1.6.1."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from trtnemo.launch.servers.in_cluster import DynamoWorker, Half, InCluster, NodeOptions, WorkerStart, without
from trtnemo.launch.servers.invocation import Invocation
from trtnemo.launch.servers.sglang.transfer_issues import between_halves

_FRONT = frozenset(["--api-key", "--admin-api-key", "--chat-template", "--completion-template"])
_REPLACED = frozenset(["--host", "--port", "--tool-call-parser", "--reasoning-parser"])
_BOOTSTRAP_PORT, _RENDEZVOUS_PORT = 8998, 20000


def _start(invocation: Invocation, half: Half) -> WorkerStart:
    """Return the start of a worker; halves pass caches on with NIXL."""
    start = without(invocation.options, _FRONT, _REPLACED)
    if half is None:
        return start
    options: dict[str, Any] = {
        **start.options,
        "--host": "0.0.0.0",  # noqa: S104 - the other half asks its bootstrap port
        "--disaggregation-bootstrap-port": _BOOTSTRAP_PORT,
        "--disaggregation-transfer-backend": "nixl",
    }
    return replace(start, options=options)


def _metrics_need(invocation: Invocation) -> str:
    return "" if invocation.option("--enable-metrics") else "enable-metrics: true under sglang.args"


IN_CLUSTER = InCluster(
    worker=DynamoWorker(
        module="dynamo.sglang",
        image="sglang-runtime",
        model_option="--model-path",
        versions={"1.6.1": "0.5.21"},
        start=_start,
        valued=frozenset(["--gateway-workers", "--disagg-config", "--disagg-config-key", "--engine-route"]),
        passed_on=frozenset(["--disaggregation-mode", "--enable-multimodal"]),
        flags=frozenset(["--use-sglang-tokenizer", "--dedicated-mm-encoder", "--rerank-worker"]),
    ),
    nodes=NodeOptions(
        everywhere={
            "--nnodes": "{size}",
            "--node-rank": "{rank}",
            "--dist-init-addr": f"{{leader}}:{_RENDEZVOUS_PORT}",
        },
    ),
    metrics_need=_metrics_need,
    between=between_halves,
)
