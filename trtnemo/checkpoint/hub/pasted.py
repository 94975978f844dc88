"""A model's name as people paste it: an address of the hub's site, `hf.co/owner/name`, `owner/name@revision`."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

from trtnemo.checkpoint.family.releases import RELEASES
from trtnemo.errors import CheckpointError

_SITES = ("huggingface.co", "www.huggingface.co", "hf.co", "hf-mirror.com")
_SCHEME = re.compile(r"(https?|hf)://", re.IGNORECASE)
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
_TAG = re.compile(r"(?P<name>[^:]+):(?P<tag>[\w.-]+)")
_AT = re.compile(r"(?P<name>[^@]+)@(?P<revision>[\w./-]+)")
_PAGES = ("tree", "blob", "resolve", "commit", "commits", "discussions")
_OTHER_KINDS = {"datasets": "data set", "spaces": "space", "collections": "collection"}
_GGUF_REMEDY = "llama.cpp and programs built on it read GGUF; give the checkpoint that it was made from"


@dataclass(frozen=True)
class PastedName:
    """What a pasted name means: a hub id, or what else it was, and the revision that it names."""

    name: str
    revision: str | None = None


def is_hub_id(name: str) -> bool:
    """Return whether a name has the form owner/name."""
    return _HUB_ID.fullmatch(name) is not None


def read_pasted(text: str) -> PastedName:
    """Return the hub id and the revision that a pasted name means; a name that is none of these forms comes back.

    A released model is found in any case of its letters, and without its owner. Raises CheckpointError for addresses
    of other sites and of what is no model, and for tags of GGUF files.
    """
    rest = _below_site(text.strip())
    named, tail = _parted(rest)
    kind = _OTHER_KINDS.get(named.partition("/")[0])
    if kind is not None and tail:
        raise CheckpointError(f"is the address of a {kind}, not of a model", where=text, remedy="Give owner/name")
    name, revision = _without_revision(_without_tag(named, text))
    revision = revision or _revision_of(tail, text)
    return PastedName(_as_released(name), None if revision == "main" else revision)


def _below_site(text: str) -> str:
    """Return what follows the site of an address, or the text where it names no site."""
    scheme = _SCHEME.match(text)
    rest = text[scheme.end() :] if scheme else text
    host, slash, path = rest.partition("/")
    if scheme is not None and scheme[1].lower() == "hf":
        return rest
    if host and slash and host.lower() in (*_SITES, _endpoint_host()):
        return re.split(r"[?#]", path)[0].removeprefix("models/")
    if scheme is not None:
        raise CheckpointError(
            f"is an address of {host}, which is not the hub that models come from",
            where=text,
            remedy="Give owner/name; HF_ENDPOINT names a hub of your own",
        )
    return text


def _endpoint_host() -> str:
    return _SCHEME.sub("", os.environ.get("HF_ENDPOINT", "")).partition("/")[0].lower()


def _parted(rest: str) -> tuple[str, str]:
    """Return owner/name and what follows it in an address; a path of another form stays whole."""
    if rest.startswith(("/", ".", "~")):
        return rest, ""
    parts = rest.rstrip("/").split("/")
    if len(parts) > 2 and (parts[2] in _PAGES or parts[0] in _OTHER_KINDS):
        return "/".join(parts[:2]), "/".join(parts[2:])
    return "/".join(parts), ""


def _without_tag(name: str, text: str) -> str:
    """Return a name without `:latest`; raises CheckpointError for the tag of another program's files."""
    tagged = _TAG.fullmatch(name)
    if tagged is None or tagged["tag"].lower() == "latest":
        return name if tagged is None else tagged["name"]
    remedy = (
        f"Give {tagged['name']}; its precision is part of a checkpoint's name, a branch or commit goes to --revision"
    )
    raise CheckpointError(
        f"':{tagged['tag']}' is a tag of ollama or llama.cpp, and checkpoints have none",
        where=text,
        remedy=_GGUF_REMEDY if "gguf" in text.lower() else remedy,
    )


def _without_revision(name: str) -> tuple[str, str | None]:
    found = _AT.fullmatch(name)
    return (name, None) if found is None else (found["name"], found["revision"])


def _revision_of(tail: str, text: str) -> str | None:
    """Return the revision in `tree/main` and the like; raises CheckpointError where it goes on to a GGUF file."""
    kind, _, rest = tail.partition("/")
    if tail.lower().endswith(".gguf"):
        raise CheckpointError("is the address of a GGUF file, not of a checkpoint", where=text, remedy=_GGUF_REMEDY)
    if kind not in ("tree", "blob", "resolve", "commit") or not rest:
        return None
    return rest.partition("/")[0]


def _as_released(name: str) -> str:
    """Return a released model's own spelling."""
    folded = name.casefold()
    spelled = (known for known in RELEASES if folded in (known.casefold(), known.rpartition("/")[2].casefold()))
    return next(spelled, name)
