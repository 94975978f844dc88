"""`render --as systemd`: a unit that keeps the recipe's server serving with this installation of trtnemo."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator

from trtnemo.errors import RecipeError
from trtnemo.launch.render.form import Form, Source
from trtnemo.launch.render.shell_text import printable
from trtnemo.launch.servers.invocation import Invocation
from trtnemo.launch.servers.registry import find_server
from trtnemo.recipe import load_recipe
from trtnemo.recipe.source import shipped_names

_PLACE = "/etc/trtnemo"  # of what the unit needs beside it: secrets, and a recipe of the user's own
_PLAIN = re.compile(r"[A-Za-z0-9_@/.:=,+-]+")
_ESCAPES = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t", "\r": "\\r", "%": "%%"}
_STOP_MARGIN = 30  # seconds beyond what the server has, in which the supervisor kills what is left


def render_systemd(source: Source) -> str:
    """Return a unit of systemd; raises RecipeError for what a unit cannot say."""
    invocation = source.invocation
    drain = find_server(invocation.server).watch.drain_seconds
    lines = [
        f"# trtnemo render --recipe {_printable(source.name)} --as systemd",
        "[Unit]",
        f"Description={_printable(source.name).replace('%', '%%')} with trtnemo",
        "After=network-online.target",
        "Wants=network-online.target",
        "",
        "[Service]",
        "Type=notify",
        "NotifyAccess=main",
        *_start(source),
        *_environment(invocation, _file_name(source.name)),
        "# a start has a limit of its own: --start-timeout",
        "TimeoutStartSec=infinity",
        f"TimeoutStopSec={drain + _STOP_MARGIN:.0f}",
        "KillMode=mixed",
        "Restart=on-failure",
        "RestartSec=10",
        "# it gave up, or something here is wrong, and would be again",
        "RestartPreventExitStatus=2 3 4 5 6 7",
        "# bundles, and what `XDG_STATE_HOME=/var/lib/trtnemo trtnemo status` shows",
        "StateDirectory=trtnemo",
        "WorkingDirectory=/var/lib/trtnemo",
        "Environment=XDG_STATE_HOME=/var/lib/trtnemo",
        "",
        "[Install]",
        "WantedBy=multi-user.target",
    ]
    return "\n".join(lines) + "\n"


def _start(source: Source) -> Iterator[str]:
    """Yield ExecStart; a unit starts in `/`, where only a shipped recipe is known by its name."""
    name, recipe = source.name, f"{_PLACE}/{_file_name(source.name)}.yaml"
    if name in shipped_names() and load_recipe(name) == source.recipe:
        recipe = name
    else:
        yield f"# it is not a shipped recipe: put its file at {recipe}"
    words = [sys.executable, "-m", "trtnemo", "serve", "--recipe", recipe, "--restart", "on-failure"]
    yield f"ExecStart={' '.join(map(_argument, words))}"


def _environment(invocation: Invocation, name: str) -> Iterator[str]:
    for variable, value in invocation.env.items():
        if value is None:
            yield f"# {_printable(variable)} is not written here: set it in {_PLACE}/{name}.env, mode 0600"
        elif any(
            not character.isprintable() and character not in "\t\n" and ord(character) < 128 for character in value
        ):
            raise RecipeError("has a control character, which no unit may hold", where=f"the variable {variable}")
        else:
            yield f'Environment="{_escaped(f"{variable}={value}")}"'
    yield f"EnvironmentFile=-{_PLACE}/{name}.env"


def _argument(word: str) -> str:
    """Return a word of ExecStart, in which a dollar begins a variable, in quotes too."""
    return word if _PLAIN.fullmatch(word) else f'"{_escaped(word).replace("$", "$$")}"'


def _escaped(text: str) -> str:
    """Return text for double quotes; `%` begins a specifier."""
    return "".join(_ESCAPES.get(character) or _by_code(character) for character in text)


def _by_code(character: str) -> str:
    return character if character.isprintable() or ord(character) > 127 else f"\\x{ord(character):02x}"


def _printable(text: str) -> str:
    """Return text for one line: a comment or a title, which nothing continues."""
    return printable(text).rstrip("\\ ")


def _file_name(name: str) -> str:
    stem = os.path.basename(name).removesuffix(".yaml")
    return re.sub(r"[^A-Za-z0-9_.-]", "-", stem).lstrip(".") or "server"


FORM = Form(render_systemd)
