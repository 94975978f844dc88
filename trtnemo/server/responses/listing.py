"""The items that a response was asked with, listed page by page."""

from __future__ import annotations

from typing import Any

import msgspec

from trtnemo.errors import RequestError


class _Named(msgspec.Struct):
    id: str | None = None


_names = msgspec.json.Decoder(list[_Named])
_pieces = msgspec.json.Decoder(list[msgspec.Raw])


def page_of(items: bytes, limit: int, order: str, after: str | None) -> dict[str, Any]:
    """Return a page of items, given as JSON, in the API's shape; raises RequestError."""
    if not 1 <= limit <= 100 or order not in ("asc", "desc"):
        raise RequestError("'limit' is 1 to 100, and 'order' is asc or desc", parameter="limit")
    ids = [item.id or f"item_{number}" for number, item in enumerate(_names.decode(items))]
    pieces = _pieces.decode(items)
    if order == "desc":
        ids, pieces = ids[::-1], pieces[::-1]
    if after is not None and after not in ids:
        raise RequestError("'after' names no item of this response", parameter="after")
    start = 0 if after is None else ids.index(after) + 1
    shown = slice(start, start + limit)
    page = [_shown(piece, name) for piece, name in zip(pieces[shown], ids[shown], strict=True)]
    ends = {"first_id": page[0]["id"] if page else None, "last_id": page[-1]["id"] if page else None}
    return {"object": "list", "data": page, **ends, "has_more": start + limit < len(ids)}


def _shown(piece: msgspec.Raw, name: str) -> dict[str, Any]:
    """Return an item with its id, and its text as a part."""
    item = {"type": "message", **msgspec.json.decode(piece), "id": name}
    if item["type"] == "message" and isinstance(item.get("content"), str):
        kind = "output_text" if item.get("role") == "assistant" else "input_text"
        item["content"] = [{"type": kind, "text": item["content"]}]
    return item
