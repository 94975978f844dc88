"""Words of which there are a few: the schemas of Kubernetes take any text for them, the API server does not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from trtnemo.findings import Finding
from trtnemo.launch.manifests.objects import items, mapping
from trtnemo.launch.manifests.rule import Manifest
from trtnemo.recipe.nearest import suggestion

_RESTART = ("Always", "OnFailure", "Never")
_POD = {"restartPolicy": _RESTART, "dnsPolicy": ("ClusterFirst", "ClusterFirstWithHostNet", "Default", "None")}
_CONTAINER = {"imagePullPolicy": ("Always", "IfNotPresent", "Never")}
_TOLERATION = {"operator": ("Exists", "Equal"), "effect": ("NoSchedule", "PreferNoSchedule", "NoExecute")}
_DIRECTORIES = ("", "DirectoryOrCreate", "Directory", "FileOrCreate", "File", "Socket", "CharDevice", "BlockDevice")
_ACCESS = ("ReadWriteOnce", "ReadOnlyMany", "ReadWriteMany", "ReadWriteOncePod")
_OF_KINDS: dict[str, dict[str, tuple[str, ...]]] = {
    "Service": {"type": ("ClusterIP", "NodePort", "LoadBalancer", "ExternalName")},
    "StatefulSet": {"podManagementPolicy": ("OrderedReady", "Parallel")},
}
_STRATEGY = {"type": ("Recreate", "RollingUpdate")}


def _words(manifest: Manifest) -> Iterator[Finding]:
    """Find words that are none of those that may stand in their place."""
    for title, place, allowed in _places(manifest):
        for key, words in allowed.items():
            value = place.get(key)
            if isinstance(value, str) and value not in words:
                message = f"{value!r} is not one of: {', '.join(filter(None, words))}{suggestion(value, words)}"
                yield Finding("error", "manifest-value", f"{title} {key}", message)


def _places(manifest: Manifest) -> Iterator[tuple[str, Mapping[str, Any], Mapping[str, tuple[str, ...]]]]:
    """Yield (what findings call it, a mapping, the words that its keys may have)."""
    for owner in manifest.objects:
        yield owner.title, owner.spec, _OF_KINDS.get(owner.kind, {})
        if owner.kind == "Deployment":
            yield f"{owner.title} strategy", mapping(owner.spec.get("strategy")), _STRATEGY
        if owner.kind == "PersistentVolumeClaim":
            for mode in items(owner.spec.get("accessModes")):
                yield owner.title, {"accessModes": mode}, {"accessModes": _ACCESS}
    for pod in manifest.pods:
        is_job = pod.owner.kind in ("Job", "CronJob")
        yield pod.title, pod.spec, {**_POD, "restartPolicy": _RESTART[1:] if is_job else _RESTART}
        for container in pod.containers:
            yield f"{pod.title} {container.get('name')}", container, _CONTAINER
        for toleration in items(pod.spec.get("tolerations")):
            yield f"{pod.title} tolerations", mapping(toleration), _TOLERATION
        for volume in map(mapping, items(pod.spec.get("volumes"))):
            yield f"{pod.title} {volume.get('name')}", mapping(volume.get("hostPath")), {"type": _DIRECTORIES}
            medium = mapping(volume.get("emptyDir")).get("medium", "")
            if not str(medium).startswith("HugePages"):
                yield f"{pod.title} {volume.get('name')}", {"medium": medium}, {"medium": ("", "Memory")}


RULES = (_words,)
