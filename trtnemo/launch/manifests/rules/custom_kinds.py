"""What the definitions of LeaderWorkerSet, DisaggregatedSet and DynamoGraphDeployment ask for beyond their schemas."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from trtnemo.findings import Finding
from trtnemo.launch.manifests.objects import Object, items, mapping
from trtnemo.launch.manifests.rule import Manifest

_GRAPH, _APART = "DynamoGraphDeployment", "DisaggregatedSet"


def _graphs(manifest: Manifest) -> Iterator[Finding]:
    """Find graphs that the operator's admission refuses."""
    for graph in (item for item in manifest.objects if item.kind == _GRAPH and item.api_version.endswith("v1beta1")):
        if "restart" in graph.spec:
            yield Finding("error", "graph", graph.title, "spec.restart must not be set when it is created")
        components = [mapping(item) for item in items(graph.spec.get("components"))]
        names = Counter(str(component.get("name", "")).lower() for component in components)
        for name in (name for name, count in names.items() if count > 1):
            yield Finding("error", "graph", graph.title, f"has two components called {name!r}: case does not count")
        if sum(component.get("type") == "epp" for component in components) > 1:
            yield Finding("error", "graph", graph.title, "has more than one component of type epp")
        for component in components:
            yield from _component(graph, component)


def _component(graph: Object, component: Mapping[str, Any]) -> Iterator[Finding]:
    title = f"{graph.title} {component.get('name')}"
    if "eppConfig" in component and component.get("type") != "epp":
        yield Finding("error", "graph", title, "eppConfig goes with type epp alone")
    replicas, least = component.get("replicas", 1), component.get("minAvailable")
    if isinstance(least, int) and isinstance(replicas, int) and 0 < replicas < least:
        yield Finding("error", "graph", title, f"minAvailable {least} is more than its {replicas} replicas")
    containers = items(mapping(mapping(component.get("podTemplate")).get("spec")).get("containers"))
    called = [mapping(container).get("name") for container in containers]
    if containers and "main" not in called:
        message = f"has no container called main (it has {', '.join(map(str, called))}): the operator runs none other"
        yield Finding("error", "graph-main", title, message, "Call it main")


def _apart(manifest: Manifest) -> Iterator[Finding]:
    """Find roles of which some are switched off, and others are not."""
    for item in (item for item in manifest.objects if item.kind == _APART):
        own = [mapping(role) for role in items(item.spec.get("roles"))]
        fixed = [role for role in own if mapping(role.get("scaling")).get("mode") != "External"]
        counts = [mapping(role.get("spec")).get("replicas", 0) for role in fixed]
        if any(counts) and not all(counts):
            message = "some roles have replicas and others have none: all or none of them"
            yield Finding("error", "roles", item.title, message)


def _groups(manifest: Manifest) -> Iterator[Finding]:
    """Find groups whose ranks are started again alone."""
    for item in (item for item in manifest.objects if item.kind == "LeaderWorkerSet"):
        template = mapping(item.spec.get("leaderWorkerTemplate"))
        size = template.get("size", 1)
        if isinstance(size, int) and size > 1 and template.get("restartPolicy") in ("None", "Default"):
            message = "a rank that is started again alone does not find its group: the others wait for it for ever"
            remedy = "Give RecreateGroupOnPodRestart"
            yield Finding("warning", "group-restart", f"{item.title} restartPolicy", message, remedy)


RULES = (_graphs, _apart, _groups)
