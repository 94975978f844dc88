"""Names that must meet: volumes and their mounts, selectors and labels, ports and who asks them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from trtnemo.findings import Finding
from trtnemo.launch.manifests.objects import Pod, items, mapping
from trtnemo.launch.manifests.rule import Manifest
from trtnemo.recipe.nearest import suggestion

_PROBES = ("startupProbe", "livenessProbe", "readinessProbe")
_WORKLOADS = frozenset(["Deployment", "StatefulSet", "DaemonSet", "ReplicaSet"])
_SET_LABEL = "leaderworkerset.sigs.k8s.io/name"


def _volumes(manifest: Manifest) -> Iterator[Finding]:
    """Find mounts of volumes that a pod has not, and volumes of one name."""
    for pod in manifest.pods:
        listed = [str(mapping(volume).get("name")) for volume in items(pod.spec.get("volumes"))]
        for name, count in Counter(listed).items():
            if count > 1:
                yield Finding("error", "volume-twice", pod.title, f"has {count} volumes called {name!r}")
        known = {*listed, *pod.claims, *_of_the_owner(pod)}
        for container in pod.containers:
            for mount in items(container.get("volumeMounts")):
                name = str(mapping(mount).get("name"))
                if name not in known:
                    message = f"mounts the volume {name!r}, which the pod has not{suggestion(name, sorted(known))}"
                    yield Finding("error", "unknown-volume", f"{pod.title} {container.get('name')}", message)


def _of_the_owner(pod: Pod) -> set[str]:
    """Return the volumes that a graph of the old version names for all its pods."""
    return {str(mapping(claim).get("name")) for claim in items(pod.owner.spec.get("pvcs"))}


def _selectors(manifest: Manifest) -> Iterator[Finding]:
    """Find workloads that do not select their own pods, and Services that select none of the text's."""
    for owner in manifest.objects:
        if owner.kind in _WORKLOADS:
            wanted = mapping(mapping(owner.spec.get("selector")).get("matchLabels"))
            labels = mapping(mapping(mapping(owner.spec.get("template")).get("metadata")).get("labels"))
            missing = [key for key, value in wanted.items() if labels.get(key) != value]
            if missing:
                message = f"selects pods by {', '.join(missing)}, and its own template has no such label"
                yield Finding("error", "selector", f"{owner.title} spec.selector", message, "Make the two equal")
    given = [_labels(pod) for pod in manifest.pods]
    # an operator gives labels of its own to the pods of a graph
    if not given or any(owner.api_version.startswith("nvidia.com/") for owner in manifest.objects):
        return
    for owner in manifest.objects:
        wanted = _selected_by(owner.kind, owner.spec)
        if wanted and not any(all(labels.get(key) == value for key, value in wanted.items()) for labels in given):
            message = (
                f"selects {', '.join(f'{key}={value}' for key, value in wanted.items())}: no pod of the text has it"
            )
            yield Finding("warning", "selector", f"{owner.title} spec.selector", message)


def _selected_by(kind: str, spec: Mapping[str, Any]) -> Mapping[str, Any]:
    selector = mapping(spec.get("selector"))
    if kind == "Service":
        return selector
    return mapping(selector.get("matchLabels")) if kind in ("PodDisruptionBudget", "PodMonitor") else {}


def _labels(pod: Pod) -> Mapping[str, Any]:
    if pod.owner.kind != "LeaderWorkerSet":
        return pod.labels
    return {**pod.labels, _SET_LABEL: pod.owner.metadata.get("name")}


def _ports(manifest: Manifest) -> Iterator[Finding]:
    """Find probes and Services that ask a port by a name which no container gives."""
    for pod in manifest.pods:
        for container in pod.containers:
            names = _port_names(container)
            for probe in _PROBES:
                asked = _asked(mapping(container.get(probe)))
                if isinstance(asked, str) and asked not in names:
                    message = f"asks the port {asked!r}, which the container does not name{suggestion(asked, names)}"
                    yield Finding("error", "unknown-port", f"{pod.title} {container.get('name')} {probe}", message)
    known = {name for pod in manifest.pods for container in pod.containers for name in _port_names(container)}
    for owner in manifest.objects:
        for port in items(owner.spec.get("ports")) if owner.kind == "Service" and manifest.pods else ():
            target = mapping(port).get("targetPort")
            if isinstance(target, str) and not target.isdecimal() and target not in known:
                message = (
                    f"sends to the port {target!r}, which no container of the text names{suggestion(target, known)}"
                )
                yield Finding("warning", "unknown-port", f"{owner.title} spec.ports", message)


def _port_names(container: Mapping[str, Any]) -> list[str]:
    listed = [mapping(port).get("name") for port in items(container.get("ports"))]
    return [name for name in listed if isinstance(name, str)]


def _asked(probe: Mapping[str, Any]) -> Any:
    kinds = ("httpGet", "tcpSocket", "grpc")
    return next((mapping(probe[kind]).get("port") for kind in kinds if kind in probe), None)


RULES = (_volumes, _selectors, _ports)
