"""Shell text from words: every word quoted, one option a line."""

from __future__ import annotations

import shlex

from trtnemo.launch.render.words import file_text, option_groups
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


def printable(text: str) -> str:
    """Return text for one line of a comment or a title: what cannot be printed becomes a blank."""
    return "".join(character if character.isprintable() else " " for character in text)


def header(recipe_name: str, invocation: Invocation) -> str:
    """Return the first lines of every rendered script: what it is, and the files that it writes or needs."""
    title = printable(recipe_name)
    server = invocation.surface.title if invocation.version else invocation.server
    text = f"# {server}, from trtnemo recipe {title}\n"
    for file in invocation.files:
        if file.source is not None:
            text += f"# {file.name} is in the bundle: trtnemo build --recipe {title}\n"
        else:
            text += f"cat > {file.name} << 'EOF'\n{file_text(file, invocation)}EOF\n"
    return text
