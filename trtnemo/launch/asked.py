"""Which model a word of the command line asks for: a directory, a hub id in whatever form it was pasted, or `tiny`."""

from __future__ import annotations

from dataclasses import dataclass

from trtnemo.checkpoint.family.releases import RELEASES
from trtnemo.checkpoint.family.unrecorded import unrecorded_member
from trtnemo.checkpoint.hub.pasted import is_hub_id, read_pasted
from trtnemo.checkpoint.hub.source import find_directory, local_directory
from trtnemo.errors import CheckpointError, UsageError
from trtnemo.recipe.nearest import suggestion
from trtnemo.recipe.source import shipped_names
from trtnemo.recipe.unwritten import remedy_unwritten, why_unwritten


@dataclass(frozen=True)
class AskedModel:
    """A directory's name, a hub id or `tiny`; the revision; and what the user hears where it was read from a form."""

    name: str
    revision: str | None = None
    note: str = ""


def asked_model(text: str, revision: str | None = None) -> AskedModel:
    """Return the model that a word means; a directory of that name comes first.

    Raises CheckpointError where it is none, UsageError where it names another revision than `revision`.
    """
    if local_directory(text) is not None:
        return AskedModel(text, revision)
    pasted = read_pasted(text)
    if revision is not None and pasted.revision not in (None, revision):
        raise UsageError(f"{text!r} names revision {pasted.revision}, and --revision names {revision}")
    name = "tiny" if pasted.name.lower() == "tiny" else pasted.name
    if name != "tiny" and not is_hub_id(name):
        _refuse(name)
    revision = revision or pasted.revision
    at = f" at revision {revision}" if pasted.revision else ""
    return AskedModel(name, revision, "" if name == text else f"{text} is read as {name}{at}")


def _refuse(word: str) -> None:
    """Raise CheckpointError for a word that is neither, with the nearest name that there is."""
    if why := why_unwritten(word):
        raise CheckpointError(f"there is no such recipe: {why}", where=word, remedy=remedy_unwritten())
    if title := "" if "/" in word else unrecorded_member(word):
        raise CheckpointError(
            f"there is no such directory; {title} has an owner on the hub", where=word, remedy=f"Give nvidia/{word}"
        )
    if word.strip() and "/" not in word:
        names = [*shipped_names(), *(known.rpartition("/")[2] for known in RELEASES)]
        raise CheckpointError(
            f"there is no such directory, recipe or model{suggestion(word, names)}",
            where=word,
            remedy="Give a directory, a hub id such as owner/name, a recipe (`trtnemo recipes list`), or 'tiny'",
        )
    find_directory(word)
