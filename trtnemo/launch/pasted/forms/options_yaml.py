"""The options file of vLLM or SGLang (`--config`), and the YAML file of trtllm-serve, pasted without a command."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from trtnemo.errors import UsageError
from trtnemo.launch.pasted.forms.form import Form, Pasted
from trtnemo.launch.pasted.options_file import left_out_findings, option_words
from trtnemo.launch.pasted.shell.command import Command
from trtnemo.launch.pasted.shell.script import Script
from trtnemo.launch.pasted.start import Candidate, Reading
from trtnemo.launch.servers.registry import all_servers
from trtnemo.launch.servers.server import Server
from trtnemo.launch.servers.surface import load_surface, recorded_versions

_MODEL_KEYS = ("model", "model-path", "model_path", "model-tag", "model_tag")


def _read(pasted: Pasted) -> Reading | None:
    if len(pasted.mappings) != 1 or len(pasted.documents) != 1:
        return None
    content = {str(key): value for key, value in pasted.mappings[0].items()}
    names_model = any(isinstance(content.get(key), str) for key in _MODEL_KEYS)
    ranked = sorted(((_known(name, server, content), name) for name, server in all_servers().items()), reverse=True)
    best, name = ranked[0]
    if not names_model or best < max(2, len(content) // 2):
        _refuse_file(content)
        return None
    server = all_servers()[name]
    words = [*server.dialect.words, *option_words(_without_tag(content))]
    found = tuple(left_out_findings(content))
    return Reading(f"{server.dialect.title}'s options file", (Candidate(Command(words)),), Script(), found)


def _known(name: str, server: Server, content: Mapping[str, Any]) -> int:
    """Return how many keys are options of a server that takes a file of options, in the version that has the most."""
    if server.config_option is None:
        return 0
    surfaces = [load_surface(name, version) for version in recorded_versions(name)]
    return max(sum(surface.find(f"--{key}") is not None for key in content) for surface in surfaces)


def _without_tag(content: Mapping[str, Any]) -> dict[str, Any]:
    return {("model" if key in ("model-tag", "model_tag") else key): value for key, value in content.items()}


def _refuse_file(content: Mapping[str, Any]) -> None:
    """Raise UsageError for the YAML of a server whose options are not in it."""
    for name, server in all_servers().items():
        if server.file_option is None:
            continue
        surface = load_surface(name, recorded_versions(name)[-1])
        fields = surface.classes.get(surface.root or "", {})
        if content and sum(key in fields for key in content) > len(content) // 2:
            words = " ".join(server.dialect.words)
            raise UsageError(
                f"is the YAML file of {words} without the command that reads it",
                where="--command",
                remedy=f"Paste both: cat > f.yaml <<EOF, the file, EOF, and {words} MODEL {server.file_option} f.yaml",
            )


FORM = Form(_read, rank=60)
