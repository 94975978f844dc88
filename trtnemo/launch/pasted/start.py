"""A command that a pasted text runs, and the server start that may be in it."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath

from trtnemo.errors import UsageError
from trtnemo.findings import Finding
from trtnemo.launch.pasted.containers.apptainer import apptainer_container
from trtnemo.launch.pasted.containers.docker_line import DockerLine, read_docker
from trtnemo.launch.pasted.containers.dynamo_worker import worker_words
from trtnemo.launch.pasted.containers.kubectl import kubectl_container
from trtnemo.launch.pasted.containers.slurm import pyxis_container
from trtnemo.launch.pasted.shell.command import SHELLS, Command
from trtnemo.launch.pasted.shell.script import Script, read_script
from trtnemo.launch.servers.registry import all_servers
from trtnemo.recipe.external import is_secret

_ENGINES = ("docker", "podman", "nerdctl")
# programs that take a command as one text: what stands in it is read as a script of its own
_CARRIERS = ("eval", "ssh", "su", "tmux", "screen", "watch", "parallel")
# programs whose words are told, searched or installed, and never run
_TELLERS = frozenset("echo printf pip pip3 grep pkill pgrep git which man test kill cat log".split())  # noqa: SIM905
# a start is told by so many words of it
_WINDOW = 3


@dataclass(frozen=True)
class Candidate:
    """One command of a text: the container that runs it, if one does, and its name where the form gives it one.

    `device_count` is how many GPUs it gets, where the text says so; `inside` are files of the image itself, `files`
    those that it alone is given.
    """

    command: Command
    docker: DockerLine | None = None
    part: str = ""
    device_count: int | None = None
    inside: frozenset[str] = frozenset()
    files: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Reading:
    """A text as one form reads it: its commands, the files that it writes, and findings on the form itself.

    `form` says in words what the text was read as.
    """

    form: str
    candidates: tuple[Candidate, ...]
    script: Script
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True)
class Start:
    """The command that starts the server: its words after the program, and the container around it.

    `inside` are the files that a shell in the container writes, `strays` findings on lines that look like its options,
    `nested` the scripts, outermost first, that a shell was handed on the way, `files` those that it alone is given.
    `worker` says that a worker of NVIDIA Dynamo starts it, `half` which half of a server that is then.
    """

    server: str
    words: list[str]
    command: Command
    docker: DockerLine | None
    part: str
    inside: frozenset[str] = frozenset()
    strays: tuple[Finding, ...] = ()
    nested: tuple[Script, ...] = ()
    device_count: int | None = None
    files: Mapping[str, str] = field(default_factory=dict)
    worker: bool = False
    half: str | None = None


def shell_candidates(script: Script, device_count: int | None = None) -> tuple[Candidate, ...]:
    """Return the commands of a script."""
    return tuple(Candidate(command, container_of(command), device_count=device_count) for command in script.commands)


def find_starts(reading: Reading) -> list[Start]:
    """Return the server starts among the commands of a text, in its order; those without a name are numbered."""
    found: list[Start] = []
    commands = [candidate.command for candidate in reading.candidates]
    for candidate in reading.candidates:
        found += _starts_of(candidate, commands)
    return [replace(start, part=start.part or str(number)) for number, start in enumerate(found, start=1)]


def _starts_of(candidate: Candidate, siblings: list[Command]) -> list[Start]:
    """Return the starts in one command: its own, or those of a script that it hands to a shell."""
    command, docker = _in_container(candidate)
    scripts, count = _inner_scripts(command), candidate.device_count
    if count is None and docker is not None:
        count = docker.device_count
    starts = []
    for script in scripts:
        inside = candidate.inside | (frozenset(script.files) if docker is not None else frozenset())
        for inner in shell_candidates(script):
            for start in _starts_of(inner, script.commands):
                nested = (script, *start.nested)
                files = inside | start.inside
                around = start.docker or docker
                there = replace(start, docker=around, part=candidate.part, inside=files, nested=nested)
                starts.append(replace(there, device_count=count, files=candidate.files))
    if starts:
        return starts
    server_words = _server_words(command.words, docker)
    if server_words is None:
        return []
    server, words, (of_the_worker, half) = server_words
    strays = (*_strays(siblings, candidate.command), *_of_the_line(command, docker, server, words), *of_the_worker)
    start = Start(server, words, command, docker, candidate.part, candidate.inside, strays, device_count=count)
    return [replace(start, files=candidate.files, worker=bool(of_the_worker), half=half)]


def container_of(command: Command) -> DockerLine | None:
    """Return the container that a command runs, by whichever program."""
    for read in (docker_of, pyxis_container, apptainer_container, kubectl_container):
        found = read(command)
        if found is not None:
            return found
    return None


def docker_of(command: Command) -> DockerLine | None:
    """Return what a `docker run` line says."""
    program, *rest = command.words
    if PurePosixPath(program).name not in _ENGINES:
        return None
    rest = rest[1:] if rest[:1] == ["container"] else rest
    docker = read_docker(rest[1:]) if rest[:1] == ["run"] else None
    if docker is not None:
        for name, value in docker.env.items():
            if value is None and name in command.environment and not is_secret(name):
                docker.env[name] = command.environment[name]
    return docker


def _in_container(candidate: Candidate) -> tuple[Command, DockerLine | None]:
    """Return the command that a container runs, or the command itself."""
    command, docker = candidate.command, candidate.docker
    if docker is None:
        return command, None
    # nothing of the shell outside reaches the container, but by -e
    words = [docker.entrypoint, *docker.words] if docker.entrypoint else docker.words
    given = {name: value for name, value in docker.env.items() if value is not None}
    return replace(command, words=words, exported=given, in_front={}, hidden=frozenset()), docker


def _inner_scripts(command: Command) -> list[Script]:
    """Return the scripts that a command hands to a shell, by `-c` or as one text."""
    words, texts = command.words, []
    for place, word in enumerate(words):
        name = PurePosixPath(word).name
        following = words[place + 1 :]
        flags = list(itertools.takewhile(lambda flag: flag.startswith("-"), following))
        if name in SHELLS and any(flag.endswith("c") for flag in flags) and len(following) > len(flags):
            texts.append(following[len(flags)])
            break
        if name in _CARRIERS and "-c" not in following:
            texts += [text for text in following if " " in text and any(mark in text for mark in ("serve", "launch"))]
            break
    return [read_script(text, command.environment) for text in texts]


_Around = tuple[tuple[Finding, ...], str | None]


def _server_words(words: list[str], docker: DockerLine | None) -> tuple[str, list[str], _Around] | None:
    """Return which server the words start, the words after its program, and what is known of a worker around it."""
    servers = all_servers()
    if words and PurePosixPath(words[0]).name in _TELLERS:
        return None
    for place in range(len(words)):
        for name, server in servers.items():
            if server.words_after_start(words[place : place + _WINDOW]) is not None:
                return name, server.words_after_start(words[place:]) or [], ((), None)
            if words[place] == server.in_cluster.worker.module:
                return name, *worker_words(server, words[place + 1 :])
    if docker is None or docker.entrypoint is not None:
        return None
    repository = docker.container.image.rpartition(":")[0] or docker.container.image
    found = next((name for name, server in servers.items() if server.image in repository), None)
    return (found, words, ((), None)) if found is not None and servers[found].dialect.image_starts_it else None


def _strays(commands: list[Command], start: Command) -> tuple[Finding, ...]:
    """Return a finding for each line after a start that begins with an option: a shell takes it for a command."""
    place = next((number for number, command in enumerate(commands) if command is start), len(commands))
    message = "stands on a line of its own, and the line before it does not go on: the server does not see it"
    remedy = "End every line of the command but the last with a backslash, and leave no comment between them"
    found = [command.words[0].partition("=")[0] for command in commands[place + 1 :] if command.words]
    return tuple(Finding("error", "line-dropped", word, message, remedy) for word in found if word.startswith("-"))


def _of_the_line(command: Command, docker: DockerLine | None, server: str, words: list[str]) -> tuple[Finding, ...]:
    """Return findings on words that the server gets, and that do not stand behind it."""
    found = []
    if "xargs" in [PurePosixPath(word).name for word in command.words[: len(command.words) - len(words)]]:
        message = "gives the server words from another program's output, which is not read"
        found.append(Finding("warning", "text-not-read", "xargs", message, "Write the words out"))
    entry = all_servers()[server].dialect.entry_image
    is_own = docker is not None and docker.entrypoint is None and entry is not None and entry in docker.container.image
    if docker is not None and is_own and len(words) < len(docker.words):
        given = " ".join(docker.words[: len(docker.words) - len(words)])
        message = f"the image starts the server itself: it is given {given!r} as the model's name, and stops"
        remedy = "Leave the program out, or give --entrypoint"
        found.append(Finding("error", "image-starts-it", given, message, remedy))
    return tuple(found)


def choose(starts: list[Start], part: str | None) -> Start:
    """Return the start of a name, or the only one; raises UsageError where it is not clear which one is meant."""
    named = [start for start in starts if part is None or start.part == part]
    if len(named) == 1:
        return named[0]
    parts = list(dict.fromkeys(start.part for start in starts))
    listed = ", ".join(parts[:8]) + (f" and {len(parts) - 8} more" if len(parts) > 8 else "")
    if not named:
        raise UsageError(f"no server start in the text is called {part!r}", where="--part", remedy=f"Known: {listed}")
    raise UsageError(
        f"the text starts {len(starts)} servers ({listed}): which one is meant?",
        where="--command",
        remedy=f"Give --part {parts[0]}, or paste one of them alone",
    )
