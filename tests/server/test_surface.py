"""docs/server.md's tables of parameters, held against the types of the `openai` package and against the models here."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_type_hints

import pytest
from openai.types import completion_create_params
from openai.types.chat import completion_create_params as chat_params
from openai.types.responses import response_create_params
from pydantic import BaseModel

from trtnemo.errors import RequestError
from trtnemo.server.requests.chat import ChatRequest
from trtnemo.server.requests.completion import CompletionRequest
from trtnemo.server.requests.neutral import HINTS, NEUTRAL_VALUES, drop_neutral
from trtnemo.server.responses.request import ResponsesRequest

PAGE = Path(__file__).parents[2] / "docs" / "server.md"
APIS: dict[str, tuple[Any, type[BaseModel]]] = {
    "/v1/chat/completions": (chat_params.CompletionCreateParamsBase, ChatRequest),
    "/v1/completions": (completion_create_params.CompletionCreateParamsBase, CompletionRequest),
    "/v1/responses": (response_create_params.ResponseCreateParamsBase, ResponsesRequest),
}


def parameters(typed: Any) -> list[str]:
    return sorted({*get_type_hints(typed), "stream"})


# taken, and no answer changes by them; or taken at some values alone, as the page says
WITHOUT_EFFECT = {"/v1/responses": {"include", "max_tool_calls", "stream_options", "truncation"}}
SOMETIMES = {"/v1/responses": {"top_logprobs"}, "/v1/completions": {"best_of"}}


def state(name: str, model: type[BaseModel]) -> str:
    path = next(path for path, (_, known) in APIS.items() if known is model)
    if name in WITHOUT_EFFECT.get(path, ()):
        return "no effect"
    if name in SOMETIMES.get(path, ()):
        return "in part"
    if name in model.model_fields:
        return "works"
    if name in HINTS:
        return "hint"
    return "neutral" if name in NEUTRAL_VALUES else "refused"


def tables() -> str:
    lines = []
    for path, (typed, model) in APIS.items():
        found: dict[str, list[str]] = {}
        for name in parameters(typed):
            found.setdefault(state(name, model), []).append(f"`{name}`")
        lines += [f"| `{path}` | |", "|---|---|"]
        for kind in ("works", "in part", "no effect", "hint", "neutral", "refused"):
            lines.append(f"| {kind} | {', '.join(found.get(kind, ['none']))} |")
        lines.append("")
    return "\n".join(lines).strip()


def test_the_tables_are_true() -> None:
    assert tables() in PAGE.read_text(encoding="utf-8"), f"put this into docs/server.md:\n{tables()}"


@pytest.mark.parametrize("path", APIS)
def test_every_parameter_of_the_package_is_taken_or_refused_by_its_name(path: str) -> None:
    typed, model = APIS[path]
    for name in parameters(typed):
        kind = state(name, model)
        if kind == "hint":
            assert drop_neutral({name: object()}, model.model_fields) == {}
        elif kind == "neutral":
            with pytest.raises(RequestError, match=name):
                drop_neutral({name: object()}, model.model_fields)
        elif kind == "refused":
            assert drop_neutral({name: 1}, model.model_fields) == {name: 1}  # and the model knows no such key
            assert model.model_config["extra"] == "forbid"


def test_the_settings_of_the_page_are_those_of_the_server() -> None:
    from trtnemo.recipe.runtimes import CpuServer

    page = PAGE.read_text(encoding="utf-8")
    for name, field in CpuServer.model_fields.items():
        default = field.get_default(call_default_factory=True)
        shown = "" if default in (None, "", ()) else str(default).lower() if isinstance(default, bool) else f"{default}"
        row = f"| `{name}` | {shown} | {field.description} |"
        assert row in page, f"docs/server.md lacks: {row}"
