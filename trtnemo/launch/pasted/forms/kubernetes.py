"""Kubernetes manifests: every container of a workload, however deep its pod template lies."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from trtnemo.errors import UsageError
from trtnemo.findings import Finding
from trtnemo.launch.manifests.objects import Object, Pod, gpus_of, gpus_of_service, pods_of
from trtnemo.launch.pasted.containers.docker_line import DockerLine, container_environment
from trtnemo.launch.pasted.containers.interpolation import kubernetes_text
from trtnemo.launch.pasted.containers.pod_environment import pod_environment
from trtnemo.launch.pasted.containers.probes import probe_findings
from trtnemo.launch.pasted.forms.form import Form, Pasted
from trtnemo.launch.pasted.shell.command import Command
from trtnemo.launch.pasted.shell.script import Script
from trtnemo.launch.pasted.start import Candidate, Reading
from trtnemo.launch.servers.invocation import Container
from trtnemo.recipe.nearest import suggestion


def _read(pasted: Pasted) -> Reading | None:
    manifests = [item for document in pasted.mappings for item in _unlisted(document)]
    kinds = [str(manifest["kind"]) for manifest in manifests if "kind" in manifest and "apiVersion" in manifest]
    pods = [pod for manifest in manifests for pod in pods_of(Object(manifest))]
    if not kinds and not pods:
        return None
    if not pods:
        raise UsageError(
            f"Kubernetes of kind {', '.join(dict.fromkeys(kinds))} without a container is not read",
            where="--command",
            remedy="Paste the manifest of the workload that it creates",
        )
    maps = _config_maps(manifests)
    candidates = [_candidate(pod, container, maps) for pod in pods for container in pod.running]
    return Reading("a Kubernetes manifest", tuple(candidates), Script())


def _unlisted(document: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield a document, or the items of a List."""
    items = document.get("items")
    if str(document.get("kind", "")).endswith("List") and isinstance(items, list):
        yield from (item for item in items if isinstance(item, dict))
    else:
        yield document


def _candidate(pod: Pod, content: Mapping[str, Any], maps: Mapping[str, Mapping[str, str]]) -> Candidate:
    variables, findings = pod_environment(pod, content, maps)
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
        shm_size=_shared_memory(pod.spec, content),
        workdir=content.get("workingDir"),
        mounts=dict(_mounts(content)),
        ports={port: port for port in _ports(content)},
        shares_network=bool(pod.spec.get("hostNetwork")),
        not_carried=tuple(f"{key} of the container" for key in content if key in _NOT_CARRIED),
    )
    rest = [*entrypoint[1:], *words]
    docker = DockerLine(container, env, rest, entrypoint[0] if entrypoint else None, [*findings, *secrets])
    docker.later = probe_findings(content)
    # several pods of one object call their containers alike
    names = (pod.owner.metadata.get("name"), pod.role or content.get("name"))
    part = "/".join(str(word) for word in names if word)
    gpus = gpus_of(content) or gpus_of_service(pod)
    files = dict(_files(pod.spec, content, maps))
    return Candidate(Command([]), docker, part, gpus * pod.copies or None, files=files)


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


def _mounts(content: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for mount in content.get("volumeMounts") or ():
        if isinstance(mount, dict):
            path = str(mount.get("mountPath", ""))
            yield str(mount.get("subPath") or mount.get("name", "")), path + (":ro" if mount.get("readOnly") else "")


def _ports(content: Mapping[str, Any]) -> Iterator[int]:
    for port in content.get("ports") or ():
        if isinstance(port, dict) and isinstance(port.get("containerPort"), int):
            yield port["containerPort"]


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
