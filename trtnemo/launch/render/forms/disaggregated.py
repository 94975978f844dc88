"""`render --as disaggregated`: the files and the commands of a server in halves, as one script."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Mapping

import yaml

from trtnemo.errors import RecipeError
from trtnemo.launch.render.form import Form, Source
from trtnemo.launch.render.forms.command import environment_lines
from trtnemo.launch.render.forms.docker import EVERYWHERE
from trtnemo.launch.render.manifest.placement import gpus_of, require_whole
from trtnemo.launch.render.shell_text import command_text, option_lines, printable
from trtnemo.launch.render.words import here, server_words
from trtnemo.launch.servers.in_cluster import Half
from trtnemo.launch.servers.invocation import Invocation
from trtnemo.launch.servers.registry import find_server
from trtnemo.recipe import ExternalRecipe
from trtnemo.recipe.cluster import Disaggregation, Role

_HALVES: tuple[Half, ...] = ("prefill", "decode")


@dataclasses.dataclass(frozen=True)
class _Worker:
    """One worker: the name of its part, its half, its address, and which GPUs of its machine it takes."""

    part: str
    half: Half
    address: str
    gpus: tuple[int, ...]


def render_disaggregated(source: Source) -> str:
    """Return a shell script that runs one part: a worker by its name and number, or `front`.

    Raises RecipeError for a server that has no such command.
    """
    recipe, start = source.recipe, source.invocation
    command = find_server(start.server).in_cluster.halves
    if command is None or not isinstance(recipe, ExternalRecipe):
        raise RecipeError(
            f"{start.server} has no command that puts halves together",
            where="the recipe",
            remedy="render --as dynamo, with 'cluster.disaggregation' in the recipe",
        )
    for field in ("replicas", "nodes"):
        if getattr(recipe.cluster, field) > 1:
            raise RecipeError(
                f"'cluster.{field}' is not for this form",
                where="the recipe",
                remedy="Say how many workers each half has under 'cluster.disaggregation'",
            )
    workers = _workers(recipe, start, command.names)
    content = dict(start.llm_args or {})
    files = {f"{command.names[half]}.yml": command.of_half(content, half) for half in _HALVES}
    addresses = {half: [worker.address for worker in workers if worker.half == half] for half in _HALVES}
    host = str(start.options.get("--host", recipe.server.host))
    files[_FRONT_FILE] = command.front_file(host, start.port, addresses)
    text = "#!/bin/sh\n" + _usage(source, workers) + environment_lines(start)
    for name, content in files.items():
        text += f"cat > {name} << 'EOF'\n{yaml.safe_dump(content, sort_keys=False, allow_unicode=True)}EOF\n"
    parts = [_part(start, worker, f"{command.names[worker.half]}.yml") for worker in workers]
    parts.append(_branch("front", [f"exec {shlex.join(command.words)} {_FRONT_FILE}"]))
    return text + 'case "${1:-}" in\n' + "".join(parts) + _REFUSED + "esac\n"


_FRONT_FILE = "disaggregated.yml"
_REFUSED = '*)\n  echo "usage: $0 PART; the parts stand in its first lines" >&2\n  exit 2 ;;\n'


def _workers(recipe: ExternalRecipe, start: Invocation, names: Mapping[Half, str]) -> list[_Worker]:
    """Return all workers; those without an address share this machine: each has GPUs and a port of its own."""
    apart = recipe.cluster.disaggregation or Disaggregation()
    roles: dict[Half, Role] = {"prefill": apart.prefill, "decode": apart.decode}
    gpus, found = gpus_of(recipe, start), []
    first = 0
    for half, role in roles.items():
        require_whole(half, role, gpus)
        for number in range(role.replicas):
            address = role.addresses[number] if role.addresses else f"localhost:{start.port + 1 + first}"
            begin = 0 if role.addresses else first
            found.append(_Worker(f"{names[half]}-{number}", half, address, tuple(range(begin, begin + gpus))))
            first += 0 if role.addresses else gpus
    return found


def _part(start: Invocation, worker: _Worker, name: str) -> str:
    """Return the branch of the script that runs a worker with a file of that name."""
    host, _, port = worker.address.rpartition(":")
    listens = "localhost" if host == "localhost" else EVERYWHERE
    file = dataclasses.replace(start.files[0], name=name, here=f"./{name}") if start.files else None
    there = dataclasses.replace(
        start, options={**start.options, "--host": listens, "--port": int(port)}, files=(file,) if file else ()
    )
    words = server_words(there, here)
    if file is None:
        words += [str(find_server(start.server).file_option), f"./{name}"]
    visible = ",".join(map(str, worker.gpus))
    return _branch(worker.part, [f"exec env CUDA_VISIBLE_DEVICES={visible}", *option_lines(words)])


def _branch(name: str, lines: list[str]) -> str:
    return f"{name})\n{command_text([f'  {line}' for line in lines]).rstrip()} ;;\n"


def _usage(source: Source, workers: list[_Worker]) -> str:
    title = printable(source.name)
    names = [worker.part for worker in workers]
    lines = [f"{source.invocation.surface.title} taken apart, from trtnemo recipe {title}"]
    lines += [f"sh disaggregated.sh {name}" for name in (*names, "front")]
    is_here = all(worker.address.startswith("localhost:") for worker in workers)
    gpus = 1 + max(gpu for worker in workers for gpu in worker.gpus)
    many = "Several machines: give 'addresses' to prefill and decode under 'cluster.disaggregation' of the recipe."
    lines.append(
        f"All on one machine with {gpus} GPUs. {many}" if is_here else "Each part on the machine of its address."
    )
    lines.append("The front answers 500 until all workers are ready.")
    return "".join(f"# {line}\n" for line in lines)


FORM = Form(render_disaggregated)
