"""Names of objects, secrets that stand in clear, and variables of a pod that break a server."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

from trtnemo.findings import Finding
from trtnemo.launch.manifests.objects import items, mapping
from trtnemo.launch.manifests.rule import Manifest
from trtnemo.launch.servers.registry import all_servers
from trtnemo.recipe.external import holds_secret, is_secret

_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_NAME = re.compile(r"(?=.{1,253}$)[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*")
# kinds whose name becomes a name of a host
_HOSTS = frozenset(["Service", "LeaderWorkerSet", "DisaggregatedSet", "DynamoGraphDeployment", "StatefulSet"])
_PLACEHOLDER = re.compile(r"\$(\w+|\{\w+\}|\(\w+\))|<[^<>]*>|")
_GROWS_BY = {"LeaderWorkerSet": 12, "DynamoGraphDeployment": 18}


def _names(manifest: Manifest) -> Iterator[Finding]:
    """Find names that Kubernetes refuses, and objects that stand twice."""
    for item in manifest.objects:
        name = item.metadata.get("name")
        if name is None:
            if "generateName" not in item.metadata:
                yield Finding("error", "object-name", item.title, "has no name")
            continue
        if not isinstance(name, str) or not (_LABEL if item.kind in _HOSTS else _NAME).fullmatch(name):
            message = f"{name!r} is no name: small letters, digits and dashes, 63 at most"
            yield Finding("error", "object-name", item.title, message)
        elif len(name) + _GROWS_BY.get(item.kind, 0) > 63:
            message = f"{name!r} is too long: names of its pods are made from it"
            yield Finding("error", "object-name", item.title, message)
    keys = [(item.kind, item.metadata.get("namespace"), str(item.metadata.get("name"))) for item in manifest.objects]
    for (kind, _, name), count in Counter(keys).items():
        if count > 1 and name != "None":
            message = f"stands {count} times: the last one counts"
            yield Finding("error", "object-twice", f"{kind}/{name}", message)


def _secrets(manifest: Manifest) -> Iterator[Finding]:
    """Find secrets whose values stand in the text."""
    for pod in manifest.pods:
        for container in pod.containers:
            for variable in map(mapping, items(container.get("env"))):
                name, value = str(variable.get("name", "")), str(variable.get("value") or "")
                hides = is_secret(name) or holds_secret(value)
                if hides and not _PLACEHOLDER.fullmatch(value):
                    message = "a secret stands in the text: everyone who may read the object reads it"
                    title = f"{pod.title} {container.get('name')} {name}"
                    yield Finding("error", "secret-in-manifest", title, message, "Take it from a Secret: secretKeyRef")


def _service_links(manifest: Manifest) -> Iterator[Finding]:
    """Find a Service whose name sets variables that a server reads: NAME_PORT and others, in every pod."""
    prefixes = {prefix for server in all_servers().values() for prefix in server.dialect.variable_prefixes}
    for service in (item for item in manifest.objects if item.kind == "Service"):
        prefix = f"{service.metadata.get('name')}_".upper().replace("-", "_")
        if prefix not in prefixes:
            continue
        for pod in manifest.pods:
            if pod.gpus and pod.spec.get("enableServiceLinks", True) is not False:
                message = f"{service.title} sets {prefix}PORT in every pod, and the server takes it for its own"
                yield Finding("warning", "service-links", pod.title, message, "Give enableServiceLinks: false")


RULES = (_names, _secrets, _service_links)
