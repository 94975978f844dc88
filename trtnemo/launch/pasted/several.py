"""Several servers that one file puts together, each as a start of its own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

import yaml

from trtnemo.launch.pasted.shell.command import Command
from trtnemo.launch.pasted.shell.script import Script
from trtnemo.launch.pasted.start import Candidate, Reading
from trtnemo.launch.pasted.yaml_text import load_mapping
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
    for candidate in reading.candidates:
        words = candidate.docker.words if candidate.docker is not None else candidate.command.words
        for place in range(len(words)):
            paths = (server.file_of_several(words[place:]) for server in all_servers().values())
            path = next((path for path in paths if path is not None), None)
            text = None if path is None else _written(reading, path)
            found = None if text is None else read_several(load_mapping(text), reading.script)
            if found is not None:
                return found
    return reading


def _written(reading: Reading, path: str) -> str | None:
    name = PurePosixPath(path).name
    return next((text for file, text in reading.script.files.items() if PurePosixPath(file).name == name), None)
