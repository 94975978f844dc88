"""Several servers that one file puts together, each as a start of its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any

import yaml

from trtnemo.launch.pasted.pasted_file import named
from trtnemo.launch.pasted.shell.command import Command
from trtnemo.launch.pasted.shell.script import Script
from trtnemo.launch.pasted.start import Candidate, Reading
from trtnemo.launch.pasted.yaml_text import load_yaml
from trtnemo.launch.servers.registry import all_servers
from trtnemo.launch.servers.server import Server, Several


def read_several(content: Mapping[str, Any], script: Script | None = None) -> Reading | None:
    """Return the servers of a file, each with a file of its own, or None where it puts none together."""
    for server in all_servers().values():
        found = server.several(content)
        if found is not None:
            return _reading(server, found, script or Script())
    return None


def _reading(server: Server, found: Several, script: Script) -> Reading:
    candidates = []
    for part, content in found.files.items():
        name = f"{part}.yml"
        script.files[name] = yaml.safe_dump(dict(content), sort_keys=False)
        words = [*server.dialect.words, found.model, f"{server.file_option}", name]
        candidates.append(Candidate(Command(words), part=part))
    return Reading(found.form, tuple(candidates), script, found.findings)


def put_together(reading: Reading) -> Reading:
    """Return the servers that a command of a text puts together from a file of the text, or the text as it is."""
    for path in _files_of_several(reading):
        name = named(reading.script.files, path)
        found = None if name is None else read_several(load_yaml(reading.script.files[name]).mapping, reading.script)
        if found is not None:
            return found
    return reading


def _files_of_several(reading: Reading) -> Iterator[str]:
    """Yield the files of a text's commands that put servers together."""
    servers = {server.program: server for server in all_servers().values()}
    for candidate in reading.candidates:
        words = candidate.docker.words if candidate.docker is not None else candidate.command.words
        for place, word in enumerate(words):
            server = servers.get(PurePosixPath(word).name)
            path = None if server is None else server.file_of_several(words[place:])
            if path is not None:
                yield path
