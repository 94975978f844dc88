"""A pasted server command, or a docker line around one, with the YAML it writes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from trtnemo.errors import RecipeError, UsageError
from trtnemo.findings import Finding
from trtnemo.launch.options.arguments import parse_arguments
from trtnemo.launch.pasted.docker_line import DockerLine, read_docker
from trtnemo.launch.pasted.pasted_file import read_config
from trtnemo.launch.pasted.shell import Command, Script, read_script, unset_variables
from trtnemo.launch.servers.invocation import Invocation
from trtnemo.launch.servers.registry import all_servers, find_server
from trtnemo.launch.servers.surface import Surface, choose_surface
from trtnemo.recipe.external import is_secret

_TAG_VERSION = re.compile(r":v?(\d+\.\d+\.\d+(?:rc\d+)?(?:\.?post\d+)?)\b")
_INSTALLED = re.compile(r"([\w-]+)(?:\[[\w,]*\])?==([\w.]+)")
_UNSET = "the text does not say what it holds: what is said of it below is not said of its value"
_MODEL_NAMES = ("--model", "--model-path")


def read_command(text: str, version: str | None = None) -> Invocation:
    """Return the server start that a pasted text describes; `version` says which one where the text does not.

    Raises UsageError when it holds no such command.
    """
    script = read_script(text)
    for outer in script.commands:
        docker = _docker(outer)
        command, inner = _unwrapped(script, outer, docker)
        found = _server_words(command.words, docker)
        if found is not None:
            server, words = found
            inside = inner.files if inner is not None and docker is not None else ()
            strays = _strays(script.commands, outer) if inner is None else _strays(inner.commands, command)
            start = _Start(server, words, command, docker, frozenset(inside), strays)
            return _invocation(script, start, _known(server, version) or _version(script, server, docker))
    known = ", ".join(" ".join(server.dialect.words) for server in all_servers().values())
    raise UsageError(
        f"holds none of these commands: {known}, or docker run of one of their images",
        where="--command",
        remedy="Paste the whole command, YAML included",
    )


@dataclass(frozen=True)
class _Start:
    """The command that starts the server: its words after the program, and the container around it.

    `inside` are the files that a shell in the container writes, `strays` findings on lines that look like its options.
    """

    server: str
    words: list[str]
    command: Command
    docker: DockerLine | None
    inside: frozenset[str]
    strays: tuple[Finding, ...]


def _strays(commands: list[Command], start: Command) -> tuple[Finding, ...]:
    """Return a finding for each line after a start that begins with an option: a shell takes it for a command."""
    place = next((number for number, command in enumerate(commands) if command is start), len(commands))
    message = "stands on a line of its own, and the line before it does not go on: the server does not see it"
    remedy = "End every line of the command but the last with a backslash, and leave no comment between them"
    found = [command.words[0].partition("=")[0] for command in commands[place + 1 :]]
    return tuple(Finding("error", "line-dropped", word, message, remedy) for word in found if word.startswith("-"))


def _docker(command: Command) -> DockerLine | None:
    """Return what a `docker run` line says."""
    program, *rest = command.words
    if PurePosixPath(program).name not in ("docker", "podman", "nerdctl"):
        return None
    rest = rest[1:] if rest[:1] == ["container"] else rest
    docker = read_docker(rest[1:]) if rest[:1] == ["run"] else None
    if docker is not None:
        given = {**command.exported, **command.in_front}
        for name, value in docker.env.items():
            if value is None and name in given and not is_secret(name):
                docker.env[name] = given[name]
    return docker


def _unwrapped(script: Script, command: Command, docker: DockerLine | None) -> tuple[Command, Script | None]:
    """Return the command that a shell inside is given by `-c` with the script it stands in, or the command itself."""
    if docker is not None:
        # nothing of the shell outside reaches the container, but by -e
        words = [docker.entrypoint, *docker.words] if docker.entrypoint else docker.words
        command = Command(words, {name: value for name, value in docker.env.items() if value is not None})
    for place, word in enumerate(command.words[:-2]):
        if PurePosixPath(word).name in ("sh", "bash") and command.words[place + 1].endswith("c"):
            inner = read_script(command.words[place + 2], {**command.exported, **command.in_front})
            script.files.update(inner.files)
            found = next((one for one in inner.commands if _server_words(one.words, None)), command)
            return found, inner
    return command, None


def _known(server: str, version: str | None) -> str | None:
    """Return the version that `--server-version` gives; raises UsageError where it is none."""
    try:
        choose_surface(server, version)
    except RecipeError as error:
        what = error.what.removeprefix(f"'{server}.version' ")
        raise UsageError(what, where="--server-version", remedy=error.remedy) from None
    return version


def _server_words(words: list[str], docker: DockerLine | None) -> tuple[str, list[str]] | None:
    """Return which server the words start, and the words after its program."""
    servers = all_servers()
    for place in range(len(words)):
        for name, server in servers.items():
            after = server.words_after_start(words[place:])
            if after is not None:
                return name, after
    if docker is None:
        return None
    repository = docker.container.image.rpartition(":")[0] or docker.container.image
    found = next((name for name, server in servers.items() if server.image in repository), None)
    return (found, words) if found is not None and servers[found].dialect.image_starts_it else None


def _version(script: Script, server: str, docker: DockerLine | None) -> str | None:
    if docker is not None:
        match = _TAG_VERSION.search(docker.container.image)
        return match.group(1) if match else None
    for command in script.commands:
        for word in command.words:
            match = _INSTALLED.fullmatch(word)
            if match and match.group(1).replace("-", "_") == find_server(server).package:
                return match.group(2)
    return None


def _invocation(script: Script, start: _Start, version: str | None) -> Invocation:
    server, record, docker = find_server(start.server), choose_surface(start.server, version), start.docker
    surface = record.surface
    parsed = parse_arguments(surface, start.words)
    options, model = dict(parsed.values), None
    for name in _MODEL_NAMES:
        known = surface.find(name)
        given = options.pop(known.name, None) if known is not None else None
        model = model or given
    model = model or (parsed.positional[0] if parsed.positional else None)
    if model is None:
        raise UsageError("the command names no model", where="--command")
    stray = [
        Finding("error", "stray-word", word, "is not an option's value; the server stops at it")
        for word in parsed.positional[1:]
    ]
    container = docker.container if docker else None
    named = server.file_option
    path = options.pop(named, None) if named is not None else None
    llm_args: Mapping[str, Any] | None = None
    problems: list[Finding] = []
    if named is not None and path:
        llm_args, problems = read_config(named, str(path), script.files, container, start.inside)
    stray += [
        Finding("warning", "variable-not-set", name, _UNSET, "Write its value, or set it in the text")
        for name in unset_variables(start.words)
    ]
    env, secrets = _environment(surface, start.command, docker)
    return server.start(
        record=record,
        model=model,
        options=options,
        llm_args=llm_args,
        env=env,
        container=container,
        findings=(*(docker.findings if docker else ()), *parsed.findings, *stray, *start.strays, *problems, *secrets),
        is_pasted=True,
        unknown=parsed.unknown,
        config_path=None if path is None else str(path),
    )


def _environment(
    surface: Surface, command: Command, docker: DockerLine | None
) -> tuple[dict[str, str | None], list[Finding]]:
    """Return what the server gets as its environment, secrets by name alone, and what it does not get."""
    given = {name: value for name, value in command.exported.items() if surface.reads(name)} | dict(command.in_front)
    env: dict[str, str | None] = dict(docker.env) if docker else {}
    findings = []
    for name, value in given.items():
        passes = value in (f"${name}", f"${{{name}}}")
        if is_secret(name) and not passes:
            message = "the value of a secret stands in the text; it is not kept"
            findings.append(Finding("note", "secret-in-command", name, message, "Export it in your shell beforehand"))
        env[name] = None if passes or is_secret(name) else value
    for name in sorted(filter(surface.reads, command.hidden)):
        message = "is set but not exported: the server does not see it"
        findings.append(Finding("warning", "not-exported", name, message, f"Write export {name}=..."))
    return env, findings
