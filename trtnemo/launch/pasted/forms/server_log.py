"""A server's log that tells of the arguments it was started with."""

from __future__ import annotations

from trtnemo.launch.pasted.forms.form import Form, Pasted
from trtnemo.launch.pasted.options_file import option_words
from trtnemo.launch.pasted.shell.command import Command
from trtnemo.launch.pasted.shell.script import Script
from trtnemo.launch.pasted.start import Candidate, Reading
from trtnemo.launch.servers.registry import all_servers


def _read(pasted: Pasted) -> Reading | None:
    for server in all_servers().values():
        found = server.logged_start(pasted.text)
        if found is None:
            continue
        words = [*server.dialect.words, found.model, *option_words(found.options)]
        installed = [Command([f"{server.package}=={found.version}"])] if found.version else []
        return Reading(f"the log of a {server.dialect.title} start", (Candidate(Command(words)),), Script(installed))
    return None


FORM = Form(_read, rank=5)
