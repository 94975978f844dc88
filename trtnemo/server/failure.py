"""Failures in the shape that OpenAI's clients expect."""

from __future__ import annotations

from fastapi.responses import JSONResponse
from pydantic import ValidationError

from trtnemo.errors import EngineError, RequestError, TrtnemoError
from trtnemo.front.errors import error_body
from trtnemo.recipe.nearest import suggestion
from trtnemo.validation import first_fault


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


def explain(error: ValidationError, valid: list[str]) -> RequestError:
    """Return the first thing wrong with a body as a RequestError."""
    fault = first_fault(error)
    name = str(fault.path[0]) if fault.path else None
    if fault.is_unknown_key:
        return RequestError(f"unknown or unsupported parameter '{name}'{suggestion(name or '', valid)}", parameter=name)
    return RequestError(f"'{fault.key}': {fault.message}" if fault.key else fault.message, parameter=name)
