"""`render --as dynamo`: a DynamoGraphDeployment (v1beta1), whole workers or halves of a server that is taken apart."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import yaml

from trtnemo.errors import RecipeError
from trtnemo.findings import ordered
from trtnemo.launch.check import check_invocation
from trtnemo.launch.render.form import Form, Source
from trtnemo.launch.render.manifest.placement import gpus_of_a_pod, quantity, require_whole
from trtnemo.launch.render.manifest.pod import START_SECONDS, environment, pod_spec, secret_notes, server_container
from trtnemo.launch.render.manifest.text import manifest_text, verbatim
from trtnemo.launch.render.manifest.weights import weight_objects
from trtnemo.launch.render.manifest.workload import GRACE_SECONDS, Workload, workload
from trtnemo.launch.render.words import words_of_options
from trtnemo.launch.servers.in_cluster import NO_WORKER, Half, WorkerStart
from trtnemo.launch.servers.surface import choose_surface
from trtnemo.recipe.cluster import Role

_REGISTRY = "nvcr.io/nvidia/ai-dynamo"
_PARSERS = ["--dyn-reasoning-parser", "nemotron_nano", "--dyn-tool-call-parser", "nemotron_nano"]
_HTTP_PORT, _SYSTEM_PORT = 8000, 9090
_CONFIG = "/config/engine.yaml"
_PERIOD = 10


def render_dynamo(source: Source) -> str:
    """Return the graph of a recipe; raises RecipeError for what a worker of Dynamo cannot be."""
    work = workload(source, halves=True)
    if work.in_cluster.worker is NO_WORKER:
        raise RecipeError(f"{work.start.server} has no worker of NVIDIA Dynamo", remedy="render --as kubernetes")
    work = dataclasses.replace(work, start=dataclasses.replace(work.start, files=()))
    components, objects, notes = [_frontend(work)], [], [*work.notes, *secret_notes(work), _version_note(work)]
    for half, role in _halves(work):
        start = work.in_cluster.worker.start(work.start, half)
        components.append(_worker(work, half, role, start))
        objects += _config(work, half, start)
        notes += [*start.notes, *_told(work, start)]
    graph = {
        "apiVersion": "nvidia.com/v1beta1",
        "kind": "DynamoGraphDeployment",
        "metadata": work.metadata,
        "spec": {"backendFramework": work.start.server, "components": components},
    }
    weights = weight_objects(work.weights, work.recipe, _image(work), work.metadata)
    return manifest_text(work.title, dict.fromkeys(notes), [*weights, *objects, graph])


def _halves(work: Workload) -> list[tuple[Half, Role]]:
    apart = work.recipe.cluster.disaggregation
    if apart is None:
        return [(None, Role(replicas=work.recipe.cluster.replicas))]
    return [("prefill", apart.prefill), ("decode", apart.decode)]


def _image(work: Workload) -> str:
    return f"{_REGISTRY}/{work.in_cluster.worker.image}:{work.recipe.cluster.dynamo}"


def _version_note(work: Workload) -> str:
    """Return that another version runs than the one that the recipe is written for."""
    release, asked = work.recipe.cluster.dynamo, work.start.version or "no version"
    brought, title = _brought(work), work.start.surface.dialect.title
    if brought is None:
        return f"Which {title} Dynamo {release} brings is not known here; the recipe is written for {asked}"
    return f"Dynamo {release} brings {title} {brought}; the recipe is written for {asked}"


def _brought(work: Workload) -> str | None:
    return work.in_cluster.worker.versions.get(work.recipe.cluster.dynamo)


def _told(work: Workload, start: WorkerStart) -> Iterator[str]:
    """Yield what the nearest record of the version that Dynamo brings has against a worker's start."""
    record = choose_surface(work.start.server, _brought(work))
    spelled = work.in_cluster.worker.spelled
    options = {spelled.get(name, name): value for name, value in start.options.items()}
    # a worker publishes no port, and listens in Dynamo's way
    there = dataclasses.replace(
        work.start,
        container=None,
        record=record,
        options=options,
        llm_args=start.llm_args,
        env={**work.start.env, **start.env},
    )
    for finding in ordered(check_invocation(there).findings):
        if finding.severity != "note":
            yield f"By the record of {record.surface.title}: {finding.subject}: {finding.text}"


def _frontend(work: Workload) -> dict[str, Any]:
    """Return the component that clients ask; it reads the tokenizer, so it has the weights' volume too."""
    ask = {"path": "/health", "port": _HTTP_PORT}
    container = {
        "name": "main",
        "image": _image(work),
        "command": ["python3", "-m", "dynamo.frontend"],
        "args": ["--http-port", str(_HTTP_PORT), "--router-mode", "round-robin"],
        "env": [
            {"name": "HF_HUB_OFFLINE", "value": "1"},
            {"name": "DYN_MIGRATION_LIMIT", "value": "3"},
            # in-flight streams have 5 seconds by default
            {"name": "DYN_HTTP_GRACEFUL_SHUTDOWN_TIMEOUT_SECS", "value": str(GRACE_SECONDS - 2 * _PERIOD)},
        ],
        "startupProbe": {"httpGet": ask, "periodSeconds": _PERIOD, "failureThreshold": START_SECONDS // _PERIOD},
    }
    pod = pod_spec(work, container, shared_memory=False)
    for only_for_gpus in ("nodeSelector", "tolerations"):
        pod.pop(only_for_gpus, None)
    return {"name": "Frontend", "type": "frontend", "replicas": 1, "podTemplate": {"spec": pod}}


def _worker(work: Workload, half: Half, role: Role, start: WorkerStart) -> dict[str, Any]:
    nodes = work.recipe.cluster.nodes
    require_whole(half, role, work.gpus)
    gpus = gpus_of_a_pod(work.gpus, nodes)
    container = {
        **server_container(work, _image(work), gpus),
        "name": "main",
        "command": ["python3", "-m", work.in_cluster.worker.module],
        "args": [verbatim(word) for word in _words(work, half, start)],
        # Dynamo's images run as user 1000, whom an added capability does not reach
        "securityContext": {"runAsUser": 0, "capabilities": {"add": ["IPC_LOCK"]}},
        **_probes(),
    }
    container["env"] = [*environment(work), *_variables(start)]
    if start.llm_args:
        container["volumeMounts"] = [{"name": "config", "mountPath": "/config", "readOnly": True}]
    # the operator mounts what `sharedMemorySize` says
    pod = pod_spec(work, container, shared_memory=False)
    if start.llm_args:
        pod["volumes"].append({"name": "config", "configMap": {"name": _config_name(work, half)}})
    component: dict[str, Any] = {
        "name": "Worker" if half is None else f"{half.title()}Worker",
        "type": half or "worker",
        "replicas": role.replicas,
        "sharedMemorySize": quantity(work.start.container.shm_size if work.start.container else None),
    }
    if nodes > 1:
        component["multinode"] = {"nodeCount": nodes}
    return {**component, "podTemplate": {"spec": pod}}


def _words(work: Workload, half: Half, start: WorkerStart) -> list[str]:
    worker = work.in_cluster.worker
    words = [worker.model_option, work.start.model]
    words += words_of_options(work.start.surface, start.options)
    if start.llm_args:
        words += ["--extra-engine-args", _CONFIG]
    words += ["--disaggregation-mode", half] if half is not None else []
    return [*words, *_PARSERS]


def _variables(start: WorkerStart) -> list[dict[str, Any]]:
    given = {"DYN_HEALTH_CHECK_ENABLED": "true", "PYTHONHASHSEED": "0", **start.env}
    return [{"name": name, "value": value} for name, value in given.items()]


def _probes() -> dict[str, Any]:
    """Return the probes of a worker; by the operator's own, one late answer restarts it."""
    ask = {"path": "/live", "port": _SYSTEM_PORT}
    return {
        "startupProbe": {"httpGet": ask, "periodSeconds": _PERIOD, "failureThreshold": START_SECONDS // _PERIOD},
        "livenessProbe": {"httpGet": ask, "periodSeconds": _PERIOD, "timeoutSeconds": _PERIOD, "failureThreshold": 6},
    }


def _config_name(work: Workload, half: Half) -> str:
    return f"{work.name}-{half or 'worker'}-config"


def _config(work: Workload, half: Half, start: WorkerStart) -> list[dict[str, Any]]:
    if not start.llm_args:
        return []
    text = yaml.safe_dump(dict(start.llm_args), sort_keys=False, allow_unicode=True)
    metadata = {**work.metadata, "name": _config_name(work, half)}
    return [{"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"engine.yaml": text}}]


FORM = Form(render_dynamo, is_manifest=True)
