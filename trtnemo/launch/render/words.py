"""The words of a server's command, and where the files that it names lie."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml

from trtnemo.launch.servers.invocation import CONFIG_OPTION, MODEL_OPTIONS, PLUGIN_OPTION, Invocation
from trtnemo.launch.servers.surface import Option

CONFIG_FILE = "extra-llm-api-config.yml"
_PROGRAMS: dict[str, list[str]] = {
    "trtllm": ["trtllm-serve"],
    "vllm": ["vllm", "serve"],
    "sglang": ["python3", "-m", "sglang.launch_server"],
}


@dataclass(frozen=True)
class Places:
    """Where the YAML file and the reasoning plug-in lie, as the server sees them."""

    config: str
    plugin: str


HERE = Places(f"./{CONFIG_FILE}", "")


def container_places(invocation: Invocation) -> Places:
    """Return the paths inside the container: those of the model card."""
    workdir = invocation.container.workdir if invocation.container else None
    return Places(f"{workdir or '/workspace'}/{CONFIG_FILE}", "/app/super_v3_reasoning_parser.py")


def server_words(invocation: Invocation, places: Places, *, with_program: bool = True) -> list[str]:
    """Return every word of the server's command, program first."""
    model_option = MODEL_OPTIONS[invocation.server]
    words = list(_PROGRAMS[invocation.server]) if with_program else []
    words += [model_option, invocation.model] if model_option else [invocation.model]
    for name, value in invocation.options.items():
        option = invocation.surface.surface.find(name)
        for item in _as_taken(option, places.plugin if name == PLUGIN_OPTION and places.plugin else value):
            words += option_words(name, item)
    if config_text(invocation) is not None:
        words += [CONFIG_OPTION, places.config]
    return words


def _as_taken(option: Option | None, value: Any) -> list[Any]:
    """Return the values to write the option with: once, or once per value; a list for a JSON option is one word."""
    if not isinstance(value, list) or option is None or option.kind == "list":
        return [value]
    return value if option.repeatable else [_text(value)]


def option_words(name: str, value: Any) -> list[str]:
    """Return an option with its value; a switch that is off becomes `--no-...`."""
    if value is True:
        return [name]
    if value is False:
        return [name.replace("--", "--no-", 1)]
    if isinstance(value, list):
        return [name, *map(_text, value)]
    text = _text(value)
    return [f"{name}={text}"] if text.startswith("-") else [name, text]


def _text(value: Any) -> str:
    return json.dumps(value, separators=(",", ":")) if isinstance(value, (dict, list)) else str(value)


def config_text(invocation: Invocation) -> str | None:
    """Return the YAML file that TensorRT-LLM reads, or None where there is nothing to say in one."""
    if not invocation.llm_args:
        return None
    text: str = yaml.safe_dump(dict(invocation.llm_args), sort_keys=False, allow_unicode=True)
    return text


def option_groups(words: list[str]) -> Iterator[list[str]]:
    """Yield words line by line: the program with the model, then each option with its values."""
    group: list[str] = []
    for word in words:
        if word.startswith("--") and group:
            yield group
            group = []
        group.append(word)
    yield group
