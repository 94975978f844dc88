"""The words of `docker run`, told apart: what the engine is to do, the image, and the words for the image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from trtnemo.errors import UsageError
from trtnemo.launch.finding import Finding
from trtnemo.launch.invocation import Container
from trtnemo.recipe.external import is_secret

_VALUED = {
    "--env", "--volume", "--publish", "--shm-size", "--ulimit", "--workdir", "--gpus", "--name", "--network", "--net",
    "--ipc", "--user", "--runtime", "--entrypoint", "--mount", "--env-file", "--restart", "--hostname", "--memory",
    "--cpus", "--device", "--label", "--platform", "--pid", "--security-opt", "--cap-add", "--log-driver", "--pull",
}  # fmt: skip
_SHORT = {"-e": "--env", "-v": "--volume", "-p": "--publish", "-w": "--workdir", "-u": "--user", "-h": "--hostname",
          "-m": "--memory", "-l": "--label"}  # fmt: skip
_BARE = {"--rm", "-it", "-ti", "-i", "-t", "-d", "-dit", "--interactive", "--tty", "--detach", "--init", "--privileged"}


@dataclass
class DockerLine:
    """A `docker run` line, read."""

    container: Container
    env: dict[str, str | None] = field(default_factory=dict)
    words: list[str] = field(default_factory=list)
    entrypoint: str | None = None
    findings: list[Finding] = field(default_factory=list)


def read_docker(words: Sequence[str]) -> DockerLine:
    """Return what the words after `docker run` say; raises UsageError when no image is named."""
    rest, given, findings = list(words), [], []
    while rest and rest[0].startswith("-"):
        word = rest.pop(0)
        name, has_value, value = word.partition("=")
        if word[:2] in _SHORT and len(word) > 2 and not word.startswith("--"):
            name, has_value, value = word[:2], "=", word[2:]
        name = _SHORT.get(name, name)
        if name in _VALUED:
            if not has_value:
                value = rest.pop(0) if rest else ""
            given.append((name, value))
        elif name not in _BARE and not (name.startswith("-") and not name.startswith("--")):
            findings.append(Finding("note", "docker-option", name, "is not looked at"))
    if not rest:
        raise UsageError("the docker line names no image")
    return _interpret(given, rest.pop(0), rest, findings)


def _interpret(given: list[tuple[str, str]], image: str, words: list[str], findings: list[Finding]) -> DockerLine:
    values = dict(given)
    env: dict[str, str | None] = {}
    for name, value in given:
        if name == "--env":
            variable, has_value, text = value.partition("=")
            passes = not has_value or text in (f"${variable}", f"${{{variable}}}")
            if not passes and is_secret(variable):
                message = "a secret stands in the command, where every process list shows it"
                findings.append(Finding("warning", "secret-in-command", variable, message, f"Write -e {variable}"))
            env[variable] = None if passes or is_secret(variable) else text
    container = Container(
        image=image,
        shm_size=values.get("--shm-size"),
        ulimits={key: int(limit) for key, _, limit in _pairs(given, "--ulimit", "=") if limit.lstrip("-").isdigit()},
        workdir=values.get("--workdir"),
        mounts={source: target for source, _, target in _pairs(given, "--volume", ":")},
        ports=_ports(given),
    )
    return DockerLine(container, env, words, values.get("--entrypoint"), findings)


def _pairs(given: list[tuple[str, str]], wanted: str, separator: str) -> list[tuple[str, str, str]]:
    return [value.partition(separator) for name, value in given if name == wanted]


def _ports(given: list[tuple[str, str]]) -> dict[int, int]:
    """Return container ports by host port; `127.0.0.1:8000:8000` gives 8000: 8000."""
    ports = {}
    for name, value in given:
        parts = value.removesuffix("/tcp").split(":")
        if name == "--publish" and len(parts) >= 2 and all(part.isdigit() for part in parts[-2:]):
            ports[int(parts[-2])] = int(parts[-1])
    return ports
