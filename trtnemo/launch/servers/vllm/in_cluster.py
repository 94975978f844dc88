"""vLLM in pods, and in a worker of NVIDIA Dynamo. Sources: the wheels of vLLM 0.20.0 and of ai-dynamo 1.6.1."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from trtnemo.launch.servers.in_cluster import DynamoWorker, Half, InCluster, NodeOptions, WorkerStart, without
from trtnemo.launch.servers.invocation import Invocation

# options of vLLM's HTTP front, which a worker has not: FrontendArgs in vllm/entrypoints/openai/cli_args.py
_FRONT_TEXT = """
    --uds --uvicorn-log-level --disable-uvicorn-access-log --allow-credentials --allowed-origins --allowed-methods
    --allowed-headers --api-key --lora-modules --chat-template --chat-template-content-format
    --trust-request-chat-template --default-chat-template-kwargs --response-role --ssl-keyfile --ssl-certfile
    --ssl-ca-certs --enable-ssl-refresh --ssl-cert-reqs --root-path --middleware --return-tokens-as-token-ids
 --enable-request-id-headers --exclude-tools-when-tool-choice-none
    --tool-parser-plugin --tool-server --log-config-file --max-log-len --disable-fastapi-docs
    --enable-prompt-tokens-details --enable-server-load-tracking --enable-force-include-usage
    --enable-tokenizer-info-endpoint --enable-log-outputs --h11-max-incomplete-event-size --h11-max-header-count
    --log-error-stack --tokens-only --enable-offline-docs --shutdown-timeout --api-server-count --config --grpc
    --max-num-queued-reqs --max-num-queued-tokens
"""
_FRONT = frozenset(_FRONT_TEXT.split())
# what Dynamo's own front does in their place
_REPLACED_TEXT = """
    --host --port --enable-auto-tool-choice --tool-call-parser --reasoning-parser --reasoning-parser-plugin
    --shutdown-timeout
"""
_REPLACED = frozenset(_REPLACED_TEXT.split())
_ROLES = {"prefill": "kv_producer", "decode": "kv_consumer"}


def _start(invocation: Invocation, half: Half) -> WorkerStart:
    """Return the start of a worker; halves pass caches on with NIXL, states of Mamba in the layout that it takes."""
    start = without(invocation.options, _FRONT, _REPLACED)
    if half is None:
        return start
    options: dict[str, Any] = dict(start.options)
    options["--kv-transfer-config"] = {"kv_connector": "NixlConnector", "kv_role": _ROLES[half]}
    manager = invocation.surface.find("--disable-hybrid-kv-cache-manager")
    if manager is not None and manager.negatives:
        options[manager.name] = False
    return replace(start, options=options, env={"VLLM_SSM_CONV_STATE_LAYOUT": "DS"})


IN_CLUSTER = InCluster(
    worker=DynamoWorker(
        module="dynamo.vllm",
        image="vllm-runtime",
        model_option="--model",
        versions={"1.6.1": "0.31.0"},
        start=_start,
        valued=frozenset(["--mm-prompt-template", "--custom-encoder-class", "--embedding-worker-processes"])
        | frozenset(["--model-express-url", "--benchmark-mode", "--benchmark-points-file", "--benchmark-output-path"]),
        flags=frozenset(["--use-vllm-tokenizer", "--route-to-encoder", "--realtime", "--gms-shadow-mode"]),
    ),
    nodes=NodeOptions(
        everywhere={"--nnodes": "{size}", "--node-rank": "{rank}", "--master-addr": "{leader}"},
        followers={"--headless": True},
    ),
    drain_option="--shutdown-timeout",
    caches=("VLLM_CACHE_ROOT",),
)
