"""A pasted server command: trtllm-serve, vllm serve, sglang or a docker line, with the YAML it writes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from trtnemo.errors import RecipeError, UsageError
from trtnemo.launch.arguments import parse_arguments
from trtnemo.launch.docker_line import DockerLine, read_docker
from trtnemo.launch.finding import Finding
from trtnemo.launch.invocation import CONFIG_OPTION, Invocation
from trtnemo.launch.shell import Script, read_script
from trtnemo.launch.surface import ServerName, choose_surface

_IMAGES: dict[str, ServerName] = {"tensorrt-llm": "trtllm", "vllm": "vllm", "sglang": "sglang"}
_TAG_VERSION = re.compile(r":v?(\d+\.\d+\.\d+(?:rc\d+)?(?:\.?post\d+)?)\b")
_INSTALLED = re.compile(r"(tensorrt[-_]llm|vllm|sglang)(?:\[[\w,]*\])?==([\w.]+)")
_OTHER_SUBCOMMANDS = ("disaggregated", "disaggregated_mpi_worker", "mm_embedding_serve", "embeddings")
_WRAPPERS = ("sudo", "nohup", "exec", "time", "env", "command")
_MODEL_NAMES = ("--model", "--model-path")


def read_command(text: str, version: str | None = None) -> Invocation:
    """Return the server start that a pasted text describes; `version` says which one where the text does not.

    Raises UsageError when it holds no such command.
    """
    script = read_script(text)
    for words in script.commands:
        docker = _docker(words)
        found = _server_words(_unwrapped(script, docker.words, docker.entrypoint), docker) if docker else None
        found = found or (None if docker else _server_words(_unwrapped(script, words), None))
        if found is not None:
            return _invocation(script, *found, docker, _known(found[0], version) or _version(script, found[0], docker))
    raise UsageError(
        "holds no trtllm-serve, vllm serve, sglang or docker run line of one of these",
        where="--command",
        remedy="Paste the whole command, YAML included",
    )


def _docker(words: list[str]) -> DockerLine | None:
    """Return what a `docker run` line says, whatever stands before it."""
    for place, word in enumerate(words):
        if PurePosixPath(word).name in ("docker", "podman", "nerdctl"):
            rest = words[place + 1 :]
            rest = rest[1:] if rest[:1] == ["container"] else rest
            return read_docker(rest[1:]) if rest[:1] == ["run"] else None
        if word not in _WRAPPERS and "=" not in word and not word.startswith("-"):
            return None
    return None


def _unwrapped(script: Script, words: list[str], entrypoint: str | None = None) -> list[str]:
    """Return the words that a shell inside is given by `-c`, or the words themselves."""
    words = [entrypoint, *words] if entrypoint else words
    for place, word in enumerate(words[:-2]):
        if PurePosixPath(word).name in ("sh", "bash") and words[place + 1].endswith("c"):
            inner = read_script(words[place + 2])
            script.variables.update(inner.variables)
            script.files.update(inner.files)
            return next((command for command in inner.commands if _server_words(command, None)), words)
    return words


def _known(server: ServerName, version: str | None) -> str | None:
    """Return the version that `--server-version` gives; raises UsageError where it is none."""
    try:
        choose_surface(server, version)
    except RecipeError as error:
        raise UsageError(f"{version!r} is no version", where="--server-version", remedy=error.remedy) from None
    return version


def _server_words(words: list[str], docker: DockerLine | None) -> tuple[ServerName, list[str]] | None:
    """Return which server the words start, and the words after its program."""
    for place, word in enumerate(words):
        program, after = PurePosixPath(word).name, words[place + 1 :]
        if program == "trtllm-serve":
            if after[:1] and after[0] in _OTHER_SUBCOMMANDS:
                raise UsageError(f"trtllm-serve {after[0]} is not checked here", remedy="`trtllm-serve serve` is")
            return "trtllm", after[1:] if after[:1] == ["serve"] else after
        if program == "vllm" and after[:1] == ["serve"]:
            return "vllm", after[1:]
        if word in ("vllm.entrypoints.openai.api_server", "vllm.entrypoints.cli.main"):
            return "vllm", after
        if word == "sglang.launch_server" or (program == "sglang" and after[:1] == ["serve"]):
            return "sglang", after[1:] if program == "sglang" else after
    if docker is None:
        return None
    repository = docker.container.image.rpartition(":")[0] or docker.container.image
    server = next((name for part, name in _IMAGES.items() if part in repository), None)
    return (server, words) if server == "vllm" else None  # only vLLM's image starts the server by itself


def _version(script: Script, server: ServerName, docker: DockerLine | None) -> str | None:
    if docker is not None:
        match = _TAG_VERSION.search(docker.container.image)
        return match.group(1) if match else None
    for words in script.commands:
        for word in words:
            match = _INSTALLED.fullmatch(word)
            if match and _IMAGES[match.group(1).replace("_", "-")] == server:
                return match.group(2)
    return None


def _invocation(
    script: Script, server: ServerName, words: list[str], docker: DockerLine | None, version: str | None
) -> Invocation:
    surface = choose_surface(server, version).surface
    parsed = parse_arguments(surface, words)
    findings = [*(docker.findings if docker else []), *parsed.findings]
    options, model = dict(parsed.values), None
    for name in _MODEL_NAMES:
        known = surface.find(name)
        given = options.pop(known.name, None) if known is not None else None
        model = model or given
    model = model or (parsed.positional[0] if parsed.positional else None)
    if model is None:
        raise UsageError("the command names no model", where="--command")
    findings += [
        Finding("error", "stray-word", word, "is no option's value; the server stops at it")
        for word in parsed.positional[1:]
    ]
    llm_args, problems = _config_file(script, options, docker) if server == "trtllm" else (None, [])
    env: dict[str, str | None] = dict(docker.env) if docker else {}
    if docker is None:
        env = {name: value for name, value in script.variables.items() if name in surface.environment}
    return Invocation(
        server=server,
        version=version,
        model=model,
        options=options,
        llm_args=llm_args,
        env=env,
        container=docker.container if docker else None,
        findings=(*findings, *problems),
        is_pasted=True,
    )


def _config_file(
    script: Script, options: dict[str, Any], docker: DockerLine | None
) -> tuple[Mapping[str, Any] | None, list[Finding]]:
    """Return the content of the YAML file that the command names, from a here-document or from this machine."""
    path = options.pop("--extra_llm_api_options", None)
    if path is None:
        return None, []
    text = _file_text(str(path), script.files, docker)
    if text is None:
        message = f"the file {path} is not in the pasted text and not on this machine: its keys are not checked"
        return None, [Finding("warning", "file-not-read", CONFIG_OPTION, message)]
    try:
        data = yaml.safe_load(text)
    except yaml.YAMLError as error:
        return None, [Finding("error", "file-root", str(path), f"is not YAML: {str(error).splitlines()[0]}")]
    if not isinstance(data, dict):
        return None, [Finding("error", "file-root", str(path), "is no mapping of keys to values")]
    return data, []


def _file_text(path: str, files: Mapping[str, str], docker: DockerLine | None) -> str | None:
    mounts = docker.container.mounts if docker else {}
    names = [path, *(source for source, target in mounts.items() if target.removesuffix(":ro") == path)]
    for name in names:
        for written, text in files.items():
            if PurePosixPath(written) == PurePosixPath(name) or PurePosixPath(written).name == PurePosixPath(name).name:
                return text
        if Path(name).is_file():
            return Path(name).read_text(encoding="utf-8", errors="replace")
    return None
