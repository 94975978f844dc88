"""`kubectl run`: a container by its image, and the words behind `--`."""

from __future__ import annotations

from pathlib import PurePosixPath

from trtnemo.launch.pasted.containers.docker_line import DockerLine, container_environment
from trtnemo.launch.pasted.shell.command import Command
from trtnemo.launch.servers.invocation import Container


def kubectl_container(command: Command) -> DockerLine | None:
    """Return the container that `kubectl run NAME --image=IMAGE -- WORDS` starts; None for another line."""
    words = command.words
    if PurePosixPath(words[0]).name not in ("kubectl", "oc") or "run" not in words[1:3]:
        return None
    end = words.index("--") if "--" in words else len(words)
    given = _pairs(words[:end])
    image = next((value for name, value in given if name == "--image"), None)
    if image is None:
        return None
    env, secrets = container_environment(value for name, value in given if name == "--env")
    rest, replaces = words[end + 1 :], "--command" in words[:end]
    container = Container(image=image, shares_network=True)
    is_program = replaces and bool(rest)
    return DockerLine(container, env, rest[1:] if is_program else rest, rest[0] if is_program else None, secrets)


def _pairs(words: list[str]) -> list[tuple[str, str]]:
    found = []
    for place, word in enumerate(words):
        name, equals, value = word.partition("=")
        if name in ("--image", "--env"):
            found.append((name, value if equals else "".join(words[place + 1 : place + 2])))
    return found
