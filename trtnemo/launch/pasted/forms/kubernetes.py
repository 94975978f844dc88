"""Kubernetes manifests: every container of a workload, however deep its pod template lies."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from trtnemo.errors import UsageError
from trtnemo.findings import Finding
from trtnemo.launch.pasted.containers.docker_line import DockerLine, container_environment
from trtnemo.launch.pasted.containers.interpolation import kubernetes_text
from trtnemo.launch.pasted.containers.probes import probe_findings
from trtnemo.launch.pasted.forms.form import Form, Pasted
from trtnemo.launch.pasted.shell.command import Command
from trtnemo.launch.pasted.shell.script import Script
from trtnemo.launch.pasted.start import Candidate, Reading
from trtnemo.launch.servers.invocation import Container
from trtnemo.recipe.nearest import suggestion

_GPU = ("nvidia.com/gpu", "nvidia.com/gpu.shared")
# kinds of other software, in which a container is called so
_MAIN_CONTAINER = "mainContainer"


def _read(pasted: Pasted) -> Reading | None:
    manifests = [item for document in pasted.mappings for item in _unlisted(document)]
    kinds = [str(manifest["kind"]) for manifest in manifests if "kind" in manifest and "apiVersion" in manifest]
    pods = [(manifest, pod) for manifest in manifests for pod in _pods(manifest)]
    if not kinds and not pods:
        return None
    if not pods:
        raise UsageError(
            f"Kubernetes of kind {', '.join(dict.fromkeys(kinds))} without a container is not read",
            where="--command",
            remedy="Paste the manifest of the workload that it creates",
        )
    script, maps = Script(), _config_maps(manifests)
    candidates = []
    for manifest, pod in pods:
        for container in _containers(pod):
            script.files.update(_files(pod, container, maps))
            candidates.append(_candidate(manifest, pod, container))
    return Reading("a Kubernetes manifest", tuple(candidates), script)


def _unlisted(document: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield a document, or the items of a List."""
    items = document.get("items")
    if str(document.get("kind", "")).endswith("List") and isinstance(items, list):
        yield from (item for item in items if isinstance(item, dict))
    else:
        yield document


def _pods(place: Any) -> Iterator[Mapping[str, Any]]:
    """Yield every mapping below a place that has containers of a pod."""
    waiting = [place]
    while waiting:
        value = waiting.pop(0)
        if isinstance(value, dict):
            listed = value.get("containers")
            is_pod = isinstance(listed, list) and any(isinstance(item, dict) and "image" in item for item in listed)
            if is_pod or isinstance(value.get(_MAIN_CONTAINER), dict):
                yield value
            else:
                waiting += value.values()
        elif isinstance(value, list):
            waiting += value


def _containers(pod: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    main = pod.get(_MAIN_CONTAINER)
    listed = pod.get("containers") or []
    return [item for item in ([main] if main else []) + listed if isinstance(item, dict)]


def _candidate(manifest: Mapping[str, Any], pod: Mapping[str, Any], content: Mapping[str, Any]) -> Candidate:
    variables, findings = _environment(content)
    env, secrets = container_environment(
        name if value is None else f"{name}={value}" for name, value in variables.items()
    )
    findings += [*_strange_keys(content)]
    entrypoint, words = _words(content, "command", variables), _words(content, "args", variables)
    if len(entrypoint) == 1 and " " in entrypoint[0]:
        message = "is one word with blanks in it, and no shell takes it apart: there is no program of this name"
        remedy = "Write every word as an item of its own, or use sh -c"
        findings.append(Finding("error", "command-one-word", "command", message, remedy))
        entrypoint = entrypoint[0].split()
    container = Container(
        image=str(content.get("image", "")),
        shm_size=_shared_memory(pod, content),
        workdir=content.get("workingDir"),
        mounts=dict(_mounts(content)),
        ports={port: port for port in _ports(content)},
        shares_network=bool(pod.get("hostNetwork")),
        not_carried=tuple(f"{key} of the container" for key in content if key in _NOT_CARRIED),
    )
    rest = [*entrypoint[1:], *words]
    docker = DockerLine(container, env, rest, entrypoint[0] if entrypoint else None, [*findings, *secrets])
    docker.later = probe_findings(content)
    name = manifest.get("metadata", {}).get("name") if isinstance(manifest.get("metadata"), dict) else None
    part = "/".join(str(word) for word in (name, content.get("name")) if word)
    return Candidate(Command([]), docker, part, _gpus(content))


_NOT_CARRIED = (
    "livenessProbe",
    "readinessProbe",
    "startupProbe",
    "lifecycle",
    "securityContext",
    "imagePullPolicy",
    "resources",
)


_KEYS_TEXT = """
    name image command args workingDir ports env envFrom volumeMounts volumeDevices resources resizePolicy restartPolicy
    livenessProbe readinessProbe startupProbe lifecycle terminationMessagePath terminationMessagePolicy imagePullPolicy
    securityContext stdin stdinOnce tty restartPolicyRules
"""
_KEYS = frozenset(_KEYS_TEXT.split())


def _strange_keys(content: Mapping[str, Any]) -> Iterator[Finding]:
    """Yield a finding for keys that a container has not, and for words that are no texts."""
    for key in map(str, content):
        if key not in _KEYS:
            message = f"is no key of a container{suggestion(key, sorted(_KEYS))}: Kubernetes refuses or ignores it"
            yield Finding("error", "kubernetes-key", key, message)
    for key in ("command", "args"):
        for word in content.get(key) or ():
            if not isinstance(word, str):
                message = f"{word!r} is no text: Kubernetes refuses it"
                yield Finding("error", "kubernetes-key", key, message, f'Write "{word}"')


def _words(content: Mapping[str, Any], key: str, variables: Mapping[str, str | None]) -> list[str]:
    value = content.get(key)
    if value is None:
        return []
    if not isinstance(value, list):
        raise UsageError(
            f"{key!r} of the container {content.get('name')!r} is no list: Kubernetes refuses it", where="--command"
        )
    return [kubernetes_text(str(item), variables) for item in value]


def _environment(content: Mapping[str, Any]) -> tuple[dict[str, str | None], list[Finding]]:
    """Return the variables of a container, None where a value comes from a secret or the like."""
    variables: dict[str, str | None] = {}
    for item in content.get("env") or ():
        if isinstance(item, dict) and "name" in item:
            value = item.get("value")
            plain = "" if value is None and "valueFrom" not in item else value
            variables[str(item["name"])] = None if plain is None else kubernetes_text(str(plain), variables)
    findings = []
    for item in content.get("envFrom") or ():
        message = f"{item} is not read: it may set variables that the server reads"
        findings.append(Finding("warning", "file-not-read", "envFrom", message, "Write them under env"))
    return variables, findings


def _mounts(content: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for mount in content.get("volumeMounts") or ():
        if isinstance(mount, dict):
            path = str(mount.get("mountPath", ""))
            yield str(mount.get("subPath") or mount.get("name", "")), path + (":ro" if mount.get("readOnly") else "")


def _ports(content: Mapping[str, Any]) -> Iterator[int]:
    for port in content.get("ports") or ():
        if isinstance(port, dict) and isinstance(port.get("containerPort"), int):
            yield port["containerPort"]


def _gpus(content: Mapping[str, Any]) -> int | None:
    resources = content.get("resources")
    for key in ("limits", "requests"):
        given = resources.get(key) if isinstance(resources, dict) else None
        for name in _GPU:
            value = str(given.get(name, "")) if isinstance(given, dict) else ""
            if value.isdecimal():
                return int(value)
    return None


def _shared_memory(pod: Mapping[str, Any], content: Mapping[str, Any]) -> str | None:
    """Return the size of /dev/shm, where a volume in memory is mounted there."""
    place = next((mount.get("name") for mount in content.get("volumeMounts") or () if _is_shared_memory(mount)), None)
    for volume in pod.get("volumes") or ():
        if isinstance(volume, dict) and place is not None and volume.get("name") == place:
            memory = volume.get("emptyDir") or {}
            size = memory.get("sizeLimit") if isinstance(memory, dict) else None
            return None if size is None else str(size).removesuffix("i").lower()
    return None


def _is_shared_memory(mount: Any) -> bool:
    return isinstance(mount, dict) and mount.get("mountPath") == "/dev/shm"  # noqa: S108 - a path in a container


def _config_maps(manifests: list[Mapping[str, Any]]) -> dict[str, dict[str, str]]:
    """Return the files of every ConfigMap of the text, by its name."""
    found = {}
    for manifest in manifests:
        metadata, data = manifest.get("metadata"), manifest.get("data")
        if manifest.get("kind") == "ConfigMap" and isinstance(metadata, dict) and isinstance(data, dict):
            found[str(metadata.get("name"))] = {str(key): str(text) for key, text in data.items()}
    return found


def _files(
    pod: Mapping[str, Any], content: Mapping[str, Any], maps: Mapping[str, Mapping[str, str]]
) -> Iterator[tuple[str, str]]:
    """Yield the files that ConfigMaps of the text put into a container: where a volume lies, and what is in it."""
    volumes = {
        volume.get("name"): volume["configMap"].get("name")
        for volume in pod.get("volumes") or ()
        if isinstance(volume, dict) and isinstance(volume.get("configMap"), dict)
    }
    for mount in content.get("volumeMounts") or ():
        if isinstance(mount, dict):
            yield from maps.get(str(volumes.get(mount.get("name"))), {}).items()


FORM = Form(_read, rank=20)
