"""The line below an answer: model, tokens, speed, drafts and reused prompt."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from trtnemo.chat.answer import Answer

_CUT = "cut at the limit of tokens"
_WHOLE = ("", "stop", "tool_calls", "function_call")  # reasons to end of an answer that lacks nothing


def status_line(model: str, answer: Answer) -> str:
    """Return what is known of an answer; what its server does not tell is left out."""
    parts = [model, *_tokens(answer)]
    if answer.first is not None:
        parts.append(f"first after {answer.first - answer.began:.2f} s")
    drafts = _details(answer.usage, "completion_tokens_details")
    accepted, rejected = _count(drafts, "accepted_prediction_tokens"), _count(drafts, "rejected_prediction_tokens")
    if accepted is not None and rejected is not None and accepted + rejected:
        parts.append(f"drafts {accepted} of {accepted + rejected} accepted")
    cached = _count(_details(answer.usage, "prompt_tokens_details"), "cached_tokens")
    prompt = _count(answer.usage, "prompt_tokens")
    if prompt is not None:
        parts.append(f"prompt {prompt}" + (f", {cached} cached" if cached else ""))
    if answer.was_stopped:
        parts.append("stopped")
    elif answer.finish_reason == "length":
        parts.append(_CUT)
    return " | ".join(parts)


def shortfall(answer: Answer) -> str:
    """Return how an answer falls short of what was asked, where nobody sees its status line; or nothing."""
    is_blank, reason = not answer.said.strip(), answer.finish_reason
    if reason == "length":
        return f"The answer was {_CUT}" + (", before it had begun" if is_blank else "") + "."
    if reason not in _WHOLE:
        return f"The answer was ended by its server: {reason}."
    return "Nothing was answered." if is_blank else ""


def _tokens(answer: Answer) -> list[str]:
    count = _count(answer.usage, "completion_tokens")
    if count is None:
        return []
    found = [f"{count} token{'' if count == 1 else 's'}"]
    if count > 1 and answer.first is not None and answer.last is not None and answer.last > answer.first:
        found.append(f"{(count - 1) / (answer.last - answer.first):.1f} tokens/s")
    return found


def _details(usage: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    details = usage.get(name)
    return details if isinstance(details, dict) else {}


def _count(counts: Mapping[str, Any], name: str) -> int | None:
    value = counts.get(name)
    return value if isinstance(value, int) else None
