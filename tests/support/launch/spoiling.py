"""Good manifests, and what spoils one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import yaml

from tests.support.launch.rendering import rendered

TWO = ("hardware.count=2", "parallel.tensor=2")
SOURCES: dict[str, tuple[str, str, Any]] = {
    "deployment": ("kubernetes", "vllm-b200", TWO),
    "group": ("leaderworkerset", "vllm-b200", (*TWO, "cluster.nodes=2")),
    "graph": ("dynamo", "vllm-b200", ()),
}
Spoil = Callable[[dict[str, Any]], None]


def documents(source: str) -> dict[str, Any]:
    """Return the objects of a good manifest, by kind."""
    return {item["kind"]: item for item in yaml.safe_load_all(rendered(*SOURCES[source]))}


def pod(objects: dict[str, Any]) -> Any:
    return objects["Deployment"]["spec"]["template"]["spec"]


def leader(objects: dict[str, Any]) -> Any:
    return objects["LeaderWorkerSet"]["spec"]["leaderWorkerTemplate"]


def graph(objects: dict[str, Any]) -> Any:
    return objects["DynamoGraphDeployment"]["spec"]


def put(path: str, value: Any) -> Spoil:
    """Return what sets a value: the first name is a kind, numbers are places in lists, `|` a slash."""

    def spoil(objects: dict[str, Any]) -> None:
        *parents, last = [
            int(part) if part.isdecimal() else part.replace("\0", "/") for part in path.replace("|", "\0").split("/")
        ]
        place: Any = objects
        for part in parents:
            place = place[part]
        place[last] = value

    return spoil


def rename(path: str, new: str) -> Spoil:
    """Return what misspells a key."""

    def spoil(objects: dict[str, Any]) -> None:
        *parents, last = [
            int(part) if part.isdecimal() else part.replace("\0", "/") for part in path.replace("|", "\0").split("/")
        ]
        place: Any = objects
        for part in parents:
            place = place[part]
        place[new] = place.pop(last)

    return spoil


FROM = {"fieldRef": {"fieldPath": "metadata.uid"}}
EPP = {"name": "a", "type": "epp", "eppConfig": {"configMapRef": {"key": "x"}}}
POD = "Deployment/spec/template/spec"
MAIN = f"{POD}/containers/0"
GROUP = "LeaderWorkerSet/spec/leaderWorkerTemplate"
GRAPH = "DynamoGraphDeployment/spec"
