"""Parts of an answer as the chat API carries them."""

from __future__ import annotations

import uuid
from typing import Any

from trtnemo.runtime.sampler import TokenLogprob
from trtnemo.text import Answer, Part, TextTokenizer, ToolCall


def message_of(answer: Answer) -> dict[str, Any]:
    """Return a whole answer as a message; its content is null where there is only thinking, or calls."""
    message: dict[str, Any] = {"role": "assistant", "content": answer.content, **thoughts(answer.reasoning)}
    if not answer.content and (answer.reasoning or answer.tool_calls):
        message["content"] = None
    if answer.tool_calls:
        message["tool_calls"] = [_call(call) for call in answer.tool_calls]
    return message


def delta_of(part: Part, number: int) -> dict[str, Any]:
    """Return a part as a delta of a stream; `number` is that of the call, if it is one."""
    if isinstance(part, ToolCall):
        return {"tool_calls": [{"index": number, **_call(part)}]}
    return thoughts(part.text) if part.channel == "reasoning" else {"content": part.text}


def thoughts(text: str) -> dict[str, Any]:
    """Return thinking under both names that clients read."""
    return {"reasoning_content": text, "reasoning": text} if text else {}


def score_of(tokenizer: TextTokenizer, score: TokenLogprob) -> dict[str, Any]:
    """Return a token's log probability, with its alternatives."""

    def entry(token_id: int, logprob: float) -> dict[str, Any]:
        found = tokenizer.bytes_of(token_id)
        return {"token": tokenizer.token_text(token_id), "logprob": logprob, "bytes": list(found)}

    return {**entry(score.token_id, score.logprob), "top_logprobs": [entry(*item) for item in score.top]}


def _call(call: ToolCall) -> dict[str, Any]:
    function = {"name": call.name, "arguments": call.arguments_json}
    return {"id": f"call_{uuid.uuid4().hex[:24]}", "type": "function", "function": function}
