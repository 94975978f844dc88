"""Quantities, shared memory, and requests for GPUs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from trtnemo.findings import Finding
from trtnemo.launch.manifests.objects import GPU_NAMES, Pod, items, mapping
from trtnemo.launch.manifests.quantity import quantity_value
from trtnemo.launch.manifests.rule import Manifest

_SHARED = "/dev/shm"  # noqa: S108 - a path in a container


def _quantities(manifest: Manifest) -> Iterator[Finding]:
    """Find what is no quantity where one is asked for."""
    for title, value in _written(manifest):
        if quantity_value(value) is None:
            message = f"{value!r} is no quantity of Kubernetes"
            yield Finding("error", "quantity", title, message, "Write it such as 16Gi, 500m or 2")


def _written(manifest: Manifest) -> Iterator[tuple[str, Any]]:
    for pod in manifest.pods:
        for container in pod.containers:
            resources = mapping(container.get("resources"))
            for part in ("requests", "limits"):
                for name, value in mapping(resources.get(part)).items():
                    yield f"{pod.title} {container.get('name')} {part}.{name}", value
        for volume in items(pod.spec.get("volumes")):
            memory = mapping(mapping(volume).get("emptyDir"))
            if "sizeLimit" in memory:
                yield f"{pod.title} {mapping(volume).get('name')} sizeLimit", memory["sizeLimit"]
    for owner in manifest.objects:
        if owner.kind == "PersistentVolumeClaim":
            for name, value in mapping(mapping(owner.spec.get("resources")).get("requests")).items():
                yield f"{owner.title} requests.{name}", value
        for component in items(owner.spec.get("components")):
            if "sharedMemorySize" in mapping(component):
                yield f"{owner.title} {mapping(component).get('name')} sharedMemorySize", component["sharedMemorySize"]


def _gpus(manifest: Manifest) -> Iterator[Finding]:
    """Find GPUs that are asked for in parts, or in two numbers."""
    for pod in manifest.pods:
        for container in pod.containers:
            resources = mapping(container.get("resources"))
            asked = {part: mapping(resources.get(part)) for part in ("requests", "limits")}
            for name in GPU_NAMES:
                request, limit = (asked[part].get(name) for part in ("requests", "limits"))
                title = f"{pod.title} {container.get('name')}"
                for value in (request, limit):
                    amount = quantity_value(value)
                    if value is not None and amount is not None and amount != int(amount):
                        yield Finding("error", "gpu-part", title, f"{value} of {name}: GPUs are whole")
                if request is not None and str(request) != str(limit):
                    message = f"asks for {request} of {name} with a limit of {limit}: Kubernetes wants them equal"
                    yield Finding("error", "gpu-limit", title, message)


def _shared_memory(manifest: Manifest) -> Iterator[Finding]:
    """Find shared memory larger than the memory that it counts against, and pods with several GPUs and none."""
    for pod in manifest.pods:
        size = _shared_size(pod)
        limits = [mapping(mapping(one.get("resources")).get("limits")).get("memory") for one in pod.containers]
        known = [amount for amount in map(quantity_value, limits) if amount is not None]
        if size is not None and known and size > max(known):
            message = f"is larger than the container's limit of memory, {limits[0]}, against which it counts"
            yield Finding("error", "shared-memory", f"{pod.title} {_SHARED}", message, "Make the limit larger")
        asked = [mapping(mapping(one.get("resources")).get("requests")).get("memory") for one in pod.containers]
        requests = [amount for amount in map(quantity_value, asked) if amount is not None]
        if size is not None and not known and requests and size > max(requests):
            message = f"is larger than the memory that the pod asks for, {max(requests) / 2**30:.0f}Gi: it counts"
            yield Finding("warning", "shared-memory", f"{pod.title} {_SHARED}", message, "Ask for more")
        if size is None and pod.gpus > 1 and pod.owner.kind != "DynamoGraphDeployment" and not _has_shared(pod):
            message = "is 64 MiB: NCCL stops where several GPUs work together"
            remedy = f"Mount an emptyDir with medium Memory and sizeLimit 16Gi at {_SHARED}"
            yield Finding("warning", "shared-memory", f"{pod.title} {_SHARED}", message, remedy)


def _has_shared(pod: Pod) -> bool:
    mounts = [mapping(mount) for container in pod.containers for mount in items(container.get("volumeMounts"))]
    return any(mount.get("mountPath") == _SHARED for mount in mounts) or bool(pod.spec.get("hostIPC"))


def _shared_size(pod: Pod) -> float | None:
    mounts = [mapping(mount) for container in pod.containers for mount in items(container.get("volumeMounts"))]
    names = {mount.get("name") for mount in mounts if mount.get("mountPath") == _SHARED}
    for volume in map(mapping, items(pod.spec.get("volumes"))):
        if volume.get("name") in names and "sizeLimit" in mapping(volume.get("emptyDir")):
            return quantity_value(mapping(volume["emptyDir"])["sizeLimit"])
    return None


RULES = (_quantities, _gpus, _shared_memory)
