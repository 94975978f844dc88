"""Apptainer and Singularity: `exec`, `run` and `instance run` of an image around a command."""

from __future__ import annotations

from pathlib import PurePosixPath

from trtnemo.launch.pasted.containers.docker_line import DockerLine, container_environment
from trtnemo.launch.pasted.shell.command import Command
from trtnemo.launch.servers.invocation import Container

_PROGRAMS = ("apptainer", "singularity")
_VALUED_TEXT = """
    --bind -B --mount --env --env-file --home -H --pwd --cwd --workdir -W --overlay -o --scratch -S --security --network
    --hostname --app --apply-cgroups --fusemount
"""
_VALUED = frozenset(_VALUED_TEXT.split())


def apptainer_container(command: Command) -> DockerLine | None:
    """Return the container of a line, whose words come after the image; None for another program."""
    program, *rest = command.words
    if PurePosixPath(program).name not in _PROGRAMS:
        return None
    while rest and rest[0].startswith("-"):
        rest.pop(0)
    if rest[:1] == ["instance"]:
        rest.pop(0)
    if rest[:1] not in (["exec"], ["run"], ["start"]):
        return None
    is_instance = "instance" in command.words[:4]
    # `exec` does not run the image's own entry point
    entrypoint = "" if rest.pop(0) == "exec" else None
    given: list[tuple[str, str]] = []
    while rest and rest[0].startswith("-"):
        name, equals, value = rest.pop(0).partition("=")
        if name in _VALUED:
            given.append((name, value if equals else rest.pop(0) if rest else ""))
    if not rest:
        return None
    image = rest.pop(0).removeprefix("docker://")
    words = rest[1:] if is_instance else rest
    binds = [item for name, value in given if name in ("--bind", "-B") for item in value.split(",")]
    mounts = {pair.partition(":")[0]: pair.partition(":")[2] or pair for pair in binds if pair}
    env, secrets = container_environment(
        item for name, value in given if name == "--env" for item in value.split(",") if "=" in item
    )
    # the caller's variables reach the container, and its network is the host's
    container = Container(image=image, mounts=mounts, shares_network=True)
    return DockerLine(container, {**command.environment, **env}, words, entrypoint, secrets)
