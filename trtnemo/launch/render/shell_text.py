"""Shell text from words: every word quoted, one option a line."""

from __future__ import annotations

import shlex

from trtnemo.launch.neutral import PLUGIN_FILE
from trtnemo.launch.render.words import CONFIG_FILE, config_text, option_groups
from trtnemo.launch.servers.invocation import Invocation

# Words that the shell itself is to read; nothing of a recipe ever becomes one.
CACHE_MOUNT = "~/.cache/huggingface:/root/.cache/huggingface"


def quoted(words: list[str]) -> str:
    """Return words as one line of shell."""
    return " ".join(map(shlex.quote, words))


def command_text(lines: list[str]) -> str:
    """Return one command written over several lines."""
    return " \\\n  ".join(lines) + "\n"


def option_lines(words: list[str]) -> list[str]:
    """Return quoted words, one option a line."""
    return [quoted(group) for group in option_groups(words)]


def header(recipe_name: str, invocation: Invocation) -> str:
    """Return the first lines of every rendered script: what it is, and the files that it writes or needs."""
    title = "".join(character if character.isprintable() else " " for character in recipe_name)
    server = invocation.surface.surface.title if invocation.version else invocation.server
    text = f"# {server}, from trtnemo recipe {title}\n"
    if needs_plugin(invocation):
        text += "# super_v3_reasoning_parser.py is in the bundle: trtnemo build --recipe " + title + "\n"
    content = config_text(invocation)
    if content is not None:
        text += f"cat > {CONFIG_FILE} << 'EOF'\n{content}EOF\n"
    return text


def needs_plugin(invocation: Invocation) -> bool:
    """Return whether the server loads our reasoning plug-in."""
    return invocation.options.get("--reasoning-parser-plugin") == PLUGIN_FILE
