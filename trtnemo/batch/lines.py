"""The input of a batch: one request a line, as OpenAI's batch format writes it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from trtnemo.errors import UsageError
from trtnemo.validation import first_fault


class BatchLine(BaseModel):
    """One request: an id of the caller's, a path below the server's base URL, and the body to post."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    custom_id: str = Field(min_length=1)
    method: Literal["POST"]
    url: str = Field(pattern=r"^/v1/[A-Za-z0-9_/-]+$")
    body: dict[str, Any]

    @field_validator("body")
    @classmethod
    def _is_no_stream(cls, body: dict[str, Any]) -> dict[str, Any]:
        if body.get("stream"):
            raise ValueError("a batch has no streams: leave 'stream' out")
        try:
            json.dumps(body, allow_nan=False)
        except ValueError:
            raise ValueError("'body' contains NaN or Infinity, which JSON does not allow") from None
        if not isinstance(body.get("model", ""), str):
            raise ValueError("'model' is a name")
        return body


@dataclass(frozen=True)
class InputSummary:
    """The ids of a whole input file, and the models that its requests name; '' where one names none."""

    ids: frozenset[str]
    models: frozenset[str]


def read_lines(path: Path) -> Iterator[BatchLine]:
    """Yield the requests of a file, blank lines left out; raises UsageError with the line at fault."""
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    yield _parse(line, f"{path}:{number}")
    except OSError as error:
        raise UsageError(f"cannot be read: {error.strerror}", where=str(path)) from None


def count_lines(path: Path) -> InputSummary:
    """Read a whole file before anything is sent; raises UsageError on a bad line, an id that stands twice, no line."""
    if path.exists() and not path.is_file():
        raise UsageError("is not a regular file, and is read twice", where=str(path), remedy="Write it to a file first")
    ids, models = set[str](), set[str]()
    for line in read_lines(path):
        if line.custom_id in ids:
            raise UsageError(f"custom_id '{line.custom_id}' stands twice", where=str(path), remedy="Ids must be unique")
        ids.add(line.custom_id)
        models.add(line.body.get("model", ""))
    if not ids:
        raise UsageError("holds no request", where=str(path))
    return InputSummary(frozenset(ids), frozenset(models))


def _parse(line: bytes, where: str) -> BatchLine:
    try:
        return BatchLine.model_validate_json(line)
    except ValidationError as error:
        fault = first_fault(error)
        raise UsageError(
            f"{fault.key + ': ' if fault.key else ''}{fault.message}",
            where=where,
            remedy='A line is {"custom_id": "1", "method": "POST", "url": "/v1/chat/completions", "body": {...}}',
        ) from None
