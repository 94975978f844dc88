"""Files that a pasted command names: in a here-document, behind a mount, or on this machine."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from trtnemo.errors import UsageError
from trtnemo.findings import Finding
from trtnemo.launch.pasted.yaml_text import load_yaml
from trtnemo.launch.servers.invocation import Container

MAXIMUM_BYTES = 1 << 20


@dataclass(frozen=True)
class PastedFiles:
    """The files that a text writes, by name, and the container that reads them.

    `inside` are those that a shell in the container writes.
    """

    written: Mapping[str, str]
    container: Container | None = None
    inside: frozenset[str] = frozenset()

    def read(self, option: str, path: str) -> tuple[Mapping[str, Any] | None, list[Finding]]:
        """Return the content of the YAML file that an option names, and what is wrong with it."""
        names, findings = [path], []
        if self.container is not None and named(self.inside, path) is None:
            names = [*_on_host(path, self.container)]
            if not names:
                message = f"{path} is under no mount: the container sees it only if the image brings it"
                findings.append(Finding("warning", "file-not-mounted", option, message, "Mount it with -v"))
                names = [path]
        text = next((text for name in names if (text := self._text(name)) is not None), None)
        if text is None:
            message = f"the file {path} is not in the pasted text and not on this machine: its keys are not checked"
            return None, [*findings, Finding("warning", "file-not-read", option, message)]
        try:
            content = load_yaml(text)
            return content.mapping, [*findings, *content.findings]
        except UsageError as error:
            return None, [*findings, Finding("error", "file-root", path, error.what)]

    def _text(self, name: str) -> str | None:
        written = named(self.written, name)
        if written is not None:
            return self.written[written]
        try:
            with Path(name).expanduser().open("rb") as file:
                return file.read(MAXIMUM_BYTES + 1).decode("utf-8", "replace")
        except (OSError, ValueError, RuntimeError):
            return None


def named(names: Iterable[str], path: str) -> str | None:
    """Return the first of some files that is called as a path ends, or None."""
    last = PurePosixPath(path).name
    return next((name for name in names if PurePosixPath(name).name == last), None)


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
