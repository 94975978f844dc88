"""The pod of a server: one container, its files, its volumes, and how it is asked for its health."""

from __future__ import annotations

from typing import Any

from trtnemo.launch.render.manifest.placement import node_choice, quantity, resources
from trtnemo.launch.render.manifest.text import verbatim
from trtnemo.launch.render.manifest.weights import waiting_container, weight_mount, weight_volume
from trtnemo.launch.render.manifest.workload import FORGET_SECONDS, GRACE_SECONDS, Workload
from trtnemo.launch.render.words import file_text
from trtnemo.launch.servers.registry import find_server

CACHE = "/cache"
SHARED_MEMORY = "shared-memory"
# caches of compiled kernels that more than one server has
_CACHES = ("TRITON_CACHE_DIR", "TORCHINDUCTOR_CACHE_DIR", "HF_MODULES_CACHE")
_HUB_TOKEN = "HF_TOKEN"  # noqa: S105 - the name of a variable
START_SECONDS = 1800
_PERIOD = 10


def pod_spec(workload: Workload, container: dict[str, Any], *, shared_memory: bool = True) -> dict[str, Any]:
    """Return the pod around a container, with `shared_memory` of its own or without."""
    cluster = workload.recipe.cluster
    mounts = [mount for mount in _mounts(workload) if shared_memory or mount["name"] != SHARED_MEMORY]
    volumes = [volume for volume in _volumes(workload) if shared_memory or volume["name"] != SHARED_MEMORY]
    container = {**container, "volumeMounts": [*container.get("volumeMounts", ()), *mounts]}
    spec: dict[str, Any] = {
        "terminationGracePeriodSeconds": GRACE_SECONDS,
        "automountServiceAccountToken": False,
        # a Service called `vllm` would set VLLM_PORT
        "enableServiceLinks": False,
        **node_choice(workload.recipe)[0],
    }
    waiting = waiting_container(workload.weights, container["image"])
    if waiting:
        spec["initContainers"] = waiting
    spec |= {"containers": [container], "volumes": volumes}
    if cluster.image_pull_secrets:
        spec["imagePullSecrets"] = [{"name": secret} for secret in cluster.image_pull_secrets]
    return spec


def server_container(workload: Workload, image: str, gpus: int) -> dict[str, Any]:
    """Return a container of the server's image with so many GPUs; its command is still to be said."""
    return {
        "name": "server",
        "image": image,
        "env": environment(workload),
        "resources": resources(workload.recipe, gpus),
        # pinned memory: a pod has no ulimit for it
        "securityContext": {"capabilities": {"add": ["IPC_LOCK"]}},
    }


def serving(workload: Workload, container: dict[str, Any]) -> dict[str, Any]:
    """Return a container that clients and Kubernetes ask: its port, its probes, and what it does before it ends."""
    server = find_server(workload.start.server)
    ask = {"path": server.health, "port": "http"}
    patience = int(2.5 * server.watch.health_patience)
    often = {"periodSeconds": max(_PERIOD, int(server.watch.health_seconds)), "timeoutSeconds": min(patience, 25)}
    return {
        **container,
        "ports": [{"name": "http", "containerPort": workload.start.port}],
        "startupProbe": {
            "httpGet": ask,
            "periodSeconds": _PERIOD,
            "timeoutSeconds": _PERIOD,
            "failureThreshold": START_SECONDS // _PERIOD,
        },
        "readinessProbe": {"httpGet": ask, **often, "failureThreshold": 3},
        "livenessProbe": {"httpGet": ask, **often, "failureThreshold": 6},
        # until endpoints are gone: the server refuses new requests as soon as it is told to end
        "lifecycle": {"preStop": {"exec": {"command": ["sleep", str(FORGET_SECONDS)]}}},
    }


def environment(workload: Workload) -> list[dict[str, Any]]:
    """Return the variables of a container: the recipe's, secrets by reference, and writable places for caches."""
    given = workload.start.env
    found: list[dict[str, Any]] = []
    for name, value in given.items():
        if value is not None:
            found.append({"name": name, "value": verbatim(value)})
        elif name != _HUB_TOKEN:
            key = {"name": secret_name(workload), "key": name}
            found.append({"name": name, "valueFrom": {"secretKeyRef": key}})
    ours = {"HF_HUB_OFFLINE": "1"}
    ours |= {name: f"{CACHE}/{name.lower()}" for name in (*_CACHES, *workload.in_cluster.caches)}
    return [*found, *({"name": name, "value": value} for name, value in ours.items() if name not in given)]


def secret_name(workload: Workload) -> str:
    """Return the Secret that holds what the recipe passes on by name."""
    return f"{workload.name}-env"


def secret_notes(workload: Workload) -> list[str]:
    """Return how to make the Secrets that the pods name."""
    names = [name for name, value in workload.start.env.items() if value is None and name != _HUB_TOKEN]
    if not names:
        return []
    return [
        f"Make a Secret {secret_name(workload)} with {', '.join(names)}: kubectl create secret generic --from-env-file"
    ]


def files_map(workload: Workload) -> list[dict[str, Any]]:
    """Return the ConfigMap of the files that the start names, if it names any."""
    files = workload.start.files
    if not files:
        return []
    data = {file.name: file_text(file, workload.start) for file in files}
    metadata = {**workload.metadata, "name": f"{workload.name}-files"}
    return [{"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}]


def _mounts(workload: Workload) -> list[dict[str, Any]]:
    mounts: list[dict[str, Any]] = [
        weight_mount(workload.weights),
        {"name": SHARED_MEMORY, "mountPath": "/dev/shm"},  # noqa: S108 - in the container
        {"name": "cache", "mountPath": CACHE},
    ]
    for file in workload.start.files:
        mounts.append({"name": "files", "mountPath": file.inside, "subPath": file.name, "readOnly": True})
    return mounts


def _volumes(workload: Workload) -> list[dict[str, Any]]:
    container = workload.start.container
    size = quantity(container.shm_size if container is not None else None)
    volumes: list[dict[str, Any]] = [
        weight_volume(workload.weights),
        {"name": SHARED_MEMORY, "emptyDir": {"medium": "Memory", "sizeLimit": size}},
        {"name": "cache", "emptyDir": {}},
    ]
    if workload.start.files:
        volumes.append({"name": "files", "configMap": {"name": f"{workload.name}-files"}})
    return volumes
