"""`render --as docker`: one `docker run`."""

from __future__ import annotations

import dataclasses

from trtnemo.errors import RecipeError
from trtnemo.launch.render.form import Form, Source
from trtnemo.launch.render.shell_text import CACHE_MOUNT, command_text, header, quoted
from trtnemo.launch.render.words import inside, option_groups, server_words
from trtnemo.launch.servers.invocation import Container, Invocation

EVERYWHERE = "0.0.0.0"  # noqa: S104
HUB_TOKEN = "HF_TOKEN"  # noqa: S105 - the name of a variable


def require_container(invocation: Invocation) -> Container:
    """Return the container options; raises RecipeError where the recipe names no image."""
    if invocation.container is None:
        raise RecipeError(
            f"names no image under '{invocation.server}.image'",
            remedy="Add one, or render --as command",
        )
    return invocation.container


def passes_by_name(invocation: Invocation) -> list[str]:
    """Return the variables whose values stay in the caller's environment; the hub's token is always one."""
    names = [name for name, value in invocation.env.items() if value is None]
    return names if HUB_TOKEN in names else [*names, HUB_TOKEN]


def container_words(invocation: Invocation) -> list[str]:
    """Return what the image is started with; some images bring their program themselves.

    Inside, the server listens on every address, or the published port would not reach it.
    """
    dialect, options = invocation.surface.dialect, dict(invocation.options)
    if dialect.default_host is not None or "--host" in options:
        options["--host"] = EVERYWHERE
    started = dataclasses.replace(invocation, options=options)
    return server_words(started, inside, with_program=not dialect.image_starts_it)


def published_ports(invocation: Invocation) -> list[str]:
    """Return `port:port`, or `address:port:port` where the recipe listens on one address of this machine."""
    host = invocation.options.get("--host", EVERYWHERE)
    return [published(host, port, inside) for port, inside in require_container(invocation).ports.items()]


def published(host: str, port: int, inside: int | str) -> str:
    """Return what `-p` takes to publish a container's port at an address; IPv6 stands in brackets."""
    prefix = "" if host == EVERYWHERE else f"[{host}]:" if ":" in host else f"{host}:"
    return f"{prefix}{port}:{inside}"


def container_files(invocation: Invocation) -> dict[str, str]:
    """Return path in the container by file of the bundle."""
    return {file.name: file.inside for file in invocation.files}


def model_mount(invocation: Invocation) -> list[str]:
    """Return the directory of a local checkpoint, which the container sees under the same path; a hub id has none.

    Raises RecipeError for a path that is not absolute: the container would not know from where it counts.
    """
    model = invocation.model
    if model.startswith((".", "~")):
        raise RecipeError(f"'checkpoint' {model!r} is a relative path", remedy="A container needs an absolute one")
    return [f"{model}:{model}:ro"] if model.startswith("/") else []


def docker_words(invocation: Invocation) -> list[str]:
    """Return `docker run` as words; `$(pwd)` and `~` stand for what a shell, or a start, puts in."""
    return [word for group in _docker_groups(invocation, ["--rm"]) for word in group]


def _docker_groups(invocation: Invocation, manner: list[str]) -> list[list[str]]:
    """Return the words of `docker run`, an option with its value each; raises RecipeError without an image."""
    container = require_container(invocation)
    groups = [["docker", "run", *manner, "--gpus", "all"]]
    groups += [["-p", port] for port in published_ports(invocation)]
    groups += [["-v", CACHE_MOUNT]]
    groups += [["-v", mount] for mount in model_mount(invocation)]
    groups += [["-v", f"$(pwd)/{file}:{path}:ro"] for file, path in container_files(invocation).items()]
    groups += [["-e", name] for name in passes_by_name(invocation)]
    groups += [["-e", f"{name}={value}"] for name, value in invocation.env.items() if value is not None]
    groups += [["--shm-size", container.shm_size]] if container.shm_size else []
    groups += [["--ulimit", f"{name}={limit}"] for name, limit in container.ulimits.items()]
    groups += [["-w", container.workdir]] if container.workdir else []
    return [*groups, [container.image], *option_groups(container_words(invocation))]


def _line(group: list[str]) -> str:
    """Return words as shell text. Two of our own words are for the shell to expand: `~` and `$(pwd)`."""
    if group[-1] == CACHE_MOUNT:
        return " ".join(group)
    return f'-v "{group[-1]}"' if group[-1].startswith("$(pwd)/") and group[0] == "-v" else quoted(group)


def render_docker(source: Source) -> str:
    """Return a shell script that writes the YAML file and runs the container."""
    invocation = source.invocation
    groups = _docker_groups(invocation, ["--rm", "-it"])
    return "#!/bin/sh\n" + header(source.name, invocation) + command_text([_line(group) for group in groups])


FORM = Form(render_docker)
