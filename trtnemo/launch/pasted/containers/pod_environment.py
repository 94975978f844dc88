"""The variables of a container in a pod, as far as a manifest says them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from trtnemo.findings import Finding
from trtnemo.launch.manifests.objects import Pod, items, mapping
from trtnemo.launch.pasted.containers.interpolation import kubernetes_text


def pod_environment(
    pod: Pod, content: Mapping[str, Any], maps: Mapping[str, Mapping[str, str]]
) -> tuple[dict[str, str | None], list[Finding]]:
    """Return the variables of a container, None where a value comes from a secret or the like.

    `maps` are the ConfigMaps of the text: what they hold is put in.
    """
    variables: dict[str, str | None] = dict(_of_a_group(pod))
    listed = [*items(pod.owner.spec.get("envs")), *items(pod.owner.spec.get("env")), *items(content.get("env"))]
    for item in map(mapping, listed):
        if "name" in item:
            variables[str(item["name"])] = _value(item, variables, maps)
    findings = []
    for item in items(content.get("envFrom")):
        name = str(mapping(mapping(item).get("configMapRef")).get("name"))
        if name in maps:
            variables = {**maps[name], **variables}
            continue
        message = f"{item} is not read: it may set variables that the server reads"
        findings.append(Finding("warning", "file-not-read", "envFrom", message, "Write them under env"))
    return variables, findings


def _value(
    item: Mapping[str, Any], variables: Mapping[str, str | None], maps: Mapping[str, Mapping[str, str]]
) -> str | None:
    value = item.get("value")
    if value is not None:
        return kubernetes_text(str(value), variables)
    if "valueFrom" not in item:
        return ""
    place = mapping(mapping(item["valueFrom"]).get("configMapKeyRef"))
    return maps.get(str(place.get("name")), {}).get(str(place.get("key")))


def _of_a_group(pod: Pod) -> dict[str, str]:
    """Return what a LeaderWorkerSet gives every container; the first worker stands for all of them."""
    if pod.owner.kind != "LeaderWorkerSet":
        return {}
    follows = pod.role == "worker" and "leaderTemplate" in mapping(pod.owner.spec.get("leaderWorkerTemplate"))
    return {
        "LWS_GROUP_SIZE": str(pod.copies),
        "LWS_WORKER_INDEX": "1" if follows and pod.copies > 1 else "0",
        "LWS_LEADER_ADDRESS": f"{pod.owner.metadata.get('name', 'leader')}-0",
    }
