"""`render --as command`: the server's own program, started from a shell."""

from __future__ import annotations

import shlex

from trtnemo.launch.render.form import Form, Source
from trtnemo.launch.render.shell_text import command_text, header, option_lines
from trtnemo.launch.render.words import here, server_words
from trtnemo.launch.servers.invocation import Invocation


def render_command(source: Source) -> str:
    """Return a shell script that writes the YAML file, sets the environment and runs the server."""
    invocation = source.invocation
    return (
        "#!/bin/sh\n"
        + header(source.name, invocation)
        + environment_lines(invocation)
        + command_text(option_lines(server_words(invocation, here)))
    )


def environment_lines(invocation: Invocation) -> str:
    """Return `export` lines; a variable passed on by name must be there already, and the script says so."""
    lines = []
    for name, value in invocation.env.items():
        if value is None:
            lines.append(f': "${{{name}:?set it in your shell}}"\nexport {name}\n')
        else:
            lines.append(f"export {name}={shlex.quote(value)}\n")
    return "".join(lines)


FORM = Form(render_command)
