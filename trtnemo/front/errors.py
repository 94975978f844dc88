"""Failures in the shape that OpenAI's clients expect."""

from __future__ import annotations

import json
from typing import Any

_KINDS = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}


def error_body(message: str, status: int, code: str | None = None, parameter: str | None = None) -> dict[str, Any]:
    """Return `{"error": {...}}`."""
    kind = "server_error" if status >= 500 else _KINDS.get(status, "invalid_request_error")
    return {"error": {"message": message, "type": kind, "param": parameter, "code": code}}


def error_bytes(message: str, status: int, code: str | None = None) -> bytes:
    """Return the same as it is sent."""
    return json.dumps(error_body(message, status, code)).encode()


def shortened(text: str, most: int = 200) -> str:
    """Return what a client sent as it may stand in an answer: not much of it."""
    return text if len(text) <= most else f"{text[:most]}..."
