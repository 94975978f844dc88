"""The words of `docker run`, separated: what the engine is to do, the image, and the words for the image."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from trtnemo.errors import UsageError
from trtnemo.findings import Finding
from trtnemo.launch.pasted.containers.docker_options import ATTENDANCE, BARE, SHORT, VALUED
from trtnemo.launch.servers.invocation import Container
from trtnemo.recipe.external import holds_secret, is_secret

# What a recipe says of a container by itself.
_CARRIED = {"--env", "--volume", "--mount", "--shm-size", "--ulimit", "--workdir"}
_REFERENCE = re.compile(r"\$(?:\w+|\{\w+[^{}]*\})")
_MOUNT_KEYS = (("source", "src"), ("target", "destination", "dst"))


@dataclass
class DockerLine:
    """A container as a text describes it: a `docker run` line, a service of Compose, a container of a pod.

    `entrypoint` takes the place of the image's own; `device_count` is how many GPUs it gets, where the text says so;
    `later` finds what can be judged once the port is known that the server listens on.
    """

    container: Container
    env: dict[str, str | None] = field(default_factory=dict)
    words: list[str] = field(default_factory=list)
    entrypoint: str | None = None
    findings: list[Finding] = field(default_factory=list)
    device_count: int | None = None
    later: Callable[[int], list[Finding]] | None = None


def read_docker(words: Sequence[str]) -> DockerLine:
    """Return what the words after `docker run` say; raises UsageError when no image is named."""
    rest, given, findings = list(words), [], []
    while rest and rest[0].startswith("-"):
        word = rest.pop(0)
        if word == "--":
            break
        for name, value in _option(word, rest):
            given.append((name, value))
            if name not in VALUED | BARE:
                findings.append(Finding("note", "docker-option", name, "is not looked at"))
    if not rest:
        raise UsageError("the docker line names no image")
    return _interpret(given, rest.pop(0), rest, findings)


def _option(word: str, rest: list[str]) -> Iterator[tuple[str, str | None]]:
    """Yield (name, value) of every option in one word, `-itp` being three; a value may be the next word."""
    if word.startswith("--"):
        name, has_value, value = word.partition("=")
        if name in VALUED:
            yield name, value if has_value else rest.pop(0) if rest else ""
        else:
            yield name, None
        return
    for place, letter in enumerate(word[1:], start=2):
        if f"-{letter}" in SHORT:
            value = word[place:].removeprefix("=")
            yield SHORT[f"-{letter}"], value or (rest.pop(0) if rest else "")
            return
        yield f"-{letter}", None


def _interpret(
    given: list[tuple[str, str | None]], image: str, words: list[str], findings: list[Finding]
) -> DockerLine:
    valued = [(name, value) for name, value in given if value is not None]
    values = dict(valued)
    env, secrets = container_environment([value for name, value in valued if name == "--env"])
    container = Container(
        image=image,
        shm_size=values.get("--shm-size"),
        ulimits={key: int(limit) for key, _, limit in _pairs(valued, "--ulimit", "=") if limit.lstrip("-").isdigit()},
        workdir=values.get("--workdir"),
        mounts=_mounts(valued),
        ports=published_ports(value for name, value in valued if name == "--publish"),
        shares_network="host" in (values.get("--network"), values.get("--net")),
        not_carried=tuple(_not_carried(given)),
    )
    found = [*findings, *secrets]
    return DockerLine(container, env, words, values.get("--entrypoint"), found, _device_count(values))


def container_environment(given: Iterable[str]) -> tuple[dict[str, str | None], list[Finding]]:
    """Return variables from `NAME=value`, or `NAME` alone where the value comes from outside; secrets by name alone."""
    env: dict[str, str | None] = {}
    findings = []
    for item in given:
        variable, has_value, text = item.partition("=")
        hides, refers = is_secret(variable) or holds_secret(text), _REFERENCE.fullmatch(text) is not None
        passes = not has_value or (refers and (hides or variable in text)) or (hides and not text)
        if not passes and hides:
            message = "a secret stands in the text, and where it runs, in every list of processes or containers"
            remedy = f"Pass {variable} on by its name alone, such as -e {variable}"
            findings.append(Finding("warning", "secret-in-command", variable, message, remedy))
        env[variable] = None if passes or hides else text
    return env, findings


def mount_of(text: str) -> tuple[str, str]:
    """Return (path on the host, path in the container) of `-v`; a drive's colon separates nothing."""
    drive = text[:2] if re.match(r"[A-Za-z]:[\\/]", text) else ""
    source, _, target = text[len(drive) :].partition(":")
    return drive + source, target


def _pairs(given: list[tuple[str, str]], wanted: str, separator: str) -> list[tuple[str, str, str]]:
    return [value.partition(separator) for name, value in given if name == wanted]


def _mounts(given: list[tuple[str, str]]) -> dict[str, str]:
    """Return path in the container by path on the host, from `-v` and from `--mount`."""
    mounts = dict(mount_of(value) for name, value in given if name == "--volume")
    for name, value in given:
        if name == "--mount":
            keys = dict(part.partition("=")[::2] for part in value.split(","))
            source, target = (next((keys[key] for key in names if key in keys), "") for names in _MOUNT_KEYS)
            mounts[source] = target + (":ro" if keys.keys() & {"readonly", "ro"} else "")
    return mounts


def published_ports(given: Iterable[str]) -> dict[int, int]:
    """Return container ports by host port; `127.0.0.1:8000:8000` gives 8000: 8000."""
    ports = {}
    for value in given:
        parts = value.removesuffix("/tcp").split(":")
        if len(parts) >= 2 and all(part.isdecimal() and part.isascii() for part in parts[-2:]):
            ports[int(parts[-2])] = int(parts[-1])
    return ports


def _device_count(given: Mapping[str, str]) -> int | None:
    """Return how many GPUs `--gpus` gives, None where it gives all or does not say."""
    text = given.get("--gpus", "").strip("\"'")
    if text.isdecimal() and text.isascii():
        return int(text)
    names = text.removeprefix("device=") if text.startswith("device=") else ""
    return len(names.split(",")) if names else None


def _not_carried(given: list[tuple[str, str | None]]) -> Iterator[str]:
    """Yield the options that have no place in a recipe, as they are written."""
    for name, value in given:
        if name in _CARRIED | ATTENDANCE or (name, value) == ("--gpus", "all"):
            continue
        if (
            name == "--publish"
            and value is not None
            and len(set(value.removesuffix("/tcp").split(":"))) == 1
            and ":" in value
        ):
            continue
        yield name if value is None else f"{name} {value}"
