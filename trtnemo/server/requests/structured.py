"""What an answer must be, in the words of OpenAI (`response_format`) and of vLLM (`structured_outputs`, `guided_*`)."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from trtnemo.errors import ConstraintError, RequestError
from trtnemo.server.requests.part import OpenPart, RequestPart
from trtnemo.text.structure import Choice, JsonSchema, Lark, Pattern, Structure

MOST_CHOICES = 1024
LongText = Annotated[str, Field(max_length=1 << 16)]
_OBJECT = {"type": "object"}


class NamedSchema(RequestPart):
    """A schema with its name; the name and `strict` change nothing, for every schema is kept."""

    name: Annotated[str, Field(max_length=256)] = "answer"
    description: str | None = None
    schema_: Annotated[dict[str, Any] | None, Field(alias="schema")] = None
    strict: bool | None = None


class ResponseFormat(OpenPart):
    """OpenAI's `response_format`."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: NamedSchema | None = None

    @model_validator(mode="after")
    def _has_its_schema(self) -> ResponseFormat:
        if self.type == "json_schema" and self.json_schema is None:
            raise ValueError("'json_schema' is missing")
        return self

    @property
    def structure(self) -> Structure | None:
        """What the answer must be, None for any text."""
        if self.type == "text":
            return None
        schema = self.json_schema.schema_ if self.json_schema is not None else None
        return JsonSchema(_OBJECT if schema is None else schema)


class StructuredOutputs(RequestPart):
    """vLLM's `structured_outputs`: one of these, and hints to libraries of its own."""

    json_: Annotated[str | dict[str, Any] | bool | None, Field(alias="json")] = None
    regex: LongText | None = None
    choice: Annotated[list[str] | None, Field(min_length=1, max_length=MOST_CHOICES)] = None
    grammar: LongText | None = None
    json_object: bool | None = None
    disable_any_whitespace: bool | None = None
    disable_additional_properties: bool | None = None
    disable_fallback: bool | None = None
    backend: str | None = None

    @property
    def structure(self) -> Structure | None:
        """What the answer must be, None where nothing is asked; raises RequestError for several of them."""
        found: list[Structure] = []
        if self.json_ is not None and self.json_ is not False:
            found.append(JsonSchema(_read_schema(self.json_)))
        if self.regex is not None:
            found.append(Pattern(self.regex))
        if self.choice is not None:
            found.append(Choice(tuple(self.choice)))
        if self.grammar is not None:
            found.append(Lark(_as_lark(self.grammar)))
        if self.json_object:
            found.append(JsonSchema(_OBJECT))
        if len(found) > 1:
            raise RequestError("only one of json, regex, choice, grammar and json_object can be asked for")
        return found[0] if found else None


class StructureFields(RequestPart):
    """The fields of a body that say what its answer must be."""

    response_format: ResponseFormat | None = None
    structured_outputs: StructuredOutputs | None = None
    guided_json: str | dict[str, Any] | None = None
    guided_regex: LongText | None = None
    guided_choice: Annotated[list[str] | None, Field(min_length=1, max_length=MOST_CHOICES)] = None
    guided_grammar: LongText | None = None
    guided_decoding_backend: str | None = None
    guided_whitespace_pattern: str | None = None

    @property
    def structure(self) -> Structure | None:
        """What the answer must be; raises RequestError where it is said twice."""
        guided = StructuredOutputs.model_validate(
            {
                "json": self.guided_json,
                "regex": self.guided_regex,
                "choice": self.guided_choice,
                "grammar": self.guided_grammar,
            }
        )
        asked = [self.response_format, self.structured_outputs, guided]
        found = [item.structure for item in asked if item is not None and item.structure is not None]
        if len(found) > 1:
            raise RequestError("response_format, structured_outputs and guided_* each say what the answer must be")
        return found[0] if found else None


def _read_schema(value: str | dict[str, Any] | bool) -> dict[str, Any] | bool:
    if not isinstance(value, str):
        return value
    try:
        read = json.loads(value)
    except (ValueError, RecursionError) as error:
        raise ConstraintError(f"the schema is not JSON: {error}", parameter="guided_json") from None
    if not isinstance(read, (dict, bool)):
        raise ConstraintError("the schema is not a JSON object", parameter="guided_json")
    return read


def _as_lark(text: str) -> str:
    """Return a grammar in Lark, also of one in GBNF, whose rules are written with `::=`."""
    from llguidance.gbnf_to_lark import any_to_lark

    try:
        return str(any_to_lark(text))
    except Exception as error:  # the library raises what its parser raises
        raise ConstraintError(f"the grammar cannot be read: {error}", parameter="guided_grammar") from None
