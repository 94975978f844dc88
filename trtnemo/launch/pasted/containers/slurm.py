"""What a Slurm batch script says of its GPUs, and of the container that `srun` runs a command in (pyxis)."""

from __future__ import annotations

import re

from trtnemo.launch.pasted.containers.docker_line import DockerLine
from trtnemo.launch.pasted.shell.command import Command
from trtnemo.launch.servers.invocation import Container

_DIRECTIVE = re.compile(r"^#SBATCH[ \t]+(-.*)$", re.MULTILINE)
_OPTION = re.compile(r"(?<!\S)(--[\w-]+|-[A-Za-z])(?:[ \t]*=[ \t]*|[ \t]*)([^\s-]\S*)?")
_COUNT = re.compile(r"(\d+)(?:\(.*\))?$")
_PER_NODE = ("--gres", "--gpus-per-node")


def is_batch(text: str) -> bool:
    """Return whether a text is a batch script: it has directives for sbatch."""
    return _DIRECTIVE.search(text) is not None


def gpus_of_batch(text: str) -> int | None:
    """Return how many GPUs the directives of a batch script ask for, or None where they do not say."""
    given = {name: value for line in _DIRECTIVE.findall(text) for name, value in _OPTION.findall(line)}
    nodes = _number(given.get("--nodes") or given.get("-N") or "1")
    total = _number(given.get("--gpus") or given.get("-G") or "")
    if total is not None:
        return total
    for name in _PER_NODE:
        value = given.get(name, "")
        if name == "--gres" and "gpu" not in value:
            continue
        count = _number(value) or (1 if value == "gpu" else None)
        if count is not None and nodes is not None:
            return count * nodes
    tasks = _number(given.get("--gpus-per-task", ""))
    number = _number(given.get("--ntasks") or given.get("-n") or "1")
    return None if tasks is None or number is None else tasks * number


def _number(text: str) -> int | None:
    match = _COUNT.search(text)
    return int(match[1]) if match else None


def pyxis_container(command: Command) -> DockerLine | None:
    """Return the container of an `srun` line with `--container-image`, whose words are the command itself."""
    if command.words[0] != "srun":
        return None
    given = {}
    for place, word in enumerate(command.words):
        if word.startswith("--container-"):
            name, equals, value = word.partition("=")
            given[name] = value if equals else "".join(command.words[place + 1 : place + 2])
    image = given.get("--container-image")
    if image is None:
        return None
    pairs = [mount.split(":") for mount in given.get("--container-mounts", "").split(",") if mount]
    container = Container(
        image=image.replace("#", "/"),
        workdir=given.get("--container-workdir"),
        mounts={pair[0]: (pair[1] if len(pair) > 1 else pair[0]) for pair in pairs},
        shares_network=True,
    )
    # the image's own entry point is not run
    return DockerLine(container, dict(command.environment), command.words, entrypoint="")
