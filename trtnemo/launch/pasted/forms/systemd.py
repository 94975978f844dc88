"""A unit of systemd: a service's ExecStart, or a container of Podman's Quadlet; and a program of supervisord."""

from __future__ import annotations

import re

from trtnemo.errors import UsageError
from trtnemo.findings import Finding
from trtnemo.launch.pasted.containers.docker_line import DockerLine, container_environment, published_ports
from trtnemo.launch.pasted.forms.form import Form, Pasted
from trtnemo.launch.pasted.shell.command import Command, without_wrappers
from trtnemo.launch.pasted.shell.script import Script
from trtnemo.launch.pasted.start import Candidate, Reading, docker_of
from trtnemo.launch.pasted.unit_file import Unit, assignments, read_unit, unit_words, values
from trtnemo.launch.servers.invocation import Container

_IS_UNIT = re.compile(r"^\[(Service|Container|program:[^\]\n]+)\][ \t]*$", re.MULTILINE)


def _read(pasted: Pasted) -> Reading | None:
    if not _IS_UNIT.search(pasted.text):
        return None
    unit = read_unit(pasted.text)
    if "Container" in unit:
        return Reading("a Quadlet of Podman", (_container(unit),), Script())
    programs = [section for section in unit if section.startswith("program:")]
    if programs:
        return Reading("a configuration of supervisord", tuple(_program(unit, name) for name in programs), Script())
    started = values(unit, "Service", "ExecStart")
    if not started:
        raise UsageError("the unit has no ExecStart", where="--command")
    environment = assignments(values(unit, "Service", "Environment"))
    candidates = []
    for line in started:
        words, unknown = unit_words(line.lstrip("@-:+!|"), environment)
        in_front, rest = without_wrappers(words)
        if rest:
            command = Command(rest, environment, in_front, unknown=tuple(unknown))
            candidates.append(Candidate(command, docker_of(command)))
    files = values(unit, "Service", "EnvironmentFile")
    return Reading("a systemd unit", tuple(candidates), Script(), tuple(_unread(files)))


def _program(unit: Unit, section: str) -> Candidate:
    """Return what a program of supervisord runs; its variables stand in one line, separated by commas."""
    given = " ".join(values(unit, section, "environment")).replace(",", " ")
    words, unknown = unit_words(" ".join(values(unit, section, "command")), {})
    in_front, rest = without_wrappers(words)
    command = Command(rest or [section], assignments([given]), in_front, unknown=tuple(unknown))
    return Candidate(command, docker_of(command), section.partition(":")[2])


def _unread(files: list[str]) -> list[Finding]:
    message = "is not read: it may set variables that the server reads"
    return [Finding("warning", "file-not-read", f"EnvironmentFile={name}", message) for name in files]


def _container(unit: Unit) -> Candidate:
    images = values(unit, "Container", "Image")
    if not images:
        raise UsageError("the Quadlet names no Image", where="--command")
    given = assignments(values(unit, "Container", "Environment"))
    env, secrets = container_environment(f"{name}={value}" for name, value in given.items())
    words, unknown = unit_words(" ".join(values(unit, "Container", "Exec")[-1:]), given)
    entrypoint = " ".join(values(unit, "Container", "Entrypoint")[-1:]) or None
    mounts = (mount.partition(":") for mount in values(unit, "Container", "Volume"))
    container = Container(
        image=images[-1],
        shm_size=" ".join(values(unit, "Container", "ShmSize")[-1:]) or None,
        workdir=" ".join(values(unit, "Container", "WorkingDir")[-1:]) or None,
        mounts={source: target for source, _, target in mounts},
        ports=published_ports(values(unit, "Container", "PublishPort")),
        shares_network="host" in values(unit, "Container", "Network"),
    )
    unread = _unread(values(unit, "Container", "EnvironmentFile"))
    docker = DockerLine(container, env, words, entrypoint, [*secrets, *unread])
    return Candidate(Command([], unknown=tuple(unknown)), docker)


FORM = Form(_read, rank=30)
