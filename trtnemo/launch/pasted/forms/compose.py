"""A Compose file: each service whose image or command starts a server."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from trtnemo.errors import UsageError
from trtnemo.findings import Finding
from trtnemo.launch.pasted.containers.docker_line import DockerLine, container_environment
from trtnemo.launch.pasted.containers.interpolation import compose_text
from trtnemo.launch.pasted.containers.service import Service
from trtnemo.launch.pasted.forms.form import Form, Pasted
from trtnemo.launch.pasted.shell.command import Command
from trtnemo.launch.pasted.shell.script import Script
from trtnemo.launch.pasted.start import Candidate, Reading
from trtnemo.launch.servers.invocation import Container
from trtnemo.recipe.nearest import suggestion

_READ = (
    "image command entrypoint environment ports volumes shm_size ulimits working_dir network_mode deploy gpus configs"
)
# what a service may have besides, and that says nothing of what the server does
_ASIDE_TEXT = """
    annotations attach blkio_config build cap_add cap_drop cgroup cgroup_parent container_name cpu_count cpu_percent
    cpu_period cpu_quota cpu_rt_period cpu_rt_runtime cpu_shares cpus cpuset credential_spec depends_on develop
    device_cgroup_rules devices dns dns_opt dns_search domainname expose external_links extra_hosts group_add
    healthcheck hostname init ipc isolation label_file labels links logging mac_address mem_limit mem_reservation
    mem_swappiness memswap_limit models networks oom_kill_disable oom_score_adj pid pids_limit platform post_start
    pre_stop privileged profiles provider pull_policy read_only restart runtime scale security_opt stdin_open
    stop_grace_period stop_signal storage_opt sysctls tmpfs tty use_api_socket user userns_mode uts version volumes_from
"""
_ASIDE = frozenset(_ASIDE_TEXT.split())
_TOP = frozenset(["name", "version", "services", "networks", "volumes", "configs", "secrets", "models", "include"])
# these change what the server gets, from files that are not here
_ELSEWHERE = ("env_file", "extends", "secrets")
_KNOWN = {*_READ.split(), *_ASIDE, *_ELSEWHERE}


def _read(pasted: Pasted) -> Reading | None:
    found = next((mapping for mapping in pasted.mappings if isinstance(mapping.get("services"), dict)), None)
    if found is None:
        return _bare(pasted)
    script, findings, candidates = Script(), [], []
    for name, service in found["services"].items():
        if not isinstance(service, dict):
            raise UsageError(f"the service {name!r} is no mapping of keys to values", where="--command")
        script.files.update(_config_files(found, service))
        candidates.append(_candidate(str(name), service))
    strange = [key for key in map(str, found) if key not in _TOP and not key.startswith("x-")]
    message = "is no key of a Compose file, which is refused"
    findings += [Finding("error", "compose-key", key, message) for key in strange]
    findings += [_not_included(found["include"])] if found.get("include") else []
    return Reading("a Compose file", tuple(candidates), script, tuple(findings))


def _bare(pasted: Pasted) -> Reading | None:
    """Read a service pasted alone: a mapping with an image and a command, or one that holds such a mapping by name."""
    for mapping in pasted.mappings:
        services = {"service": mapping, **mapping} if "image" in mapping else mapping
        found = {
            str(name): service
            for name, service in services.items()
            if isinstance(service, dict) and isinstance(service.get("image"), str) and service.keys() <= _KNOWN
        }
        if found and len(found) == len(services if "image" not in mapping else found):
            candidates = tuple(_candidate(name, service) for name, service in found.items())
            return Reading("a service of a Compose file", candidates, Script())
    return None


def _not_included(files: Any) -> Finding:
    message = f"{files} is not read: its services are not checked"
    return Finding("warning", "file-not-read", "include", message, "Paste what `docker compose config` prints")


def _candidate(name: str, content: Mapping[str, Any]) -> Candidate:
    service = Service(content)
    entrypoint, words = service.words("entrypoint"), service.words("command")
    env, secrets = container_environment(service.environment())
    container = Container(
        image=service.text(content.get("image", "")),
        shm_size=service.text(content["shm_size"]) if content.get("shm_size") is not None else None,
        ulimits=service.limits(),
        workdir=content.get("working_dir"),
        mounts=service.mounts(),
        ports=service.ports(),
        shares_network=content.get("network_mode") == "host",
        not_carried=tuple(_not_carried(service)),
    )
    findings = [*service.findings, *secrets, *_key_findings(content)]
    rest = [*entrypoint[1:], *words]
    docker = DockerLine(container, env, rest, entrypoint[0] if entrypoint else None, findings)
    command = Command([], unknown=tuple(dict.fromkeys(service.unknown)))
    return Candidate(command, docker, name, _devices(content))


def _not_carried(service: Service) -> Iterator[str]:
    """Yield what a recipe has no place for, in words."""
    yield from (f"{key} of the service" for key in service.content if key in _ASIDE)
    for host, inside in service.ports().items():
        if host != inside:
            yield f"the published port {host}:{inside} of the service"


def _key_findings(content: Mapping[str, Any]) -> Iterator[Finding]:
    for key in map(str, content):
        if key in _ELSEWHERE:
            message = "names another file or service, which is not read: it may change what the server gets"
            yield Finding("warning", "file-not-read", key, message, "Paste what `docker compose config` prints")
        elif key not in _KNOWN and not key.startswith("x-"):
            message = f"is no key of a service{suggestion(key, sorted(_KNOWN))}; Compose refuses the file"
            yield Finding("error", "compose-key", key, message)


def _config_files(file: Mapping[str, Any], service: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the files that a Compose file writes itself, under the top-level key `configs`."""
    known = file.get("configs")
    for item in service.get("configs") or ():
        source = item.get("source") if isinstance(item, dict) else item
        content = known.get(source, {}).get("content") if isinstance(known, dict) else None
        if isinstance(content, str):
            yield str(source), compose_text(content)[0]


def _devices(service: Mapping[str, Any]) -> int | None:
    """Return how many GPUs a service reserves, None where it takes all or does not say."""
    place: Any = service
    for key in ("deploy", "resources", "reservations", "devices"):
        place = place.get(key) if isinstance(place, dict) else None
    for device in place if isinstance(place, list) else ():
        if not isinstance(device, dict):
            continue
        if isinstance(device.get("device_ids"), list):
            return len(device["device_ids"])
        count = device.get("count")
        return count if isinstance(count, int) else None
    return None


FORM = Form(_read, rank=10)
