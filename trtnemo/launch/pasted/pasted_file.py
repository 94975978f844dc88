"""The YAML file that a pasted command names: in a here-document, behind a mount, or on this machine."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from trtnemo.findings import Finding
from trtnemo.launch.servers.invocation import Container


def read_config(
    option: str, path: str, files: Mapping[str, str], container: Container | None, inside: frozenset[str]
) -> tuple[Mapping[str, Any] | None, list[Finding]]:
    """Return the content of a file and what is wrong with it.

    `option` names the file; `files` are those that the text writes, `inside` the ones of them that a shell in the
    container writes.
    """
    names, findings = [path], []
    if container is not None and not _is_written(path, inside):
        names = [*_on_host(path, container)]
        if not names:
            message = f"{path} is under no mount: the container sees it only if the image brings it"
            findings.append(Finding("warning", "file-not-mounted", option, message, "Mount it with -v"))
            names = [path]
    text = next((text for name in names if (text := _text(name, files)) is not None), None)
    if text is None:
        message = f"the file {path} is not in the pasted text and not on this machine: its keys are not checked"
        return None, [*findings, Finding("warning", "file-not-read", option, message)]
    data, problem = _parsed(path, text)
    return data, [*findings, *problem]


def _parsed(path: str, text: str) -> tuple[dict[str, Any] | None, list[Finding]]:
    try:
        data = yaml.safe_load(text)
    except yaml.YAMLError as error:
        return None, [Finding("error", "file-root", path, f"is not YAML: {str(error).splitlines()[0]}")]
    if not isinstance(data, dict):
        return None, [Finding("error", "file-root", path, "is not a mapping of keys to values")]
    return data, []


def _on_host(path: str, container: Container) -> Iterator[str]:
    """Yield where a path in the container may lie on the host."""
    mounts = [(source, PurePosixPath(target.partition(":")[0])) for source, target in container.mounts.items()]
    if not path.startswith("/") and container.workdir is None:
        for source, place in mounts:  # the image alone knows where it works
            yield source if place.name == PurePosixPath(path).name else f"{source}/{path}"
        return
    absolute = PurePosixPath(container.workdir or "/") / path
    for source, place in mounts:
        if absolute == place or place in absolute.parents:
            yield str(PurePosixPath(source) / absolute.relative_to(place))


def _is_written(path: str, names: frozenset[str]) -> bool:
    return any(PurePosixPath(name).name == PurePosixPath(path).name for name in names)


def _text(name: str, files: Mapping[str, str]) -> str | None:
    for written, text in files.items():
        if PurePosixPath(written).name == PurePosixPath(name).name:
            return text
    if Path(name).is_file():
        return Path(name).read_text(encoding="utf-8", errors="replace")
    return None
