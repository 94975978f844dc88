"""Members of the family that are known by name alone: nothing is planned of them before their config.json is here."""

from __future__ import annotations

import re

from trtnemo.errors import CheckpointError
from trtnemo.recipe.unwritten import MEMBERS, remedy_unwritten

_NAME = re.compile(r"(?:NVIDIA-)?Nemotron-(?:3-)?Nano-(4B|9B|12B)(?![0-9A-Z])", re.IGNORECASE)


def unrecorded_member(name: str) -> str | None:
    """Return the title of the member that the last part of a hub id names, or None where it is recorded or foreign."""
    found = _NAME.match(name.rstrip("/").rpartition("/")[2])
    return None if found is None else MEMBERS[found[1].lower()]


def explained(name: str, error: CheckpointError) -> CheckpointError:
    """Return why a hub id has no network here, where it is such a member's; any other error comes back."""
    title = unrecorded_member(name)
    if title is None:
        return error
    remedy = "" if error.remedy is None else f"{error.remedy}. "
    return CheckpointError(
        f"{title} is a member of the family whose config.json is not recorded here, and it did not come: {error.what}",
        where=name,
        remedy=f"{remedy}{remedy_unwritten()}",
    )
