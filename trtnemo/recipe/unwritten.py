"""Recipes that people ask for and that are not written: of members whose configuration is not recorded here."""

from __future__ import annotations

import re

# by the size in their names; what their config.json says is known in part at most, so nothing is stated of them
MEMBERS = {"4b": "Nemotron 3 Nano 4B", "9b": "Nemotron Nano 9B v2", "12b": "Nemotron Nano 12B v2"}
GENERAL = "nano-cpu"
_NAME = re.compile(r"(?:nemotron-)?(?:3-)?nano-(4b|9b|12b)(?:-v2)?(?:-[a-z0-9-]+)?(?:\.ya?ml)?", re.IGNORECASE)


def why_unwritten(name: str) -> str | None:
    """Return why there is no recipe of a name such as `nano-4b-cpu`, or None where the name is of no such member."""
    found = _NAME.fullmatch(name)
    if found is None:
        return None
    return f"the configuration of {MEMBERS[found[1].lower()]} is not recorded here, and a recipe would have to guess it"


def remedy_unwritten() -> str:
    """Return what to do in place of such a recipe."""
    return (
        f"Its config.json decides once the checkpoint is on the disk: `trtnemo run DIRECTORY` takes recipe {GENERAL} "
        f"for it, `trtnemo plan --recipe {GENERAL} --checkpoint DIRECTORY` says what it takes"
    )
