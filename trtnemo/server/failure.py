"""Failures in the shape that OpenAI's clients expect."""

from __future__ import annotations

from fastapi.responses import JSONResponse

from trtnemo.errors import EngineError, RequestError, TrtnemoError
from trtnemo.front.errors import error_body


def error_response(error: TrtnemoError) -> JSONResponse:
    """Return the response for an error of ours: 4xx for a refused request, 500 for a broken engine."""
    if isinstance(error, RequestError):
        body = error_body(error.render(), error.status, error.code, error.parameter)
        return JSONResponse(body, status_code=error.status, headers=retry_header(error.status))
    code = "engine_error" if isinstance(error, EngineError) else "internal_error"
    return JSONResponse(error_body(error.render(), 500, code), status_code=500)


def retry_header(status: int) -> dict[str, str] | None:
    """Return the header that says when to come again, for the statuses that pass."""
    return {"retry-after": "1"} if status in (429, 503) else None
