"""A model card that says where weights are from and how they were made: a beginning for whoever publishes them."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

_TEXT = """\
---
library_name: transformers
base_model: {source}
base_model_relation: {relation}
---

# {name}

{made} `{source}` by trtnemo {version}, tensor by tensor.

{text}

What this model was trained on, is for, and must not be used for is not known here: it is for you to write.
"""


def write_card(directory: Path, source: Path, relation: str, made: str, text: str) -> None:
    """Write README.md; source: what it is made of; relation: as the hub spells it; made: how, as words."""
    name = public_name(source)
    card = _TEXT.format(
        source=name, relation=relation, name=f"{name}, changed", made=made, version=version("trtnemo"), text=text
    )
    (directory / "README.md").write_text(card, encoding="utf-8")


def public_name(directory: Path) -> str:
    """Return a directory's name without the folders of this machine; of the hub's cache, the hub id."""
    place = directory.resolve()
    repository = place.parent.parent.name
    if place.parent.name == "snapshots" and repository.startswith("models--"):
        return repository.removeprefix("models--").replace("--", "/")
    return place.name
