"""The base of every part of a request: types are exact, unknown keys are refused, null is the same as nothing."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, model_validator


class RequestPart(BaseModel):
    """A part of a body: the text "5" is no 5, and a key that is not known is an error."""

    model_config = ConfigDict(extra="forbid", strict=True)

    @model_validator(mode="before")
    @classmethod
    def _null_is_unset(cls, data: Any) -> Any:
        return {name: value for name, value in data.items() if value is not None} if isinstance(data, dict) else data


class OpenPart(RequestPart):
    """A part that may hold keys of others, which are passed on or mean nothing here."""

    model_config = ConfigDict(extra="allow")
