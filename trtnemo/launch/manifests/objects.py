"""The objects of a manifest, and the pods in them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

GPU_NAMES = ("nvidia.com/gpu", "nvidia.com/gpu.shared")
# the second is how DynamoGraphDeployment v1alpha1 calls a pod's one container
_CONTAINERS, _MAIN = "containers", "mainContainer"
_ROLE = re.compile(r"(?:components|roles)\[([^\]]+)\]|services\.([^.]+)|\b(leader|worker)Template\.spec")


@dataclass(frozen=True)
class Object:
    """One object: its content, and what it is."""

    content: Mapping[str, Any]

    @property
    def kind(self) -> str:
        """Its kind, as it is written."""
        return str(self.content.get("kind", ""))

    @property
    def api_version(self) -> str:
        """Its group with the version, or the version alone."""
        return str(self.content.get("apiVersion", ""))

    @property
    def metadata(self) -> Mapping[str, Any]:
        """Its metadata, empty where they are none."""
        return mapping(self.content.get("metadata"))

    @property
    def spec(self) -> Mapping[str, Any]:
        """Its spec, empty where it has none."""
        return mapping(self.content.get("spec"))

    @property
    def title(self) -> str:
        """How findings call it."""
        return f"{self.kind}/{self.metadata.get('name', '(no name)')}"


@dataclass(frozen=True)
class Pod:
    """The pod of an object: its spec, its labels, and where it lies.

    `claims` are names of volumes that the object itself gives to its pods; `copies` is of how many such pods one server
    consists; `around` is the mapping that the pod is a part of.
    """

    owner: Object
    path: str
    spec: Mapping[str, Any]
    labels: Mapping[str, Any]
    claims: frozenset[str] = frozenset()
    copies: int = 1
    around: Mapping[str, Any] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """How findings call it."""
        return f"{self.owner.title} {self.path}".rstrip()

    @property
    def role(self) -> str:
        """Which of several pods of its object it is, as the object calls it; nothing where there is one."""
        match = _ROLE.search(self.path)
        return next((group for group in match.groups() if group), "") if match else ""

    @property
    def containers(self) -> list[Mapping[str, Any]]:
        """Its containers, those that run before the others included."""
        listed = [*items(self.spec.get("initContainers")), *items(self.spec.get(_CONTAINERS))]
        main = self.spec.get(_MAIN)
        return [item for item in [*listed, main] if isinstance(item, Mapping)]

    @property
    def running(self) -> list[Mapping[str, Any]]:
        """Its containers, but for those that run before the others."""
        before = items(self.spec.get("initContainers"))
        return [container for container in self.containers if container not in before]

    @property
    def gpus(self) -> int:
        """How many GPUs its containers ask for."""
        return sum(gpus_of(container) for container in self.containers)


def mapping(value: Any) -> Mapping[str, Any]:
    """Return a mapping as it is, and an empty one for all else."""
    return value if isinstance(value, Mapping) else {}


def items(value: Any) -> list[Any]:
    """Return a list as it is, and an empty one for all else."""
    return value if isinstance(value, list) else []


def gpus_of(container: Mapping[str, Any]) -> int:
    """Return how many GPUs a container asks for."""
    resources = mapping(container.get("resources"))
    for part in ("limits", "requests"):
        for name in GPU_NAMES:
            value = str(mapping(resources.get(part)).get(name, ""))
            if value.isdecimal():
                return int(value)
    return 0


def gpus_of_service(pod: Pod) -> int:
    """Return how many GPUs a service of the old DynamoGraphDeployment gives to its one container."""
    value = str(mapping(mapping(pod.around.get("resources")).get("limits")).get("gpu", ""))
    return int(value) if value.isdecimal() else 0


def objects_of(documents: tuple[Any, ...]) -> list[Object]:
    """Return the objects of YAML documents, those of a List one by one; what has no kind and version is none."""
    found = []
    for document in documents:
        content = mapping(document)
        listed = content.get("items")
        if str(content.get("kind", "")).endswith("List") and isinstance(listed, list):
            found += [Object(item) for item in listed if isinstance(item, Mapping)]
        elif "kind" in content and "apiVersion" in content:
            found.append(Object(content))
    return found


def pods_of(owner: Object) -> Iterator[Pod]:
    """Yield the pods of an object, however deep they lie."""
    claims = frozenset(
        str(mapping(mapping(claim).get("metadata")).get("name", ""))
        for place in (owner.spec, mapping(owner.spec.get("leaderWorkerTemplate")))
        for claim in items(place.get("volumeClaimTemplates"))
    )
    size = mapping(owner.spec.get("leaderWorkerTemplate")).get("size")
    waiting: list[tuple[str, Any, Mapping[str, Any], int]] = [
        ("", owner.content, {}, size if isinstance(size, int) else 1)
    ]
    while waiting:
        path, value, around, copies = waiting.pop(0)
        if isinstance(value, Mapping):
            if _is_pod(value):
                labels = mapping(mapping(around.get("metadata")).get("labels"))
                yield Pod(owner, path, value, labels, claims, copies, around)
                continue
            count = mapping(value.get("multinode")).get("nodeCount")
            inside = count if isinstance(count, int) else copies
            waiting += [(f"{path}.{key}".lstrip("."), item, value, inside) for key, item in value.items()]
        elif isinstance(value, list):
            waiting += [(f"{path}[{_name(item, place)}]", item, {}, copies) for place, item in enumerate(value)]


def _is_pod(value: Mapping[str, Any]) -> bool:
    listed = items(value.get(_CONTAINERS))
    return any(isinstance(item, Mapping) and "image" in item for item in listed) or isinstance(value.get(_MAIN), dict)


def _name(item: Any, place: int) -> str:
    name = mapping(item).get("name")
    return str(name) if isinstance(name, str) else str(place)
