"""The document of this server's own API, made of the models that read its bodies."""

from __future__ import annotations

from functools import cache
from typing import Any

import msgspec
from pydantic import BaseModel

from trtnemo import __version__
from trtnemo.server.anthropic.request import MessagesRequest
from trtnemo.server.requests.chat import ChatRequest
from trtnemo.server.requests.completion import CompletionRequest
from trtnemo.server.requests.tokenize import DetokenizeRequest, TokenizeRequest
from trtnemo.server.responses.request import ResponsesRequest

POSTS: dict[str, tuple[type[BaseModel], str, bool]] = {
    "/v1/chat/completions": (ChatRequest, "Answer a conversation, whole or streamed.", True),
    "/v1/completions": (CompletionRequest, "Continue text or token ids, and score them.", True),
    "/v1/responses": (ResponsesRequest, "Answer items with items (OpenAI's Responses API).", True),
    "/v1/messages": (MessagesRequest, "Answer messages with blocks (Anthropic's Messages API).", True),
    "/v1/messages/count_tokens": (MessagesRequest, "Count the tokens of messages.", False),
    "/tokenize": (TokenizeRequest, "Return the token ids of a text or of messages.", False),
    "/detokenize": (DetokenizeRequest, "Return the text of token ids.", False),
}
GETS = {
    "/v1/models": "The names that this server answers to.",
    "/v1/models/{name}": "One of them.",
    "/v1/responses/{response_id}": "A response that is kept.",
    "/v1/responses/{response_id}/input_items": "What it was asked.",
    "/health": "Whether the engine runs requests: 503 with the reason where it does not.",
    "/ready": "Whether new requests should be sent here: 503 too while the server is stopping.",
    "/version": "Versions of this server, its engine and its recipe.",
    "/metrics": "Metrics in Prometheus' text format.",
}
REFUSALS = {
    "400": "The request is refused; the message says why, `param` where.",
    "401": "A key is missing or wrong.",
    "404": "There is no such model, response or route.",
    "413": "The body is larger than the context can need.",
    "415": "The body is not application/json.",
    "429": "Too much at once, or a key's limit; Retry-After says when.",
    "500": "This one request failed in the engine.",
    "503": "The engine is down and will be back.",
}
_ERROR = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["message", "type"],
            "properties": {
                "message": {"type": "string"},
                "type": {"type": "string"},
                "param": {"type": ["string", "null"]},
                "code": {"type": ["string", "null"]},
            },
        }
    },
}


@cache
def encoded_document() -> bytes:
    """Return the document as JSON."""
    return msgspec.json.encode(openapi_document())


def openapi_document() -> dict[str, Any]:
    """Return the document."""
    schemas: dict[str, Any] = {"Error": _ERROR}
    paths: dict[str, Any] = {}
    for path, (model, summary, streams) in POSTS.items():
        schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
        schemas |= schema.pop("$defs", {})
        schemas[model.__name__] = schema
        content = {"application/json": {"schema": {"$ref": f"#/components/schemas/{model.__name__}"}}}
        body = {"required": True, "content": content}
        paths[path] = {"post": {**_answers(summary, streams=streams), "requestBody": body}}
    for path, summary in GETS.items():
        paths[path] = {"get": {**_answers(summary), "parameters": _parameters(path)}}
    paths["/metrics"]["get"]["responses"]["200"]["content"] = {"text/plain": {}}
    stored = paths["/v1/responses/{response_id}"]
    parameters = _parameters("/v1/responses/{response_id}")
    stored["delete"] = {**_answers("Forget it."), "parameters": parameters}
    cancel = "/v1/responses/{response_id}/cancel"
    paths[cancel] = {"post": {**_answers("End one that runs in the background."), "parameters": parameters}}
    return {
        "openapi": "3.1.0",
        "info": {"title": "trtnemo", "version": __version__},
        "paths": paths,
        "components": {"schemas": schemas, "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}}},
        "security": [{}, {"key": []}],
    }


def _answers(summary: str, *, streams: bool = False) -> dict[str, Any]:
    error = {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}}
    kinds = ["application/json", *(["text/event-stream"] if streams else [])]
    answer = {"description": "The answer.", "content": {kind: {} for kind in kinds}}
    refusals = {code: {"description": text, **error} for code, text in REFUSALS.items()}
    return {"summary": summary, "responses": {"200": answer, **refusals}}


def _parameters(path: str) -> list[dict[str, Any]]:
    names = [part.partition("}")[0] for part in path.split("{")[1:]]
    return [{"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in names]
