"""The environment that a pasted server start gets: what reaches it, secrets by name alone, and what does not."""

from __future__ import annotations

from trtnemo.findings import Finding
from trtnemo.launch.pasted.containers.docker_line import DockerLine
from trtnemo.launch.pasted.shell.command import Command
from trtnemo.launch.servers.surface import Surface
from trtnemo.recipe.external import holds_secret, is_secret


def environment_of(
    surface: Surface, command: Command, docker: DockerLine | None
) -> tuple[dict[str, str | None], list[Finding]]:
    """Return the variables of a start, None where a value is passed on by name, and findings on them."""
    given = {name: value for name, value in command.exported.items() if surface.reads(name)} | dict(command.in_front)
    env: dict[str, str | None] = dict(docker.env) if docker else {}
    findings = []
    for name, value in given.items():
        passes = value in (f"${name}", f"${{{name}}}")
        hides = is_secret(name) or holds_secret(value)
        if hides and not passes:
            message = "the value of a secret stands in the text; it is not kept"
            findings.append(Finding("note", "secret-in-command", name, message, "Export it in your shell beforehand"))
        env[name] = None if passes or hides else value
    for name in sorted(filter(surface.reads, command.hidden)):
        message = "is set but not exported: the server does not see it"
        findings.append(Finding("warning", "not-exported", name, message, f"Write export {name}=..."))
    return env, findings
