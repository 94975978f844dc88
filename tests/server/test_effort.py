"""How hard to think, as clients of other APIs say it: mapped to the template's switches, and hints taken."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from trtnemo.server.requests.chat import ChatRequest
from trtnemo.server.requests.neutral import HINTS, drop_neutral

KNOWN = {"enable_thinking", "low_effort"}


def switches(known: set[str] = KNOWN, **body: Any) -> dict[str, Any]:
    request = ChatRequest.model_validate({"model": "m", "messages": [{"role": "user", "content": "x"}], **body})
    return request.template_switches(known)


@pytest.mark.parametrize(
    ("body", "meant"),
    [
        ({}, {}),
        ({"reasoning_effort": "none"}, {"enable_thinking": False}),
        ({"reasoning_effort": "low"}, {"enable_thinking": True, "low_effort": True}),
        ({"reasoning_effort": "minimal"}, {"enable_thinking": True, "low_effort": True}),
        ({"reasoning_effort": "high"}, {"enable_thinking": True}),
        ({"reasoning_effort": None}, {}),
        ({"thinking": False}, {"enable_thinking": False}),
        ({"thinking": {"type": "disabled"}}, {"enable_thinking": False}),
        ({"thinking": {"type": "enabled", "budget_tokens": 1024}}, {"enable_thinking": True}),
        (
            {"reasoning_effort": "none", "chat_template_kwargs": {"enable_thinking": True}},
            {"enable_thinking": True},
        ),
    ],
)
def test_effort_and_thinking_set_the_templates_switches(body: Any, meant: dict[str, Any]) -> None:
    assert switches(**body) == meant


def test_a_template_without_a_switch_is_not_given_it() -> None:
    assert switches(known={"enable_thinking"}, reasoning_effort="low") == {"enable_thinking": True}
    assert switches(known=set(), reasoning_effort="none") == {}


@pytest.mark.parametrize("body", [{"reasoning_effort": "lots"}, {"thinking": {"type": "maybe"}}, {"thinking": "yes"}])
def test_an_effort_that_is_none_is_refused(body: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        switches(**body)


def test_hints_that_change_no_answer_are_taken() -> None:
    body = {"model": "m", **dict.fromkeys(HINTS, "anything"), "include_reasoning": True, "verbosity": "medium"}
    assert drop_neutral(body) == {"model": "m"}
