"""Single fields that an API server refuses, and the schemas let through."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from trtnemo.findings import Finding
from trtnemo.launch.manifests.objects import Pod, items, mapping
from trtnemo.launch.manifests.quantity import quantity_value
from trtnemo.launch.manifests.rule import Manifest

_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_LABEL_VALUE = re.compile(r"([A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?)?")
_PORT_NAME = re.compile(r"(?=.*[a-z])(?!.*--)[a-z0-9]([a-z0-9-]{0,13}[a-z0-9])?")
_ENV_NAME = re.compile(r"[ -<>-~]+")
_NOT_SOURCES = {"name"}


def _containers(manifest: Manifest) -> Iterator[Finding]:
    """Find names, variables, mounts and probes of containers that are refused."""
    for pod in manifest.pods:
        names = [str(container.get("name")) for container in pod.containers if "name" in container]
        for name, count in Counter(names).items():
            if not _LABEL.fullmatch(name):
                yield _refused(
                    f"{pod.title} {name}", f"{name!r} is no name of a container: small letters, digits, dashes"
                )
            if count > 1:
                yield _refused(f"{pod.title} {name}", f"{count} containers are called {name!r}")
        for container in pod.containers:
            title = f"{pod.title} {container.get('name')}"
            for message in (*_variables(container), *_mounts(container), *_ports(container), *_amounts(container)):
                yield _refused(title, message)
            for probe in ("livenessProbe", "startupProbe"):
                if mapping(container.get(probe)).get("successThreshold", 1) != 1:
                    yield _refused(f"{title} {probe}", "successThreshold must be 1")


def _variables(container: Mapping[str, Any]) -> Iterator[str]:
    for variable in map(mapping, items(container.get("env"))):
        name = str(variable.get("name", ""))
        if not _ENV_NAME.fullmatch(name) or " " in name:
            yield f"{name!r} is no name of a variable"
        if variable.get("value") is not None and "valueFrom" in variable:
            yield f"{name} has a value, and takes one from elsewhere: one of them"


def _mounts(container: Mapping[str, Any]) -> Iterator[str]:
    paths = Counter(str(mapping(mount).get("mountPath")) for mount in items(container.get("volumeMounts")))
    yield from (f"{count} volumes are mounted at {path}" for path, count in paths.items() if count > 1)


def _ports(container: Mapping[str, Any]) -> Iterator[str]:
    for port in map(mapping, items(container.get("ports"))):
        name = port.get("name")
        if isinstance(name, str) and not _PORT_NAME.fullmatch(name):
            yield f"{name!r} is no name of a port: 15 small letters, digits and dashes at most"


def _amounts(container: Mapping[str, Any]) -> Iterator[str]:
    resources = mapping(container.get("resources"))
    limits = mapping(resources.get("limits"))
    for name, request in mapping(resources.get("requests")).items():
        asked, most = quantity_value(request), quantity_value(limits.get(name))
        if asked is not None and most is not None and asked > most and not str(name).startswith("nvidia.com/"):
            yield f"asks for {request} of {name}, and its limit is {limits[name]}"


def _volumes(manifest: Manifest) -> Iterator[Finding]:
    """Find volumes with a name that is none, with no source or two, and paths that lead upwards."""
    for pod in manifest.pods:
        for volume in map(mapping, items(pod.spec.get("volumes"))):
            title, sources = f"{pod.title} {volume.get('name')}", volume.keys() - _NOT_SOURCES
            if not _LABEL.fullmatch(str(volume.get("name", ""))):
                yield _refused(title, f"{volume.get('name')!r} is no name of a volume: small letters, digits, dashes")
            if len(sources) > 1:
                yield _refused(title, f"has more than one source: {', '.join(sorted(map(str, sources)))}")
            if ".." in str(mapping(volume.get("hostPath")).get("path", "")).split("/"):
                yield _refused(title, "hostPath must not hold '..'")


def _objects(manifest: Manifest) -> Iterator[Finding]:
    """Find fields of objects that are refused, or that go with nothing."""
    for item in manifest.objects:
        for labels in (item.metadata.get("labels"), mapping(mapping(item.spec.get("selector")).get("matchLabels"))):
            for key, value in mapping(labels).items():
                if not isinstance(value, str) or not _LABEL_VALUE.fullmatch(value):
                    yield _refused(item.title, f"{value!r} is no value of the label {key}")
        replicas = item.spec.get("replicas")
        if isinstance(replicas, int) and replicas < 0:
            yield _refused(item.title, f"replicas is {replicas}")
        if item.kind == "PodDisruptionBudget" and {"minAvailable", "maxUnavailable"} <= item.spec.keys():
            yield _refused(item.title, "minAvailable and maxUnavailable exclude each other")
        strategy = mapping(item.spec.get("strategy"))
        if strategy.get("type") == "Recreate" and strategy.get("rollingUpdate") is not None:
            yield _refused(item.title, "rollingUpdate does not go with Recreate")
        storage = mapping(mapping(item.spec.get("resources")).get("requests")).get("storage")
        if item.kind == "PersistentVolumeClaim" and (quantity_value(storage) or 1) <= 0:
            yield _refused(item.title, f"{storage} is no size")


def _pod_labels(manifest: Manifest) -> Iterator[Finding]:
    for pod in manifest.pods:
        for key, value in pod.labels.items():
            if not isinstance(value, str) or not _LABEL_VALUE.fullmatch(value):
                yield _refused(pod.title, f"{value!r} is no value of the label {key}")


def _places(manifest: Manifest) -> Iterator[Finding]:
    """Find Services in another namespace than all pods that they could select, and names that a group needs itself."""
    given = {_namespace(pod) for pod in manifest.pods}
    groups = {item.metadata.get("name") for item in manifest.objects if item.kind == "LeaderWorkerSet"}
    for item in (item for item in manifest.objects if item.kind == "Service"):
        if given and item.metadata.get("namespace") not in given:
            message = f"is in {item.metadata.get('namespace') or 'the default namespace'}, and no pod of the text is"
            yield Finding("error", "namespace", item.title, message, "Give both the same namespace")
        if item.metadata.get("name") in groups and item.spec.get("clusterIP") != "None":
            message = "has the name of the headless Service by which the ranks of the LeaderWorkerSet find each other"
            yield Finding("error", "group-service", item.title, message, "Give it another name")


def _namespace(pod: Pod) -> Any:
    return pod.owner.metadata.get("namespace")


def _refused(title: str, message: str) -> Finding:
    return Finding("error", "manifest-value", title, message)


RULES = (_containers, _volumes, _objects, _pod_labels, _places)
