"""A Dockerfile: what its last stage starts, by ENTRYPOINT and CMD."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from trtnemo.errors import UsageError
from trtnemo.findings import Finding
from trtnemo.launch.pasted.containers.docker_line import DockerLine, container_environment
from trtnemo.launch.pasted.containers.interpolation import compose_text
from trtnemo.launch.pasted.forms.form import Form, Pasted
from trtnemo.launch.pasted.shell.command import Command
from trtnemo.launch.pasted.shell.script import Script, read_script
from trtnemo.launch.pasted.start import Candidate, Reading
from trtnemo.launch.pasted.unit_file import assignments
from trtnemo.launch.servers.invocation import Container

_INSTRUCTION = re.compile(r"[ \t]*([A-Za-z]+)[ \t]+(.*)", re.DOTALL)
_IS_DOCKERFILE = re.compile(r"\A(?:[ \t]*(?:#[^\n]*|ARG[ \t][^\n]*)?\n)*[ \t]*FROM[ \t]+\S+", re.IGNORECASE)
_SHELL_FORM = ["/bin/sh", "-c"]
_DOCUMENT = re.compile(r"<<-?[ \t]*(['\"]?)(\w+)\1(?:[ \t]+(\S+))?")


@dataclass
class _Stage:
    """One stage: its image, environment, and what it starts."""

    image: str
    env: dict[str, str] = field(default_factory=dict)
    workdir: str | None = None
    entrypoint: list[str] | None = None
    cmd: list[str] | None = None


def _read(pasted: Pasted) -> Reading | None:
    if not _IS_DOCKERFILE.match(pasted.text):
        return None
    script = Script()
    stages: dict[str, _Stage] = {}
    given: dict[str, str] = {}
    stage = _Stage("")
    for name, rest in _instructions(pasted.text, script):
        if name == "ARG":
            given |= assignments([rest])
        elif name == "FROM":
            words = [word for word in _put_in(rest, given).split() if not word.startswith("--")]
            parent = stages.get(words[0])
            stage = (
                _Stage(parent.image, dict(parent.env), parent.workdir, parent.entrypoint, parent.cmd)
                if parent
                else (_Stage(words[0]))
            )
            if len(words) == 3 and words[1].upper() == "AS":
                stages[words[2]] = stage
        else:
            _note(stage, name, rest, {**given, **stage.env})
            if name == "RUN":
                _run(script, rest)
    return Reading("a Dockerfile", (replace(_candidate(stage), inside=frozenset(script.files)),), script)


def _instructions(text: str, script: Script) -> Iterator[tuple[str, str]]:
    """Yield (name, rest) of every instruction; comments inside a continued one are left out, as Docker does."""
    lines = text.split("\n")
    while lines:
        line = lines.pop(0)
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        while line.rstrip().endswith("\\") and lines:
            following = lines.pop(0)
            is_left_out = not following.strip() or following.lstrip().startswith("#")
            line = line if is_left_out else line.rstrip()[:-1] + " " + following
        match = _INSTRUCTION.match(line)
        if match is None:
            raise UsageError(f"the Dockerfile has no instruction in the line {line.strip()[:80]!r}", where="--command")
        document = _DOCUMENT.search(match[2])
        body = _document(lines, document[2]) if document else ""
        if document and match[1].upper() == "COPY":
            script.files[document[3] or ""] = body
        yield match[1].upper(), match[2] if document is None else f"{match[2]}\n{body}{document[2]}\n"


def _document(lines: list[str], end: str) -> str:
    body = []
    while lines and lines[0].strip() != end:
        body.append(lines.pop(0))
    if not lines:
        raise UsageError(f"the here-document is not closed by {end}", where="--command")
    lines.pop(0)
    return "".join(f"{line}\n" for line in body)


def _put_in(text: str, variables: dict[str, str]) -> str:
    """Return a text with variables put in: ARG, ENV and defaults."""

    def value(match: re.Match[str]) -> str:
        return variables.get(match[1] or match[2], match[0])

    return compose_text(re.sub(r"\$(?:(\w+)|\{(\w+)(?::?-[^{}]*)?\})", value, text))[0]


def _note(stage: _Stage, name: str, rest: str, variables: dict[str, str]) -> None:
    if name == "ENV":
        found = assignments([rest]) or dict([rest.split(None, 1)] if len(rest.split(None, 1)) == 2 else [])
        stage.env |= {key: _put_in(value, variables) for key, value in found.items()}
    elif name == "WORKDIR":
        stage.workdir = _put_in(rest.strip(), variables)
    elif name == "ENTRYPOINT":
        stage.entrypoint, stage.cmd = _words(rest), None
    elif name == "CMD":
        stage.cmd = _words(rest)


def _words(rest: str) -> list[str]:
    """Return the words of the exec form, a list in JSON, or of the shell form."""
    try:
        listed = json.loads(rest)
    except ValueError:
        return [*_SHELL_FORM, rest.strip()]
    if not isinstance(listed, list) or not all(isinstance(word, str) for word in listed):
        return [*_SHELL_FORM, rest.strip()]
    return listed


def _run(script: Script, rest: str) -> None:
    """Keep the files that a RUN instruction writes; what else it does is not looked at."""
    try:
        found = read_script(rest)
    except UsageError:
        return
    script.files.update(found.files)
    script.commands += found.commands


def _candidate(stage: _Stage) -> Candidate:
    env, secrets = container_environment(f"{name}={value}" for name, value in stage.env.items())
    container = Container(image=stage.image, workdir=stage.workdir)
    started, given = stage.entrypoint, stage.cmd or []
    if started and started[:2] == _SHELL_FORM and given:
        message = "is not read by Docker: the shell form of ENTRYPOINT takes no arguments"
        secrets.append(Finding("error", "line-dropped", "CMD", message, "Write ENTRYPOINT as a list"))
        given = []
    if not started and given[:2] == _SHELL_FORM:  # a shell, and no argument of the image's own program
        started, given = given, []
    entrypoint, rest = (started[0], [*started[1:], *given]) if started else (None, given)
    docker = DockerLine(container, env, rest, entrypoint, secrets)
    return Candidate(Command([]), docker)


FORM = Form(_read, rank=40)
