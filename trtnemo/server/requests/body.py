"""From the bytes of a body to its typed form, or to the refusal that says what is wrong with it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import msgspec
from pydantic import BaseModel, ValidationError

from trtnemo.errors import RequestError
from trtnemo.recipe.nearest import suggestion
from trtnemo.server.requests.chat import MOST_MESSAGES
from trtnemo.server.requests.neutral import drop_neutral
from trtnemo.validation import first_fault

LARGE_BODY = 1 << 17
MOST_PARTS = 1 << 16
ID_LISTS = ("prompt", "tokens", "allowed_token_ids")
MOST_ITEMS = {"tools": 256, "prompt": 1024, "stop": 16}
_FORMS = frozenset({"str", "int", "float", "bool", "dict", "list"})
Body = TypeVar("Body", bound=BaseModel)
Made = TypeVar("Made")


def read_json(content: bytes) -> Any:
    """Return a body's JSON, its lists counted before one item of them becomes an object; raises RequestError."""
    try:
        if len(content) > LARGE_BODY:
            _require_few_items(content)
        return msgspec.json.decode(content)
    except (ValueError, RecursionError) as error:  # a lone surrogate is no text in JSON either
        raise RequestError(f"the body is not JSON: {error}") from None


def parse_body(content: bytes, kind: type[Body]) -> tuple[Body, dict[str, Any]]:
    """Return a typed body, and what was given, without what changes nothing; raises RequestError."""
    given = drop_neutral(read_json(content), kind.model_fields)
    return refusing(kind, lambda: kind.model_validate(given)), given


def refusing(kind: type[BaseModel], make: Callable[[], Made]) -> Made:
    """Return what `make` makes of a body of this kind; raises RequestError where pydantic finds a fault."""
    try:
        return make()
    except ValidationError as error:
        raise _explain(error, list(kind.model_fields)) from None


def _explain(error: ValidationError, valid: list[str]) -> RequestError:
    fault = first_fault(error)
    # pydantic's names for the forms that a value may have are no places in a body
    path = [str(part) for part in fault.path if str(part) not in _FORMS and "[" not in str(part)]
    name = path[0] if path else None
    if fault.is_unknown_key:
        nearest = suggestion(path[-1], valid) if len(path) == 1 else ""
        return RequestError(f"unknown or unsupported parameter '{'.'.join(path)}'{nearest}", parameter=name)
    return RequestError(f"'{'.'.join(path)}': {fault.message}" if path else fault.message, parameter=name)


def _require_few_items(content: bytes) -> None:
    if content.count(b'"type"') > MOST_PARTS:
        raise RequestError(f"the body has more than {MOST_PARTS} parts")
    for name, raw in msgspec.json.decode(content, type=dict[str, msgspec.Raw]).items():
        text = bytes(raw).lstrip()
        if name == "logit_bias" and len(text) > LARGE_BODY:
            raise RequestError(f"'{name}' is longer than {LARGE_BODY} bytes", parameter=name)
        # token ids are as many as the context holds, and cheap
        is_ids = name in ID_LISTS and text[1:].lstrip()[:1] in b"-0123456789"
        if text[:1] == b"[" and not is_ids:
            count, most = len(msgspec.json.decode(raw, type=list[msgspec.Raw])), MOST_ITEMS.get(name, MOST_MESSAGES)
            if count > most:
                raise RequestError(f"'{name}': {count} of them exceed {most}", parameter=name)
