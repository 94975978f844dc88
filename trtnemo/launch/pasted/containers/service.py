"""One service of a Compose file, its texts as the container gets them."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

from trtnemo.errors import UsageError
from trtnemo.findings import Finding
from trtnemo.launch.pasted.containers.docker_line import mount_of, published_ports
from trtnemo.launch.pasted.containers.interpolation import compose_text


class Service:
    """The texts of one service with variables put in; those that nobody sets are noted."""

    def __init__(self, content: Mapping[str, Any]) -> None:
        self.content = content
        self.unknown: list[str] = []
        self.findings: list[Finding] = []

    def text(self, value: Any) -> str:
        """Return a scalar as Compose reads it."""
        plain = str(value).lower() if isinstance(value, bool) else str(value)
        text, unknown = compose_text(plain)
        self.unknown += unknown
        return text

    def items(self, key: str) -> list[Any]:
        """Return what a key holds as a list."""
        value = self.content.get(key)
        return value if isinstance(value, list) else [] if value is None else [value]

    def words(self, key: str) -> list[str]:
        """Return a command: a list as it is, a text split as Compose splits it, for which `#` begins no comment."""
        value = self.content.get(key)
        if isinstance(value, list):
            return [self.text(item) for item in value]
        if value is None:
            return []
        text = self.text(value)
        if "\\\n" in text:
            message = "a backslash at the end of a line becomes a part of the next word: Compose reads no continuation"
            remedy = "Leave the backslashes out: the text is one line already"
            self.findings.append(Finding("error", "compose-backslash", key, message, remedy))
            text = text.replace("\\\n", "\n")
        try:
            return shlex.split(text)
        except ValueError as error:
            raise UsageError(f"{key} is not valid: {error}", where="--command") from None

    def environment(self) -> list[str]:
        """Return NAME=value, or NAME alone where the value comes from outside."""
        value = self.content.get("environment")
        if isinstance(value, dict):
            return [str(name) if item is None else f"{name}={self.text(item)}" for name, item in value.items()]
        return [self.text(item) for item in self.items("environment")]

    def mounts(self) -> dict[str, str]:
        """Return path in the container by path on the host, or by the name of a volume or of a file of `configs`."""
        found = {}
        for item in self.items("volumes"):
            if isinstance(item, dict):
                suffix = ":ro" if item.get("read_only") else ""
                found[self.text(item.get("source", ""))] = self.text(item.get("target", "")) + suffix
            else:
                source, target = mount_of(self.text(item))
                found[source] = target
        for item in self.items("configs"):
            if isinstance(item, dict) and item.get("target"):
                found[str(item.get("source"))] = f"{item['target']}:ro"
        return found

    def ports(self) -> dict[int, int]:
        """Return container ports by host port."""
        return published_ports(
            f"{self.text(item.get('published', ''))}:{self.text(item.get('target', ''))}"
            if isinstance(item, dict)
            else self.text(item)
            for item in self.items("ports")
        )

    def limits(self) -> dict[str, int]:
        """Return the soft limits of the container's processes."""
        given = self.content.get("ulimits")
        pairs = given.items() if isinstance(given, dict) else ()
        soft = {str(name): limit.get("soft") if isinstance(limit, dict) else limit for name, limit in pairs}
        return {name: limit for name, limit in soft.items() if isinstance(limit, int)}
