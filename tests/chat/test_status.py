"""The line below an answer: what a server tells of it, and nothing that it does not."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.chat.terminal import terminal
from trtnemo.chat.answer import Answer
from trtnemo.chat.status import status_line

DRAFTS = {"accepted_prediction_tokens": 6, "rejected_prediction_tokens": 2}


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({}, "m | first after 0.50 s"),
        ({"first": None}, "m"),
        ({"usage": {"completion_tokens": 21}}, "m | 21 tokens | 10.0 tokens/s | first after 0.50 s"),
        ({"usage": {"completion_tokens": 1}}, "m | 1 token | first after 0.50 s"),
        (
            {"usage": {"completion_tokens_details": DRAFTS, "prompt_tokens": 9, "prompt_tokens_details": None}},
            "m | first after 0.50 s | drafts 6 of 8 accepted | prompt 9",
        ),
        (
            {"usage": {"prompt_tokens": 9, "prompt_tokens_details": {"cached_tokens": 4}}, "was_stopped": True},
            "m | first after 0.50 s | prompt 9, 4 cached | stopped",
        ),
        (
            {"usage": {"completion_tokens": "many"}, "first": None, "finish_reason": "length"},
            "m | cut at the limit of tokens",
        ),
    ],
)
def test_what_is_known_is_told(changes: dict[str, Any], line: str) -> None:
    given: dict[str, Any] = {"began": 10.0, "first": 10.5, "last": 12.5, **changes}
    assert status_line("m", Answer(**given)) == line


def test_a_server_of_ours_tells_tokens_speed_drafts_and_what_it_reused(make_tiny: Any, server_process: Any) -> None:
    _, url = server_process(make_tiny("speculation.draft_tokens=2", "speculation.adaptive=false"))
    options = ["chat", "--no-history", "--url", url, "--temperature", "0", "--system", "Be kind. " * 40]
    with terminal(*options) as user:
        for number, question in enumerate(("What is the capital of Japan?", "What is the capital of France?"), 1):
            user.wait_for_prompt()
            user.type(f"{question}\r")
            user.wait_for("tiny | ", number)
        user.wait_for_prompt()
        first, second = [line for line in user.text.splitlines() if line.startswith("tiny | ")]
    assert "The capital of Japan is Tokyo." in user.text
    for line in (first, second):
        assert " tokens/s | first after " in line
        assert " accepted | prompt " in line
    assert " cached" in second
