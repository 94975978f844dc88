"""A pasted text as the server start that it describes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from trtnemo.errors import RecipeError, UsageError
from trtnemo.findings import Finding
from trtnemo.launch.options.arguments import ParsedArguments, parse_arguments
from trtnemo.launch.pasted.environment import environment_of
from trtnemo.launch.pasted.options_file import words_of_file
from trtnemo.launch.pasted.pasted_file import PastedFiles
from trtnemo.launch.pasted.several import put_together
from trtnemo.launch.pasted.start import Reading, Start, choose, find_starts
from trtnemo.launch.pasted.text import read_text
from trtnemo.launch.pasted.unknown import (
    require_value,
    typographic_findings,
    unknown_findings,
    unknown_of,
    unknown_variables,
)
from trtnemo.launch.servers.invocation import Invocation
from trtnemo.launch.servers.registry import all_servers, find_server
from trtnemo.launch.servers.surface import Surface, choose_surface

_TAG_VERSION = re.compile(r"[:_]v?(\d+\.\d+\.\d+(?:rc\d+)?(?:\.?post\d+)?)\b")
_INSTALLED = re.compile(r"([\w-]+)(?:\[[\w,]*\])?==([\w.]+)")
_MODEL_NAMES = ("--model", "--model-path")


def read_command(text: str, version: str | None = None, part: str | None = None) -> Invocation:
    """Return the server start that a pasted text describes.

    `version` says which one where the text does not, `part` which of several starts is meant. Raises UsageError when it
    holds no such command, or several.
    """
    reading = put_together(read_text(text))
    starts = find_starts(reading)
    if not starts:
        raise _nothing_found(reading)
    start = choose(starts, part)
    return _invocation(reading, start, _known(start.server, version) or _version(reading, start))


def between_halves(text: str, version: str | None = None) -> list[Finding]:
    """Return what is wrong with two halves of a server together, where a text starts both; raises UsageError."""
    reading = put_together(read_text(text))
    starts = find_starts(reading)
    if len(starts) < 2:
        return []
    halves: dict[Any, Invocation] = {}
    for start in starts:
        found = _invocation(reading, start, _known(start.server, version) or _version(reading, start))
        halves.setdefault(start.half or found.option("--disaggregation-mode"), found)
    prefill, decode = halves.get("prefill"), halves.get("decode")
    if prefill is None or decode is None or prefill.server != decode.server:
        return []
    return find_server(prefill.server).in_cluster.between(prefill, decode)


def _nothing_found(reading: Reading) -> UsageError:
    known = ", ".join(" ".join(server.dialect.words) for server in all_servers().values())
    images = [candidate.docker.container.image for candidate in reading.candidates if candidate.docker is not None]
    seen = f"; its images are {', '.join(dict.fromkeys(images))}" if images else ""
    return UsageError(
        f"is read as {reading.form} and holds none of these commands: {known}, or docker run of one of their "
        f"images{seen}",
        where="--command",
        remedy="Paste the whole command, and the files that it names",
    )


def _known(server: str, version: str | None) -> str | None:
    """Return the version that `--server-version` gives; raises UsageError where it is none."""
    try:
        choose_surface(server, version)
    except RecipeError as error:
        what = error.what.removeprefix(f"'{server}.version' ")
        raise UsageError(what, where="--server-version", remedy=error.remedy) from None
    return version


def _version(reading: Reading, start: Start) -> str | None:
    if start.docker is not None:
        match = _TAG_VERSION.search(start.docker.container.image)
        tag = match.group(1) if match else None
        # the tag of Dynamo's image is its own version, not that of the server in it
        return find_server(start.server).in_cluster.worker.versions.get(str(tag)) if start.worker else tag
    for script in (*start.nested, reading.script):
        for command in script.commands:
            for word in command.words:
                match = _INSTALLED.fullmatch(word)
                if match and match.group(1).replace("-", "_") == find_server(start.server).package:
                    return match.group(2)
    return None


def _invocation(reading: Reading, start: Start, version: str | None) -> Invocation:
    server, record, docker = find_server(start.server), choose_surface(start.server, version), start.docker
    surface, container = record.surface, docker.container if docker else None
    if start.worker and container is not None:
        container = replace(container, shares_network=True)  # a worker has no port of the server's
    files = PastedFiles({**reading.script.files, **_files(start)}, container, start.inside)
    words, problems = words_of_file(server, surface, start, files)
    parsed = parse_arguments(surface, words)
    options, model = _model(surface, parsed, start)
    named = server.file_option
    path = options.pop(named, None) if named is not None else None
    llm_args: Mapping[str, Any] | None = None
    if named is not None and path:
        require_value(str(path), start)
        llm_args, found = files.read(named, str(path))
        problems += found
    env, secrets = environment_of(surface, start.command, docker)
    unset = unknown_of(start)
    stray = [
        Finding("error", "stray-word", word, "is not an option's value; the server stops at it")
        for word in parsed.positional[1:]
        if not any(piece in word for piece in unset)
    ]
    of_the_text = [*unknown_findings(start, model), *typographic_findings(words)]
    of_the_text += unknown_variables(start, surface, env)
    of_the_form = [*reading.findings, *(finding for script in start.nested for finding in script.findings)]
    of_docker = docker.findings if docker else []
    invocation = server.start(
        record=record,
        model=model,
        options=options,
        llm_args=llm_args,
        env=env,
        container=container,
        findings=(*of_the_form, *of_docker, *parsed.findings, *stray, *of_the_text, *start.strays, *problems, *secrets),
        is_pasted=True,
        unknown=parsed.unknown,
        config_path=None if path is None else str(path),
        form=reading.form,
        unset=unset,
        stray=tuple(parsed.positional[1:]),
        device_count=_device_count(start, env),
    )
    asks_port = docker is not None and docker.later is not None and not start.worker
    later = docker.later(invocation.port) if docker is not None and docker.later is not None and asks_port else []
    return replace(invocation, findings=(*invocation.findings, *later))


def _device_count(start: Start, env: Mapping[str, str | None]) -> int | None:
    """Return how many devices the server sees, where the text says it."""
    visible = env.get("CUDA_VISIBLE_DEVICES")
    return start.device_count if visible is None else len([name for name in visible.split(",") if name.strip()])


def _files(start: Start) -> dict[str, str]:
    return {**start.files, **{name: text for script in start.nested for name, text in script.files.items()}}


def _model(surface: Surface, parsed: ParsedArguments, start: Start) -> tuple[dict[str, Any], str]:
    """Return the options without the model's, and the model; raises UsageError where none is named."""
    options, model = dict(parsed.values), None
    for name in _MODEL_NAMES:
        known = surface.find(name)
        given = options.pop(known.name, None) if known is not None else None
        model = model or given
    model = model or (parsed.positional[0] if parsed.positional else None)
    if model is None:
        raise UsageError("the command names no model", where="--command")
    require_value(str(model), start)
    return options, str(model)
