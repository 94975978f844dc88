"""Tags that are cut between two pieces of a stream."""

from __future__ import annotations


def begins(text: str, tags: tuple[str, ...]) -> bool | None:
    """Return whether text begins with tags, white space between them; None where more of it may tell."""
    for tag in tags:
        if not text.startswith(tag):
            return None if tag.startswith(text) else False
        text = text[len(tag) :].lstrip()
    return True


def overlap(text: str, tag: str) -> int:
    """Return the length of the longest end of `text` that begins `tag`."""
    return next((n for n in range(min(len(tag) - 1, len(text)), 0, -1) if text.endswith(tag[:n])), 0)
